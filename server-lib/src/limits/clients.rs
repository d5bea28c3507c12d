//! Who is one client, and how many connections each has.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard},
};

use crate::lock::lock;

/// How much IPv6 a client has of its own: RFC 6177.
const NETWORK_BITS: u32 = 64;

/// Returns the address, or the first one of the network, that a client has of its own.
pub(super) fn one(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << (128 - NETWORK_BITS))).into()
        }
    }
}

/// How many connections each client has; those that have none take no memory.
#[derive(Debug, Clone, Default)]
pub(crate) struct Clients(Arc<Mutex<HashMap<IpAddr, u64>>>);

/// One connection of a client; dropped, it is one fewer.
#[derive(Debug)]
pub(crate) struct Guest {
    clients: Clients,
    client: IpAddr,
}

impl Clients {
    /// Counts one more, where that is not beyond `limit`.
    pub(crate) fn admit(&self, client: IpAddr, limit: Option<u64>) -> Option<Guest> {
        let client = one(client);
        let mut all = self.all();
        let count = all.get(&client).copied().unwrap_or_default();
        if limit.is_some_and(|limit| count >= limit) {
            return None;
        }
        all.insert(client, count + 1);
        Some(Guest { clients: self.clone(), client })
    }

    fn all(&self) -> MutexGuard<'_, HashMap<IpAddr, u64>> {
        lock(&self.0)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if let Entry::Occupied(mut count) = self.clients.all().entry(self.client) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_each_client_alone_and_forgets_it_with_its_last_connection() {
        let at = |address: &str| address.parse().unwrap();
        let clients = Clients::default();
        let first = clients.admit(at("127.0.0.1"), Some(2));
        let second = clients.admit(at("::ffff:127.0.0.1"), Some(2));
        assert!(first.is_some() && second.is_some());
        assert!(clients.admit(at("127.0.0.1"), Some(2)).is_none());
        let third = clients.admit(at("127.0.0.1"), None);
        assert!(third.is_some());
        drop(first);
        assert!(clients.admit(at("127.0.0.1"), Some(2)).is_none(), "the limit was lowered");
        drop(second);
        let other = clients.admit(at("2001:db8::1"), Some(1));
        assert!(clients.admit(at("2001:db8::2"), Some(1)).is_none(), "of the same network");
        assert!(clients.admit(at("2001:db8:0:1::1"), Some(1)).is_some());
        drop((third, other));
        assert!(clients.all().is_empty());
    }
}

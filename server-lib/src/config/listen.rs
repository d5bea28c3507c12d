//! Which addresses can be listened on together.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, SeqAccess, Visitor},
};

const NONE: &str = "no address to listen on";

/// Checks a list of addresses, in its order.
pub(super) fn check(addresses: &[SocketAddr]) -> Result<(), String> {
    if addresses.is_empty() {
        return Err(NONE.to_owned());
    }
    addresses.iter().enumerate().try_for_each(|(n, &address)| admit(&addresses[..n], address))
}

/// Deserializes a list of addresses; an error stands where the address does that it is about.
pub(super) fn addresses<'de, D>(deserializer: D) -> Result<Vec<SocketAddr>, D::Error>
where
    D: Deserializer<'de>,
{
    deserializer.deserialize_seq(List)
}

/// Whether `one` takes the port of `other` on every address of its family.
pub(crate) fn covers(one: SocketAddr, other: SocketAddr) -> bool {
    // An IPv6 socket is for IPv6 alone, see `socket::bind`.
    let same_family = matches!(
        (one.ip(), other.ip()),
        (IpAddr::V4(_), IpAddr::V4(_)) | (IpAddr::V6(_), IpAddr::V6(_))
    );
    same_family && one.ip().is_unspecified() && one.port() == other.port() && one.port() != 0
}

fn admit(listed: &[SocketAddr], address: SocketAddr) -> Result<(), String> {
    for &other in listed {
        if other == address {
            return Err(format!("{address} is listed twice"));
        }
        if covers(other, address) {
            return Err(format!("{address} is part of {other}, which is listed too"));
        }
        if covers(address, other) {
            return Err(format!("{other} is part of {address}, and is listed too"));
        }
    }
    Ok(())
}

struct List;

impl<'de> Visitor<'de> for List {
    type Value = Vec<SocketAddr>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of addresses such as \"127.0.0.1:8080\"")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut listed = Vec::new();
        while let Some(address) = list.next_element_seed(Beside(&listed))? {
            listed.push(address);
        }
        if listed.is_empty() { Err(Error::custom(NONE)) } else { Ok(listed) }
    }
}

/// One more address beside those that are listed.
struct Beside<'a>(&'a [SocketAddr]);

impl<'de> DeserializeSeed<'de> for Beside<'_> {
    type Value = SocketAddr;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<SocketAddr, D::Error> {
        // The check runs inside the element's own deserializer, which knows where it stands.
        struct One<'a>(&'a [SocketAddr]);

        impl Visitor<'_> for One<'_> {
            type Value = SocketAddr;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an address such as \"127.0.0.1:8080\"")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<SocketAddr, E> {
                let address = text.parse().map_err(E::custom)?;
                admit(self.0, address).map_err(E::custom)?;
                Ok(address)
            }
        }

        if deserializer.is_human_readable() {
            deserializer.deserialize_str(One(self.0))
        } else {
            let address = SocketAddr::deserialize(deserializer)?;
            admit(self.0, address).map_err(D::Error::custom)?;
            Ok(address)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_addresses_that_get_in_each_others_way() {
        for (listed, good) in [
            (&["127.0.0.1:80", "127.0.0.1:81"][..], true),
            (&["127.0.0.1:80", "127.0.0.2:80"], true),
            (&["127.0.0.1:80", "[::1]:80"], true),
            (&["0.0.0.0:80", "[::]:80"], true),
            (&["0.0.0.0:80", "[::1]:80"], true),
            (&["0.0.0.0:0", "127.0.0.1:0"], true),
            (&[], false),
            (&["127.0.0.1:80", "127.0.0.1:80"], false),
            (&["127.0.0.1:0", "127.0.0.1:0"], false),
            (&["0.0.0.0:80", "127.0.0.1:80"], false),
            (&["127.0.0.1:80", "0.0.0.0:80"], false),
            (&["[::1]:80", "[::]:80"], false),
        ] {
            let addresses: Vec<SocketAddr> =
                listed.iter().map(|address| address.parse().unwrap()).collect();
            assert_eq!(check(&addresses).is_ok(), good, "{listed:?}");
        }
    }
}

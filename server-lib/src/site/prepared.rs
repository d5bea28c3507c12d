//! A configuration that is ready to be put in place.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use tokio::time::sleep;
use tracing::{debug, info, warn};

use super::{
    Site,
    open::{Bound, Open},
};
use crate::{
    address::Address, config::ServerConfig, connection::ROUND_TRIP, endpoint::Endpoint,
    limits::tell_shortage, live::Applied, lock::lock,
};

/// A configuration whose addresses are bound; dropped, they are let go of.
pub(crate) struct Prepared {
    pub(super) site: Arc<Site>,
    pub(super) applied: Applied,
    pub(super) bound: Vec<Bound>,
    pub(super) leaving: Vec<Endpoint>,
}

impl Prepared {
    /// Puts the configuration in place.
    pub(crate) fn commit(self) {
        let Self { site, applied, bound, leaving } = self;
        let generation = applied.generation;
        let applied = Arc::new(applied);
        let before = site.shared.live.swap(Arc::clone(&applied));
        let changed = before.config.changed_parts(&applied.config);
        site.shared.metrics.applied(generation);
        if before.generation > 0 {
            site.shared.changes.note(generation, changed.clone());
        }
        site.tls.follow(&site.runtime);
        if before.generation == 0 || changed.contains(&"limits.max_connections") {
            site.shared.slots.limit_has_changed();
            tell_shortage(applied.config.limits.max_connections.get());
        }
        // Those of an earlier process that nobody has asked for.
        lock(&site.inherited).forget();
        let mut open = lock(&site.open);
        open.extend(bound.into_iter().map(|bound| site.listen(bound)));
        let is_gone = |one: &mut Open| !one.owner.is_foreign() && leaving.contains(&one.endpoint);
        let gone: Vec<Open> = open.extract_if(.., is_gone).collect();
        let is_followed = |one: &Open| open.iter().any(|next| next.overlaps(&one.local));
        let (followed, gone): (Vec<Open>, Vec<Open>) = gone.into_iter().partition(is_followed);
        let unused = unused(&applied.config, &open);
        drop(open);
        if before.generation == 0 {
            info!(generation, "in use");
        } else if changed.is_empty() {
            debug!(generation, "in use, and the same to the server");
        } else {
            info!(generation, ?changed, "in use");
        }
        for (key, addresses) in &unused {
            let addresses = comma_separated(addresses);
            // In development, say, it is meant to be so; whoever edits them expects more.
            if before.generation == 0 {
                info!(key, addresses, "not used: the process was started with a socket for it");
            } else if changed.contains(key) {
                warn!(key, addresses, "not used: the process was started with a socket for it");
            }
        }
        if gone.is_empty() && followed.is_empty() {
            return site.tell();
        }
        let (tasks, runtime) = (site.tasks.clone(), site.runtime.clone());
        // It is free: the configuration has waited for it.
        let parting = Arc::clone(&site.parting).try_lock_owned();
        tasks.spawn_on(
            async move {
                for one in gone {
                    one.close().await;
                }
                if !followed.is_empty() {
                    followed.iter().for_each(Open::give_way);
                    // As long as it takes one that has begun to be there.
                    sleep(ROUND_TRIP).await;
                }
                for one in followed {
                    one.close().await;
                }
                site.tell();
                drop(parting);
            },
            &runtime,
        );
    }
}

/// The addresses that are not listened on, since the process was started with sockets of their purpose, by
/// the key that lists them.
fn unused(config: &ServerConfig, open: &[Open]) -> BTreeMap<&'static str, Vec<Address>> {
    let mut unused: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for Endpoint { role, address } in config.endpoints() {
        let of_role = || open.iter().filter(|one| one.endpoint.role == role);
        let is_taken = of_role().any(|one| one.owner.is_foreign());
        let is_open = of_role().any(|one| one.local == address || may_cover(&one.local, &address));
        if is_taken && !is_open {
            unused.entry(role.key()).or_default().push(address);
        }
    }
    unused
}

/// Whether an inherited socket at one address may take connections to another: one that is for all of
/// IPv6 may be for IPv4 as well (`BindIPv6Only=` in systemd.socket(5)).
fn may_cover(inherited: &Address, address: &Address) -> bool {
    let for_both = |inherited: SocketAddr| {
        let is_any = inherited.is_ipv6() && inherited.ip().is_unspecified();
        is_any && address.socket_addr().is_some_and(|other| other.port() == inherited.port())
    };
    inherited.covers(address) || inherited.socket_addr().is_some_and(for_both)
}

fn comma_separated(addresses: &[Address]) -> String {
    addresses.iter().map(Address::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_inherited_socket_may_take_is_not_called_unused() {
        for (inherited, address, covers) in [
            ("0.0.0.0:80", "127.0.0.1:80", true),
            ("[::]:80", "127.0.0.1:80", true),
            ("[::]:80", "[::1]:80", true),
            ("[::]:80", "127.0.0.1:81", false),
            ("0.0.0.0:80", "[::1]:80", false),
            ("[::1]:80", "127.0.0.1:80", false),
            ("unix:/run/a.sock", "127.0.0.1:80", false),
        ] {
            let (one, other) = (inherited.parse().unwrap(), address.parse().unwrap());
            assert_eq!(may_cover(&one, &other), covers, "{inherited} {address}");
        }
    }
}

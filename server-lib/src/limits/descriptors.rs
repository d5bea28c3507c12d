//! How many connections there are descriptors for.

use rustix::process::{Resource, getrlimit};
use tracing::warn;

/// Descriptors for what is not a connection: files that are read, listeners, whoever looks after the
/// server, and what the application has open.
const RESERVED: u64 = 64;

/// Connections of whoever looks after the server: a browser takes six, whoever scrapes or asks one or
/// two, and half of what is reserved is left for all the rest.
pub(crate) const ADMIN_CONNECTIONS: u64 = RESERVED / 2;

/// Of these, those that may read events, for as long as they like: half of them.
pub(crate) const ADMIN_READERS: usize = 16;

/// Returns how many of `wanted` connections the process may have open, each by one descriptor, so
/// that it can still read its configuration and be asked how it is doing when all of them are.
pub(crate) fn most_connections(wanted: u64) -> u64 {
    // Asked each time, since it can be changed from outside: prlimit(1).
    among(wanted, getrlimit(Resource::Nofile).current)
}

/// Says so where there are not as many as are `wanted`.
pub(crate) fn tell_shortage(wanted: u64) {
    let most = most_connections(wanted);
    if most < wanted {
        warn!(
            "limits.max_connections is {wanted}, but there are descriptors for {most}: raise \
             RLIMIT_NOFILE (LimitNOFILE= of systemd)"
        );
    }
}

fn among(wanted: u64, descriptors: Option<u64>) -> u64 {
    let most = descriptors.map(|all| all.saturating_sub(RESERVED).max(all / 2));
    most.map_or(wanted, |most| most.min(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_descriptors_for_all_the_rest() {
        for (wanted, descriptors, most) in [
            (10_000, None, 10_000),
            (10_000, Some(1_048_576), 10_000),
            (10_000, Some(1024), 960),
            (10, Some(1024), 10),
            (10_000, Some(100), 50),
        ] {
            assert_eq!(among(wanted, descriptors), most, "{wanted} of {descriptors:?}");
        }
    }
}

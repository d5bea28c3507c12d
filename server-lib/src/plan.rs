//! Which addresses to open, keep and close.

use std::net::SocketAddr;

/// The way from the addresses that are listened on to those that are wanted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) add: Vec<SocketAddr>,
    pub(crate) drop: Vec<SocketAddr>,
}

impl Plan {
    /// Plans by the addresses as they are configured, so that a port 0 keeps the port it found.
    pub(crate) fn between(open: &[SocketAddr], wanted: &[SocketAddr]) -> Self {
        let missing_in = |list: &[SocketAddr], of: &[SocketAddr]| {
            of.iter().filter(|address| !list.contains(address)).copied().collect()
        };
        Self { add: missing_in(open, wanted), drop: missing_in(wanted, open) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(list: &str) -> Vec<SocketAddr> {
        list.split_whitespace().map(|port| format!("127.0.0.1:{port}").parse().unwrap()).collect()
    }

    #[test]
    fn opens_what_is_new_and_closes_what_is_gone() {
        for (open, wanted, add, drop) in [
            ("", "", "", ""),
            ("", "1 2", "1 2", ""),
            ("1 2", "1 2", "", ""),
            ("1 2", "2 1", "", ""),
            ("1 2", "2 3", "3", "1"),
            ("1", "2 3", "2 3", "1"),
            ("1 2", "", "", "1 2"),
            ("0", "0", "", ""),
        ] {
            let plan = Plan::between(&addresses(open), &addresses(wanted));
            let want = Plan { add: addresses(add), drop: addresses(drop) };
            assert_eq!(plan, want, "{open:?} to {wanted:?}");
        }
    }
}

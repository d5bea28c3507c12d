//! Which addresses to open, keep and close.

use crate::{endpoint::Endpoint, role::Role};

/// The way from the addresses that are listened on to those that are wanted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) add: Vec<Endpoint>,
    pub(crate) drop: Vec<Endpoint>,
}

impl Plan {
    /// Plans by the addresses as they are configured, so that a port 0 keeps the port it found.
    ///
    /// Where somebody else has bound what a role is served by, none that is `wanted` for it is bound
    /// beside that.
    pub(crate) fn between(open: &[Endpoint], foreign: &[Role], wanted: &[Endpoint]) -> Self {
        let is_ours = |one: &&Endpoint| !foreign.contains(&one.role);
        let wanted: Vec<Endpoint> = wanted.iter().filter(is_ours).cloned().collect();
        let missing_in = |list: &[Endpoint], of: &[Endpoint]| {
            of.iter().filter(|one| !list.contains(one)).cloned().collect()
        };
        Self { add: missing_in(open, &wanted), drop: missing_in(&wanted, open) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoints(list: &str) -> Vec<Endpoint> {
        let endpoint = |port: &str| {
            let role = if port.len() > 1 { Role::Https } else { Role::Http };
            Endpoint { role, address: format!("127.0.0.1:{port}").parse().unwrap() }
        };
        list.split_whitespace().map(endpoint).collect()
    }

    #[test]
    fn opens_what_is_new_and_closes_what_is_gone() {
        for (open, foreign, wanted, add, drop) in [
            ("", &[][..], "", "", ""),
            ("", &[], "1 2", "1 2", ""),
            ("1 2", &[], "1 2", "", ""),
            ("1 2", &[], "2 1", "", ""),
            ("1 2", &[], "2 3", "3", "1"),
            ("1", &[], "2 3", "2 3", "1"),
            ("1 2", &[], "", "", "1 2"),
            ("0", &[], "0", "", ""),
            // The same port for something else is another.
            ("1", &[], "01", "01", "1"),
            // What was inherited wins.
            ("", &[Role::Http], "1 01", "01", ""),
            ("01", &[Role::Http], "1 02", "02", "01"),
            ("", &[Role::Http, Role::Https], "1 01", "", ""),
        ] {
            let plan = Plan::between(&endpoints(open), foreign, &endpoints(wanted));
            let want = Plan { add: endpoints(add), drop: endpoints(drop) };
            assert_eq!(plan, want, "{open:?} to {wanted:?} beside {foreign:?}");
        }
    }
}

//! Which addresses to open, keep and close.

use crate::{address::Address, role::Role};

/// An address and what it is for.
pub(crate) type Spot = (Role, Address);

/// The way from the addresses that are listened on to those that are wanted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) add: Vec<Spot>,
    pub(crate) drop: Vec<Spot>,
}

impl Plan {
    /// Plans by the addresses as they are configured, so that a port 0 keeps the port it found.
    ///
    /// Where somebody else has bound what a role is served by, none that is `wanted` for it is bound
    /// beside that.
    pub(crate) fn between(open: &[Spot], foreign: &[Role], wanted: &[Spot]) -> Self {
        let is_ours = |spot: &&Spot| !foreign.contains(&spot.0);
        let wanted: Vec<Spot> = wanted.iter().filter(is_ours).cloned().collect();
        let missing_in = |list: &[Spot], of: &[Spot]| {
            of.iter().filter(|spot| !list.contains(spot)).cloned().collect()
        };
        Self { add: missing_in(open, &wanted), drop: missing_in(&wanted, open) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spots(list: &str) -> Vec<Spot> {
        let spot = |port: &str| {
            let role = if port.len() > 1 { Role::Https } else { Role::Http };
            (role, format!("127.0.0.1:{port}").parse().unwrap())
        };
        list.split_whitespace().map(spot).collect()
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
            let plan = Plan::between(&spots(open), foreign, &spots(wanted));
            let want = Plan { add: spots(add), drop: spots(drop) };
            assert_eq!(plan, want, "{open:?} to {wanted:?} beside {foreign:?}");
        }
    }
}

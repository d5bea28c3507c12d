//! Which addresses can be listened on together.

use std::fmt;

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error, SeqAccess, Visitor},
};

use crate::address::Address;

const NONE: &str = "no address to listen on: add listen_addresses = [\"127.0.0.1:8080\"]";

/// Checks a list of addresses, in its order; it may be empty if there are `others`.
pub(super) fn check(addresses: &[Address], others: &[Address]) -> Result<(), String> {
    if addresses.is_empty() && others.is_empty() {
        return Err(NONE.to_owned());
    }
    check_beside(addresses, &[])
}

/// Checks a list of addresses, in its order, beside those that are `listed` before.
pub(super) fn check_beside(addresses: &[Address], listed: &[Address]) -> Result<(), String> {
    // Each port 0 is another port, but twice in one list it is a mistake.
    let listed = || listed.iter().filter(|one| one.socket_addr().is_none_or(|tcp| tcp.port() != 0));
    addresses
        .iter()
        .enumerate()
        .try_for_each(|(n, address)| admit(listed().chain(&addresses[..n]), address))
}

/// Deserializes a list of addresses; an error stands where the address does that it is about.
pub(super) fn addresses<'de, D>(deserializer: D) -> Result<Vec<Address>, D::Error>
where
    D: Deserializer<'de>,
{
    deserializer.deserialize_seq(List)
}

/// Whether `address` can be listened on beside those that are `listed`.
fn admit<'a>(
    listed: impl IntoIterator<Item = &'a Address>,
    address: &Address,
) -> Result<(), String> {
    for other in listed {
        if other == address {
            return Err(format!("{address} is listed twice"));
        }
        if other.covers(address) {
            return Err(format!("{address} is part of {other}, which is listed too"));
        }
        if address.covers(other) {
            return Err(format!("{other} is part of {address}, and is listed too"));
        }
    }
    Ok(())
}

struct List;

impl<'de> Visitor<'de> for List {
    type Value = Vec<Address>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of addresses such as \"127.0.0.1:8080\"")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut listed = Vec::new();
        while let Some(address) = list.next_element_seed(Beside(&listed))? {
            listed.push(address);
        }
        Ok(listed)
    }
}

/// One more address beside those that are listed.
struct Beside<'a>(&'a [Address]);

impl<'de> DeserializeSeed<'de> for Beside<'_> {
    type Value = Address;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Address, D::Error> {
        // The check runs inside the element's own deserializer, which knows where it stands.
        struct One<'a>(&'a [Address]);

        impl Visitor<'_> for One<'_> {
            type Value = Address;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an address such as \"127.0.0.1:8080\"")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Address, E> {
                let address = text.parse().map_err(E::custom)?;
                admit(self.0, &address).map_err(E::custom)?;
                Ok(address)
            }
        }

        deserializer.deserialize_str(One(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::problem;

    #[test]
    fn points_at_the_address_that_is_wrong() {
        for (line, at, says) in [
            (
                "listen_addresses = ['127.0.0.1:1', '127.0.0.1:2', '127.0.0.1:1' ]",
                "'127.0.0.1:1'",
                "127.0.0.1:1 is listed twice",
            ),
            (
                "listen_addresses = ['0.0.0.0:80', '127.0.0.1:80']",
                "'127.0.0.1:80'",
                "127.0.0.1:80 is part of 0.0.0.0:80, which is listed too",
            ),
            (
                "https_addresses = ['here']",
                "'here'",
                "an address is an IP address and a port, such as 127.0.0.1:8080 or [::1]:0, or \
                 unix: and an absolute path",
            ),
        ] {
            assert_eq!(problem(line), (says.to_owned(), at), "{line}");
        }
    }

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
            let addresses: Vec<Address> =
                listed.iter().map(|address| address.parse().unwrap()).collect();
            assert_eq!(check(&addresses, &[]).is_ok(), good, "{listed:?}");
        }
    }
}

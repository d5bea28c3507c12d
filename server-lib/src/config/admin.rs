//! Where whoever looks after the server may be listened to.

use serde::{Deserialize, Deserializer, de::Error};

use crate::address::Address;

/// Checks that nobody else can reach it.
pub(super) fn check(address: &Address) -> Result<(), String> {
    if address.is_local() {
        return Ok(());
    }
    Err(format!(
        "{address} can be reached from elsewhere: it takes a loopback address such as \
         127.0.0.1:9000, or unix: and a path"
    ))
}

pub(super) fn address<'de, D>(deserializer: D) -> Result<Option<Address>, D::Error>
where
    D: Deserializer<'de>,
{
    let address = Address::deserialize(deserializer)?;
    check(&address).map_err(D::Error::custom)?;
    Ok(Some(address))
}

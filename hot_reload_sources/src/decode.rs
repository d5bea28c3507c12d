//! Content as values.

use std::collections::BTreeMap;

use bytes::Bytes;
#[cfg(any(feature = "toml", feature = "json", feature = "yaml"))]
use hot_reload::file_reloader::{FileError, Format};
#[cfg(any(feature = "toml", feature = "json", feature = "yaml"))]
use serde::de::DeserializeOwned;

use crate::{content::Content, error::StoreError};

/// What the name of a set ends in, as its URL does.
#[cfg(any(feature = "toml", feature = "json", feature = "yaml"))]
const SET: &str = "#set";

/// Makes a value of text in the format `F`.
#[cfg(any(feature = "toml", feature = "json", feature = "yaml"))]
pub(crate) fn one<V: DeserializeOwned, F: Format>(
    name: &str,
    content: &Content,
) -> anyhow::Result<V> {
    Ok(F::decode(name, bytes(name, content)?)?)
}

/// Makes a value of each text of a set.
#[cfg(any(feature = "toml", feature = "json", feature = "yaml"))]
pub(crate) fn each<V: DeserializeOwned, F: Format>(
    name: &str,
    content: &Content,
) -> anyhow::Result<BTreeMap<String, V>> {
    // Each is called as if it were alone.
    let start = name.strip_suffix(SET).unwrap_or(name);
    let decoded: Result<_, FileError> = set(name, content)?
        .iter()
        .map(|(key, bytes)| Ok((key.clone(), F::decode(&format!("{start}{key}"), bytes)?)))
        .collect();
    Ok(decoded?)
}

pub(crate) fn bytes<'c>(name: &str, content: &'c Content) -> Result<&'c Bytes, StoreError> {
    match content {
        Content::One(bytes) => Ok(bytes),
        Content::Set(_) => {
            Err(StoreError::invalid("a set of values, where one is expected").of(name))
        }
    }
}

pub(crate) fn set<'c>(
    name: &str,
    content: &'c Content,
) -> Result<&'c BTreeMap<String, Bytes>, StoreError> {
    match content {
        Content::Set(set) => Ok(set),
        Content::One(_) => {
            Err(StoreError::invalid("one value, where a set of them is expected").of(name))
        }
    }
}

pub(crate) fn text(name: &str, content: &Content) -> anyhow::Result<String> {
    let text = std::str::from_utf8(bytes(name, content)?)
        .map_err(|error| StoreError::invalid("not UTF-8").of(name).because(error))?;
    Ok(text.to_owned())
}

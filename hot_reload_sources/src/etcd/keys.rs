//! One key, or all that begin alike.

use std::collections::BTreeMap;

use bytes::Bytes;
use etcd_client::{GetOptions, KeyValue, WatchOptions};

use crate::{
    content::{Entry, Revision},
    error::StoreError,
};

/// Which keys are followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Keys {
    Key(String),
    Prefix(String),
}

/// What they hold.
#[derive(Debug, Clone)]
pub(super) enum Held {
    One(Option<Bytes>),
    /// By the names without the prefix.
    Set(BTreeMap<String, Bytes>),
}

/// What has become of one of them.
#[derive(Debug)]
pub(super) struct Change {
    /// That of a set.
    name: String,
    value: Option<Bytes>,
}

impl Keys {
    /// What their names are, or begin with.
    pub(super) fn start(&self) -> &str {
        let (Self::Key(start) | Self::Prefix(start)) = self;
        start
    }

    pub(super) fn get_options(&self) -> GetOptions {
        match self {
            Self::Key(_) => GetOptions::new(),
            Self::Prefix(_) => GetOptions::new().with_prefix(),
        }
    }

    pub(super) fn watch_options(&self) -> WatchOptions {
        match self {
            Self::Key(_) => WatchOptions::new(),
            Self::Prefix(_) => WatchOptions::new().with_prefix(),
        }
    }

    /// Returns what was read.
    pub(super) fn held(&self, pairs: Vec<KeyValue>) -> Result<Held, StoreError> {
        let mut pairs = pairs.into_iter().map(KeyValue::into_key_value);
        match self {
            Self::Key(_) => Ok(Held::One(pairs.next().map(|(_, value)| value.into()))),
            Self::Prefix(prefix) => pairs
                .map(|(key, value)| Ok((name(prefix, &key)?, Bytes::from(value))))
                .collect::<Result<_, _>>()
                .map(Held::Set),
        }
    }

    /// Returns what has become of one of them.
    pub(super) fn change(&self, pair: &KeyValue) -> Result<Change, StoreError> {
        let name = match self {
            Self::Key(_) => String::new(),
            Self::Prefix(prefix) => name(prefix, pair.key())?,
        };
        // "A deletion resets the version to zero": mvccpb.KeyValue.
        let value = (pair.version() != 0).then(|| Bytes::copy_from_slice(pair.value()));
        Ok(Change { name, value })
    }
}

impl Held {
    pub(super) fn apply(&mut self, Change { name, value }: Change) {
        match (self, value) {
            (Self::One(one), value) => *one = value,
            (Self::Set(set), Some(value)) => _ = set.insert(name, value),
            (Self::Set(set), None) => _ = set.remove(&name),
        }
    }

    pub(super) fn entry(&self, revision: Revision) -> Entry {
        match self {
            Self::One(Some(value)) => Entry::one(value.clone()),
            Self::One(None) => Entry::gone(),
            Self::Set(set) => Entry::set(set.clone()),
        }
        .at(revision)
    }
}

fn name(prefix: &str, key: &[u8]) -> Result<String, StoreError> {
    let name = key.strip_prefix(prefix.as_bytes()).unwrap_or(key);
    match std::str::from_utf8(name) {
        Ok(name) => Ok(name.to_owned()),
        Err(_) => Err(StoreError::invalid(format!(
            "the name of a key there is not UTF-8 ({}); remove it",
            name.escape_ascii()
        ))),
    }
}

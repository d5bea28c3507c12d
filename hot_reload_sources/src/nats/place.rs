//! A place in a bucket.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use super::{Nats, address, connected::Connected, history::History};
use crate::{
    access::Access,
    address::SET,
    error::StoreError,
    store::{Connection, Store},
};

/// As for all clients of NATS, the end of a subject that stands for whatever follows.
const REST: char = '>';

/// One key of a bucket, or a set of them.
#[derive(Debug, Clone)]
#[must_use]
pub struct NatsPlace {
    pub(super) nats: Nats,
    pub(super) bucket: String,
    pub(super) keys: Keys,
    pub(super) history: Arc<History>,
}

/// Which keys of a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Keys {
    One(String),
    /// All that begin with this.
    Prefix(String),
}

impl NatsPlace {
    pub(super) fn new(nats: Nats, bucket: String, keys: Keys) -> Self {
        Self { nats, bucket, keys, history: Arc::default() }
    }

    /// Names the servers, the bucket and the key that are in `url`: `nats://host:4222/bucket/key`, where several
    /// hosts are divided by commas, and `natss://` is for TLS. With `#set` behind it, as in
    /// `nats://host:4222/bucket/flags.#set`, it is all keys that begin with this one.
    ///
    /// # Errors
    ///
    /// Those of [`Nats::from_url`], and when there are no bucket and key that NATS would take.
    pub fn from_url(url: &str, access: Access) -> Result<Self, StoreError> {
        let (servers, bucket, keys) = address::divide(url)?;
        let place = Self::new(Nats::from_url(servers, access)?, bucket, keys);
        place.check()?;
        Ok(place)
    }

    fn check(&self) -> Result<(), StoreError> {
        let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        let is_bucket = !self.bucket.is_empty() && self.bucket.chars().all(is_word);
        let (Keys::One(key) | Keys::Prefix(key)) = &self.keys;
        let is_key = key.chars().all(|c| is_word(c) || matches!(c, '/' | '=' | '.'))
            && !key.starts_with('.')
            && !key.contains("..");
        let is_whole =
            matches!(self.keys, Keys::Prefix(_)) || !(key.is_empty() || key.ends_with('.'));
        if is_bucket && is_key && is_whole {
            return Ok(());
        }
        Err(StoreError::refused(
            "not a name that NATS takes; a bucket has letters, digits, _ and -, and a key also / = and \
             single dots within",
        ))
    }
}

impl Keys {
    /// What it is called, seen from the place; `None` if it is not of it.
    pub(super) fn name<'k>(&self, key: &'k str) -> Option<&'k str> {
        match self {
            Self::One(one) => (one == key).then_some(key),
            Self::Prefix(prefix) => key.strip_prefix(prefix.as_str()),
        }
    }

    /// Undoes [`name`](Self::name).
    pub(super) fn key(&self, name: &str) -> String {
        match self {
            Self::One(_) => name.to_owned(),
            Self::Prefix(prefix) => format!("{prefix}{name}"),
        }
    }

    /// The end of the subjects of all of them, and maybe of others: NATS only knows whole words
    /// between dots.
    pub(super) fn filter(&self) -> String {
        match self {
            Self::One(key) => key.clone(),
            Self::Prefix(prefix) => {
                let words = prefix.rfind('.').map_or("", |dot| &prefix[..=dot]);
                format!("{words}{REST}")
            }
        }
    }
}

#[async_trait]
impl Store for NatsPlace {
    fn name(&self) -> String {
        let (server, bucket) = (self.nats.name(), &self.bucket);
        match &self.keys {
            Keys::One(key) => format!("{server}/{bucket}/{key}"),
            Keys::Prefix(prefix) => format!("{server}/{bucket}/{prefix}#{SET}"),
        }
    }

    fn read_deadline(&self) -> Duration {
        self.nats.read_deadline
    }

    async fn connect(&self) -> Result<Box<dyn Connection>, StoreError> {
        self.check()?;
        let link = self.nats.link().await?;
        Ok(Box::new(Connected::new(self.clone(), link)))
    }
}

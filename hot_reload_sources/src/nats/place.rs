//! A place in a bucket.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;

use super::{
    Nats, address,
    bucket::{Bucket, History},
    changes::{self, Watching},
    fault,
    known::Known,
    link::Link,
};
use crate::{
    access::Access,
    content::Entry,
    error::StoreError,
    store::{Changes, Connection, Store},
};

/// As for all clients of NATS, the end of a subject that stands for whatever follows.
const REST: char = '>';

/// One key of a bucket, or a set of them.
#[derive(Debug, Clone)]
#[must_use]
pub struct NatsPlace {
    nats: Nats,
    bucket: String,
    keys: Keys,
    history: Arc<History>,
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
            Keys::One(key) | Keys::Prefix(key) => format!("{server}/{bucket}/{key}"),
        }
    }

    fn read_deadline(&self) -> Duration {
        self.nats.read_deadline
    }

    async fn connect(&self) -> Result<Box<dyn Connection>, StoreError> {
        self.check()?;
        let link = self.nats.link().await?;
        Ok(Box::new(Connected { place: self.clone(), link, watched: None }))
    }
}

struct Connected {
    place: NatsPlace,
    link: Arc<Link>,
    watched: Option<Watched>,
}

/// What can be told of a watch beside it.
struct Watched {
    known: Arc<Mutex<Known>>,
    filter: String,
}

impl Connected {
    /// Reads what is there without a watch.
    async fn looks(&self) -> Result<Entry, StoreError> {
        let NatsPlace { bucket, keys, history, .. } = &self.place;
        if let Keys::One(key) = keys {
            let bucket = Bucket::open(&self.link, bucket, history).await?;
            if let Some((sequence, message)) = bucket.last(key).await? {
                let mut known = Known::new(keys.clone(), bucket.epoch.clone(), Arc::clone(history));
                known.takes(key, sequence, message);
                return Ok(known.entry());
            }
        }
        // Sets, and what is not there or can't be had otherwise, are told by a consumer of this moment.
        Ok(self.begins().await?.entry())
    }

    /// Begins to watch, and waits until all that is there has been told.
    async fn begins(&self) -> Result<Watching, StoreError> {
        let NatsPlace { nats, bucket, keys, history } = &self.place;
        let bucket = Bucket::open(&self.link, bucket, history).await?;
        let mut watching =
            Watching::begin(bucket, keys.clone(), Arc::clone(history), nats.read_deadline).await?;
        watching.catches_up().await?;
        Ok(watching)
    }
}

#[async_trait]
impl Connection for Connected {
    async fn read(&mut self) -> Result<Entry, StoreError> {
        let Some(Watched { known, filter }) = &self.watched else {
            return self.looks().await;
        };
        // A watch that has lost nothing knows all there is, save for what went without a word.
        let NatsPlace { bucket, history, .. } = &self.place;
        let before = changes::lock(known).latest();
        let bucket = Bucket::open_with_keys(&self.link, bucket, history, filter).await?;
        let mut known = changes::lock(known);
        if bucket.epoch != *known.epoch() || bucket.last < before {
            return Err(fault::lost("the bucket is another one than before"));
        }
        if let Some(keys) = bucket.keys() {
            known.keeps(&keys, bucket.last);
        }
        Ok(known.entry())
    }

    async fn watch(&mut self) -> Result<Option<Changes>, StoreError> {
        let watching = self.begins().await?;
        self.watched = Some(Watched { known: watching.known(), filter: watching.filter() });
        Ok(Some(watching.into_changes()))
    }
}

//! A place in a cluster.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use super::{
    Etcd, Way,
    address::{self, Parts},
    keys::Keys,
    link::Link,
    watch::Watch,
};
use crate::{
    access::Access,
    content::Entry,
    error::StoreError,
    store::{Changes, Connection, Store},
};

/// A place in a cluster: a key, or all keys that begin alike.
#[derive(Debug, Clone)]
#[must_use]
pub struct EtcdPlace {
    etcd: Etcd,
    keys: Arc<Keys>,
}

impl EtcdPlace {
    pub(super) fn new(etcd: Etcd, keys: Keys) -> Self {
        Self { etcd, keys: Arc::new(keys) }
    }

    /// Names the cluster and the key that are in `url`: `etcd://a:2379,b:2379/prod/server.toml` is the key
    /// `prod/server.toml`, and with two slashes in front of it, `/prod/server.toml`. With `#set` behind it,
    /// as in `etcd://a:2379/prod/limits/#set`, it is all keys that begin with this one.
    ///
    /// # Errors
    ///
    /// Those of [`Etcd::from_url`], and when there is no key.
    pub fn from_url(url: &str, access: Access) -> Result<Self, StoreError> {
        let Parts { members, access, keys } = address::parse(url, access)?;
        let keys = keys
            .ok_or_else(|| StoreError::refused("the URL names no key; put it after the members"))?;
        Ok(Self::new(Etcd::new(Way::Members(members, access)), keys))
    }
}

#[async_trait]
impl Store for EtcdPlace {
    fn name(&self) -> String {
        self.etcd.url(self.keys.start())
    }

    fn read_deadline(&self) -> Duration {
        self.etcd.read_deadline
    }

    async fn connect(&self) -> Result<Box<dyn Connection>, StoreError> {
        let link = self.etcd.link().await?;
        Ok(Box::new(Connected { link, place: self.clone() }))
    }
}

struct Connected {
    link: Arc<Link>,
    place: EtcdPlace,
}

#[async_trait]
impl Connection for Connected {
    async fn read(&mut self) -> Result<Entry, StoreError> {
        let reading = self.link.read(&self.place.keys, &self.place.etcd.history).await?;
        Ok(reading.entry())
    }

    async fn watch(&mut self) -> Result<Option<Changes>, StoreError> {
        let watch = Watch {
            link: Arc::clone(&self.link),
            keys: Arc::clone(&self.place.keys),
            history: Arc::clone(&self.place.etcd.history),
        };
        Ok(Some(watch.begin().await?))
    }
}

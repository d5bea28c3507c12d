//! One key of a server.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream;

use super::{
    Redis,
    address::Address,
    cluster::Seat,
    query::{Query, Shape},
    watch::Watch,
};
use crate::{
    access::Access,
    content::Entry,
    error::StoreError,
    store::{Changes, Connection, MAX_SIZE, Store},
};

/// A string, or a hash, of a [`Redis`].
#[derive(Debug, Clone)]
#[must_use]
pub struct RedisPlace {
    redis: Redis,
    query: Query,
}

impl RedisPlace {
    /// Names the server and the key that are in `url`, as [`redis`](crate::redis) has it:
    /// `redis://host:6379/0/prod/server.toml`, `redis://host:6379/0/prod/limits#set`.
    ///
    /// # Errors
    ///
    /// When it is no such URL, or names no key. The server need not be there yet.
    pub fn from_url(url: &str, access: Access) -> Result<Self, StoreError> {
        let address = Address::parse(url, access)?;
        let Some(key) = address.key else {
            return Err(StoreError::refused("the URL names no key; append one after the database"));
        };
        Ok(Self::new(Redis::new(address.server), key, address.shape))
    }

    /// Sets the size in bytes up to which content is read; 16 MiB by default. Of what is larger the server
    /// sends nothing, if it may run a script.
    ///
    /// In a hash the names of fields count, and there are a million at most.
    pub fn max_size(mut self, bytes: usize) -> Self {
        self.query.max_size = bytes;
        self
    }

    pub(super) fn new(redis: Redis, key: impl Into<String>, shape: Shape) -> Self {
        Self { redis, query: Query { key: key.into().into(), shape, max_size: MAX_SIZE } }
    }
}

#[async_trait]
impl Store for RedisPlace {
    fn name(&self) -> String {
        self.redis.server.name_of(&self.query.key, self.query.shape)
    }

    fn read_deadline(&self) -> Duration {
        self.redis.settings.read_deadline
    }

    fn max_size(&self) -> usize {
        self.query.max_size
    }

    async fn connect(&self) -> Result<Box<dyn Connection>, StoreError> {
        let link = self.redis.link().await?;
        Ok(Box::new(Connected(Seat::new(self.redis.clone(), link, self.query.clone()))))
    }
}

/// One key, by the connection of all.
struct Connected(Seat);

#[async_trait]
impl Connection for Connected {
    async fn read(&mut self) -> Result<Entry, StoreError> {
        self.0.read(None).await
    }

    async fn watch(&mut self) -> Result<Option<Changes>, StoreError> {
        let watch = Watch::start(self.0.clone()).await?;
        Ok(Some(Box::pin(stream::try_unfold(watch, async |mut watch| {
            let entry = watch.next().await?;
            Ok(Some((entry, watch)))
        }))))
    }
}

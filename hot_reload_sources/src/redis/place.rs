//! One key of a server.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use ::redis::{Cmd, Value, cmd, from_redis_value};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream;

use super::{Redis, address::Address, cluster::Seat, link::Link, watch::Watch};
use crate::{
    access::Access,
    content::Entry,
    error::StoreError,
    store::{Changes, Connection, Store},
};

/// A string, or a hash, of a [`Redis`].
#[derive(Debug, Clone)]
#[must_use]
pub struct RedisPlace {
    redis: Redis,
    query: Query,
}

/// What is read, and how.
#[derive(Debug, Clone)]
pub(super) struct Query {
    pub(super) key: Arc<str>,
    shape: Shape,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Text,
    Hash,
}

impl RedisPlace {
    /// Creates what reaches the server and the key that `url` names, as [`redis`](crate::redis) has it:
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
        Ok(Self::new(Redis::new(address.server), Query::new(key, address.shape)))
    }

    pub(super) fn new(redis: Redis, query: Query) -> Self {
        Self { redis, query }
    }
}

#[async_trait]
impl Store for RedisPlace {
    fn name(&self) -> String {
        let name = self.redis.server.name_of(&self.query.key);
        match self.query.shape {
            Shape::Text => name,
            // Then comes the name of a field.
            Shape::Hash => format!("{name}#"),
        }
    }

    fn read_deadline(&self) -> Duration {
        self.redis.settings.read_deadline
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

impl Query {
    pub(super) fn new(key: impl Into<String>, shape: Shape) -> Self {
        Self { key: key.into().into(), shape }
    }

    /// Reads it by `link`, to a node that its slot may be on the way to.
    pub(super) async fn read(&self, link: &Link, is_ahead: bool) -> Result<Entry, StoreError> {
        let Self { key, shape } = self;
        let (name, command) = self.command();
        let wanted = format!("{name} {key}");
        let answer = match is_ahead {
            true => link.ask_ahead(&command, &wanted).await,
            false => link.ask(&command, &wanted).await,
        };
        let answer = match answer {
            Err(error) if error.is_invalid() => return Ok(self.another_kind()),
            answer => answer?,
        };
        match (shape, answer) {
            (_, Value::Nil) => Ok(Entry::gone()),
            (Shape::Text, Value::BulkString(bytes)) => Ok(Entry::one(bytes)),
            (Shape::Text, _) => Err(StoreError::invalid("the server answers GET with no string")),
            (Shape::Hash, answer) => hash(answer),
        }
    }

    /// Stands for what is another kind of value: nobody takes it, and the watch goes on until it is mended.
    fn another_kind(&self) -> Entry {
        let told = Bytes::from_static(b"another kind of value");
        match self.shape {
            Shape::Text => Entry::set([(String::new(), told)].into()),
            Shape::Hash => Entry::one(told),
        }
    }

    fn command(&self) -> (&'static str, Cmd) {
        let name = match self.shape {
            Shape::Text => "GET",
            Shape::Hash => "HGETALL",
        };
        let mut command = cmd(name);
        command.arg(&*self.key);
        (name, command)
    }
}

/// A hash without a field does not exist.
fn hash(answer: Value) -> Result<Entry, StoreError> {
    let fields: Vec<(Vec<u8>, Vec<u8>)> = from_redis_value(answer).map_err(|error| {
        StoreError::invalid("the server answers HGETALL with no hash").because(error)
    })?;
    if fields.is_empty() {
        return Ok(Entry::gone());
    }
    let set: Result<BTreeMap<String, Bytes>, StoreError> = fields
        .into_iter()
        .map(|(name, value)| {
            let name = String::from_utf8(name)
                .map_err(|_| StoreError::invalid("a field whose name is not UTF-8"))?;
            Ok((name, value.into()))
        })
        .collect();
    Ok(Entry::set(set?))
}

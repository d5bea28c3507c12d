//! What is followed of a server.

use std::time::Duration;

use async_trait::async_trait;

use super::{
    Postgres, address,
    asked::{Asked, Keys, Query},
};
use crate::{
    access::Access,
    error::StoreError,
    store::{Connection, MAX_SIZE, Store},
};

/// A key of the [table](super#the-table), or all that begin with one: what [`Postgres::key`] and
/// [`Postgres::prefix`] make, and [`from_url`](Self::from_url).
#[derive(Debug, Clone)]
#[must_use]
pub struct PostgresPlace {
    server: Postgres,
    keys: Keys,
    max_size: usize,
}

impl PostgresPlace {
    /// Names the database and the key that are in `url`: `postgres://host:5432/database/key`; with `#set`
    /// behind it, it is all keys that begin with that, and with `database/#set` all of the table.
    ///
    /// # Errors
    ///
    /// Those of [`Postgres::from_url`], and when no key is named.
    pub fn from_url(url: &str, access: Access) -> Result<Self, StoreError> {
        let (server, keys) = Postgres::from_address(url, access)?;
        match keys {
            Some(keys) => Ok(Self::new(server, keys)),
            None => Err(StoreError::refused(format!(
                "{} names no key; write it after the database: postgres://host/database/key",
                server.name()
            ))),
        }
    }

    /// Sets the size in bytes up to which a value, or a set with its names, is read; 16 MiB by default. What
    /// is larger is not sent by the server.
    pub fn max_size(mut self, bytes: usize) -> Self {
        self.max_size = bytes;
        self
    }

    pub(super) fn new(server: Postgres, keys: Keys) -> Self {
        Self { server, keys, max_size: MAX_SIZE }
    }
}

#[async_trait]
impl Store for PostgresPlace {
    fn name(&self) -> String {
        address::name_of(&self.server.name(), &self.keys)
    }

    fn read_deadline(&self) -> Duration {
        self.server.read_deadline
    }

    fn max_size(&self) -> usize {
        self.max_size
    }

    async fn connect(&self) -> Result<Box<dyn Connection>, StoreError> {
        let asked = Asked::Keys { keys: self.keys.clone(), max_size: self.max_size };
        self.server.connected(asked).await
    }
}

/// Whatever a query returns: what [`Postgres::query`] makes.
#[derive(Debug, Clone)]
#[must_use]
pub struct PostgresQuery {
    server: Postgres,
    query: Query,
    name: Option<String>,
}

impl PostgresQuery {
    pub(super) fn new(server: Postgres, sql: String) -> Self {
        Self { server, query: Query { sql: sql.into(), channel: None }, name: None }
    }

    /// Sets the channel whose notifications have it run again, exactly as in `pg_notify`; a name without
    /// quotes in `NOTIFY` is in lower case.
    pub fn channel(mut self, channel: impl Into<String>) -> Self {
        self.query.channel = Some(channel.into().into());
        self
    }

    /// Sets what logs, errors and the status call it, after the name of the server.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }
}

#[async_trait]
impl Store for PostgresQuery {
    fn name(&self) -> String {
        let server = self.server.name();
        match (&self.name, &self.query.channel) {
            (Some(name), _) => format!("{server} ({name})"),
            (None, Some(channel)) => format!("{server} (query, channel {channel})"),
            (None, None) => format!("{server} (query)"),
        }
    }

    fn read_deadline(&self) -> Duration {
        self.server.read_deadline
    }

    async fn connect(&self) -> Result<Box<dyn Connection>, StoreError> {
        self.server.connected(Asked::Query(self.query.clone())).await
    }
}

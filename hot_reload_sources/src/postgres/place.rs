//! What is followed of a server.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{future::try_join, stream};
use tokio_postgres::{Client, Row, types::Type};

use super::{
    CHANNEL, Postgres, fault,
    link::{self, Link, Subscription},
    push::{self, Heard, Push, Told},
    value,
};
use crate::{
    access::Access,
    content::Entry,
    error::StoreError,
    store::{Changes, Connection, Store},
};

/// The server cuts longer names, and what is sent to the whole name is not heard.
const LONGEST_CHANNEL: usize = 63;
const KEY: &str = "SELECT state.epoch::text, state.revision, held.key, held.value \
    FROM hot_reload_state AS state LEFT JOIN hot_reload AS held ON held.key = $1";
const PREFIX: &str = "SELECT state.epoch::text, state.revision, held.key, held.value \
    FROM hot_reload_state AS state LEFT JOIN hot_reload AS held ON starts_with(held.key, $1)";

/// A value, or a set of them, in a server: what [`Postgres::table_key`], [`Postgres::table_prefix`] and
/// [`Postgres::query`] make, and [`from_url`](Self::from_url).
#[derive(Debug, Clone)]
#[must_use]
pub struct PostgresPlace {
    server: Postgres,
    what: What,
}

#[derive(Debug, Clone)]
enum What {
    Key(Arc<str>),
    Prefix(Arc<str>),
    Query { sql: Arc<str>, channel: Option<Arc<str>>, name: Option<Arc<str>> },
}

impl PostgresPlace {
    /// Takes a URL that names a key of the [table](super#the-table):
    /// `postgres://host:5432/database/server.toml`, or all that begin with it, if it ends with `/`.
    ///
    /// # Errors
    ///
    /// As [`Postgres::from_url`]; when no key is named.
    pub fn from_url(url: &str, access: Access) -> Result<Self, StoreError> {
        let (server, key) = Postgres::from_address(url, access)?;
        match key {
            Some(key) if key.ends_with('/') => Ok(server.table_prefix(key)),
            Some(key) => Ok(server.table_key(key)),
            None => Err(StoreError::refused(format!(
                "{} names no key; write it after the database: postgres://host/database/key",
                server.name()
            ))),
        }
    }

    /// Sets the channel whose notifications have a query run again, exactly as in `pg_notify`; a name
    /// without quotes in `NOTIFY` is in lower case. Keys of the table have theirs.
    pub fn channel(mut self, channel: impl Into<String>) -> Self {
        if let What::Query { channel: known, .. } = &mut self.what {
            *known = Some(channel.into().into());
        }
        self
    }

    /// Sets what logs, errors and the status call a query, after the name of the server.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        if let What::Query { name: known, .. } = &mut self.what {
            *known = Some(name.into().into());
        }
        self
    }

    pub(super) fn key(server: Postgres, key: String) -> Self {
        Self { server, what: What::Key(key.into()) }
    }

    pub(super) fn prefix(server: Postgres, prefix: String) -> Self {
        Self { server, what: What::Prefix(prefix.into()) }
    }

    pub(super) fn query(server: Postgres, sql: String) -> Self {
        Self { server, what: What::Query { sql: sql.into(), channel: None, name: None } }
    }
}

#[async_trait]
impl Store for PostgresPlace {
    fn name(&self) -> String {
        let server = self.server.name();
        match &self.what {
            What::Key(key) | What::Prefix(key) => format!("{server}/{key}"),
            What::Query { name: Some(name), .. } => format!("{server} ({name})"),
            What::Query { channel: Some(channel), .. } => {
                format!("{server} (query, channel {channel})")
            }
            What::Query { .. } => format!("{server} (query)"),
        }
    }

    async fn connect(&self) -> Result<Box<dyn Connection>, StoreError> {
        let link = self.server.link().await?;
        Ok(Box::new(Connected { link, what: self.what.clone() }))
    }
}

struct Connected {
    link: Arc<Link>,
    what: What,
}

#[async_trait]
impl Connection for Connected {
    async fn read(&mut self) -> Result<Entry, StoreError> {
        Ok(self.what.read(&self.link).await?.entry)
    }

    async fn watch(&mut self) -> Result<Option<Changes>, StoreError> {
        let (channel, what) = match &self.what {
            What::Query { channel: None, .. } => return Ok(None),
            What::Query { channel: Some(channel), .. } => (&**channel, self.what.clone()),
            What::Key(_) | What::Prefix(_) => (CHANNEL, self.what.clone()),
        };
        if channel.len() > LONGEST_CHANNEL {
            return Err(StoreError::refused(format!(
                "the name of channel {channel} has more than {LONGEST_CHANNEL} bytes; shorten it"
            )));
        }
        let hearing = what.clone();
        let subscription = self.link.subscribe(channel, move |payload| hearing.hear(payload))?;
        // Sent one after the other, and answered in one round trip: what is read is what there was once
        // changes were told.
        let listen = format!("LISTEN {}", link::quoted(channel));
        let listening = async {
            let listened = self.link.client.batch_execute(&listen).await;
            listened.map_err(|error| fault::of(&error))
        };
        let ((), first) = try_join(listening, self.what.read(&self.link)).await?;
        let watch = Watch { epoch: first.epoch, first: Some(first.entry), what, subscription };
        Ok(Some(Box::pin(stream::try_unfold(watch, |mut watch| async move {
            Ok(Some((watch.next().await?, watch)))
        }))))
    }
}

struct Watch {
    what: What,
    subscription: Subscription<Heard>,
    first: Option<Entry>,
    /// Which table it was read from.
    epoch: Option<String>,
}

impl Watch {
    async fn next(&mut self) -> Result<Entry, StoreError> {
        if let Some(first) = self.first.take() {
            return Ok(first);
        }
        self.subscription.news.changed().await.map_err(|_| fault::lost())?;
        let link = &self.subscription.link;
        let heard = self.subscription.news.borrow_and_update().clone();
        if let Some(Heard::Push(push)) = heard
            && self.epoch.as_deref() == Some(&push.epoch)
            && let Some(entry) = entry(&push)
        {
            let cluster = link.cluster().await?;
            return Ok(entry.at(link.revision(cluster, &push.epoch, push.revision)));
        }
        let found = self.what.read(link).await?;
        self.epoch = found.epoch;
        Ok(found.entry)
    }
}

fn entry(push: &Push) -> Option<Entry> {
    match &push.told {
        Told::Value(value) => Some(Entry::one(value.clone())),
        Told::Removed => Some(Entry::gone()),
        Told::Elsewhere => None,
    }
}

/// What was read, and from which table.
struct Found {
    entry: Entry,
    epoch: Option<String>,
}

impl What {
    /// What a notification is worth; nothing where it is of another key.
    fn hear(&self, payload: &str) -> Option<Heard> {
        let heard = match self {
            Self::Key(key) => push::hear(payload, |changed| *changed == **key),
            Self::Prefix(prefix) => {
                match push::hear(payload, |changed| changed.starts_with(&**prefix)) {
                    // A transaction may have written several of them, which are to be seen at once.
                    Heard::Push(_) => Heard::Unclear,
                    heard => heard,
                }
            }
            Self::Query { .. } => Heard::Unclear,
        };
        (heard != Heard::Another).then_some(heard)
    }

    async fn read(&self, link: &Link) -> Result<Found, StoreError> {
        match self {
            Self::Key(key) => {
                read_table(link, KEY, key, |rows| match rows {
                    [row, ..] if column::<Option<&str>>(row, 2)?.is_some() => {
                        Ok(Entry::one(column::<String>(row, 3)?))
                    }
                    _ => Ok(Entry::gone()),
                })
                .await
            }
            Self::Prefix(prefix) => {
                read_table(link, PREFIX, prefix, |rows| {
                    let mut set = BTreeMap::new();
                    for row in rows {
                        let Some(key) = column::<Option<&str>>(row, 2)? else { continue };
                        let name = key.strip_prefix(&**prefix).unwrap_or(key);
                        set.insert(name.to_owned(), Bytes::from(column::<String>(row, 3)?));
                    }
                    Ok(Entry::set(set))
                })
                .await
            }
            Self::Query { sql, .. } => {
                Ok(Found { entry: value::query(&link.client, sql).await?, epoch: None })
            }
        }
    }
}

async fn read_table(
    link: &Link,
    sql: &str,
    key: &str,
    make: impl FnOnce(&[Row]) -> Result<Entry, StoreError>,
) -> Result<Found, StoreError> {
    let (cluster, rows) = try_join(link.cluster(), rows(&link.client, sql, key)).await?;
    let Some(row) = rows.first() else {
        return Err(StoreError::missing("hot_reload_state is empty; run hot_reload.sql again"));
    };
    let epoch: String = column(row, 0)?;
    let number = u64::try_from(column::<i64>(row, 1)?).unwrap_or_default();
    let revision = link.revision(cluster, &epoch, number);
    Ok(Found { entry: make(&rows)?.at(revision), epoch: Some(epoch) })
}

async fn rows(client: &Client, sql: &str, key: &str) -> Result<Vec<Row>, StoreError> {
    client.query_typed(sql, &[(&key, Type::TEXT)]).await.map_err(|error| fault::of(&error))
}

fn column<'r, T: tokio_postgres::types::FromSql<'r>>(
    row: &'r Row,
    index: usize,
) -> Result<T, StoreError> {
    row.try_get(index).map_err(|_| {
        StoreError::refused("the table hot_reload is not that of hot_reload.sql; rename it")
    })
}

//! From nothing to a connection that is watched, or read.

use std::{future::poll_fn, sync::Arc, time::Duration};

use tokio::time::{Instant, timeout};

use crate::{
    content::Entry,
    error::StoreError,
    store::{Changes, Connection, Store},
};

/// A connection, and what is in the store.
pub(crate) struct Opened {
    pub(crate) connection: Box<dyn Connection>,
    pub(super) channel: Channel,
    /// An error that the connection outlives: what should hold the value is missing, or the store is busy.
    pub(crate) entry: Result<Entry, StoreError>,
}

/// How a connection tells of changes.
pub(super) enum Channel {
    Watching(Changes),
    /// It has none, or was not asked for it.
    None,
    /// It has one, which can't be had now.
    Broken(StoreError),
}

/// Why there is no connection.
pub(super) struct Unopened {
    pub(super) error: StoreError,
    /// It was the watch that did not answer, so the next attempt does without.
    pub(super) has_watch_hung: bool,
}

impl From<StoreError> for Unopened {
    fn from(error: StoreError) -> Self {
        Self { error, has_watch_hung: false }
    }
}

/// Connects where there is no `connection` yet, and reads.
pub(crate) async fn open(
    store: Arc<dyn Store>,
    connection: Option<Box<dyn Connection>>,
    deadline: Duration,
) -> Result<Opened, StoreError> {
    let connection = connected(store, connection, deadline).await?;
    read(connection, Channel::None, deadline).await
}

/// The same, of a store whose watch did not answer.
pub(super) async fn open_without(
    watch: StoreError,
    store: Arc<dyn Store>,
    deadline: Duration,
) -> Result<Opened, StoreError> {
    let connection = connected(store, None, deadline).await?;
    read(connection, Channel::Broken(watch), deadline).await
}

/// Connects, and watches: what is there once the watch stands comes by that. Where it can't be watched, what
/// is there is read, since a broken channel is no reason to have no value.
pub(super) async fn open_watched(
    store: Arc<dyn Store>,
    connection: Option<Box<dyn Connection>>,
    deadline: Duration,
) -> Result<Opened, Unopened> {
    let mut connection = connected(store, connection, deadline).await?;
    let watching = async {
        let Some(mut changes) = connection.watch().await? else { return Ok(None) };
        let first = poll_fn(|cx| changes.as_mut().poll_next(cx)).await;
        let ended = || StoreError::unreachable("the watch has ended before it began");
        Ok(Some((first.ok_or_else(ended)??, changes)))
    };
    let begun = Instant::now();
    let watched = in_time(watching, deadline).await;
    Ok(match watched {
        Ok(Some((entry, changes))) => {
            Opened { connection, channel: Channel::Watching(changes), entry: Ok(entry) }
        }
        Ok(None) => read(connection, Channel::None, deadline).await?,
        // The store has answered, and a read would be answered alike.
        Err(error) if is_outlived(&error) => {
            Opened { connection, channel: Channel::None, entry: Err(error) }
        }
        // A read may hang as well, and has a look of its own, so that the status says this first.
        Err(error) if begun.elapsed() > deadline / 2 => {
            return Err(Unopened { error, has_watch_hung: true });
        }
        Err(error) => read(connection, Channel::Broken(error), deadline / 2).await?,
    })
}

async fn connected(
    store: Arc<dyn Store>,
    connection: Option<Box<dyn Connection>>,
    deadline: Duration,
) -> Result<Box<dyn Connection>, StoreError> {
    match connection {
        Some(connection) => Ok(connection),
        None => in_time(store.connect(), deadline).await,
    }
}

async fn read(
    mut connection: Box<dyn Connection>,
    channel: Channel,
    deadline: Duration,
) -> Result<Opened, StoreError> {
    let entry = match (in_time(connection.read(), deadline).await, &channel) {
        (Err(error), Channel::None) if is_outlived(&error) => Err(error),
        (Err(error), _) => return Err(error),
        (Ok(entry), _) => Ok(entry),
    };
    Ok(Opened { connection, channel, entry })
}

/// Whether a connection is as good as before an error like this.
pub(super) fn is_outlived(error: &StoreError) -> bool {
    error.is_throttled() || error.is_missing()
}

pub(super) async fn in_time<T>(
    work: impl Future<Output = Result<T, StoreError>>,
    deadline: Duration,
) -> Result<T, StoreError> {
    timeout(deadline, work).await.unwrap_or_else(|_| {
        Err(StoreError::unreachable(format!(
            "no answer within {deadline:?}; a longer read_deadline gives it more"
        )))
    })
}

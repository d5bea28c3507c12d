//! From nothing to a connection that is watched, or read.

use std::{future::poll_fn, sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{
    content::Entry,
    error::StoreError,
    in_time::in_time,
    store::{Changes, Connection, Store},
};

/// A watch that has no answer after this part of the deadline has hung: what is left of a look's time is no
/// longer enough to read as well.
const WATCH_PART: u32 = 2;

/// A connection, and what is in the store.
pub(crate) struct Opened {
    pub(crate) connection: Box<dyn Connection>,
    pub(super) watch: Watch,
    /// An error that the connection outlives: what should hold the value is missing, or the store is busy.
    pub(crate) entry: Result<Entry, StoreError>,
}

/// What asking for the channel has come to.
pub(super) enum Watch {
    NotAsked,
    Stands(Changes),
    /// The store has no channel.
    None,
    /// It has one, which can't be had now.
    Broken(StoreError),
}

/// Why there is no connection.
pub(super) enum Unopened {
    Failed(StoreError),
    /// The watch has come to no first entry, so that the next attempt has to do without.
    Unwatched(StoreError),
}

impl From<StoreError> for Unopened {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

/// A connection that is watched, if the store has a channel: what is there, and what will be.
pub(super) type Watched = (Box<dyn Connection>, Option<(Entry, Changes)>);

/// Connects where there is no `connection` yet, and reads.
pub(crate) async fn open(
    store: Arc<dyn Store>,
    connection: Option<Box<dyn Connection>>,
    deadline: Duration,
) -> Result<Opened, StoreError> {
    let connection = connected(&*store, connection, deadline).await?;
    read(connection, Watch::NotAsked, deadline).await
}

/// Connects, and watches: what is there once the watch stands comes by that. Where it can't be watched, what
/// is there is read, since a broken channel is no reason to have no value.
pub(super) async fn open_watched(
    store: Arc<dyn Store>,
    connection: Option<Box<dyn Connection>>,
    deadline: Duration,
) -> Result<Opened, Unopened> {
    let mut connection = connected(&*store, connection, deadline).await?;
    let (asked, mut stands) = (Instant::now(), false);
    let watched = in_time(begin(&mut *connection, &mut stands), deadline).await;
    Ok(match watched {
        Ok(Some((entry, changes))) => {
            Opened { connection, watch: Watch::Stands(changes), entry: Ok(entry) }
        }
        Ok(None) => read(connection, Watch::None, deadline).await?,
        // A read would be answered alike.
        Err(error) if error.is_missing() => {
            Opened { connection, watch: Watch::NotAsked, entry: Err(error) }
        }
        Err(error) if stands && is_outlived(&error) => {
            Opened { connection, watch: Watch::Broken(error.clone()), entry: Err(error) }
        }
        // It was a read that failed, or hangs as one may: it has a look of its own, so that the status says
        // this first.
        Err(error) if stands || asked.elapsed() > deadline / WATCH_PART => {
            return Err(Unopened::Unwatched(error));
        }
        Err(error) => read(connection, Watch::Broken(error), deadline).await?,
    })
}

/// Connects, and watches.
pub(super) async fn watch(
    store: Arc<dyn Store>,
    deadline: Duration,
) -> Result<Watched, StoreError> {
    let mut connection = connected(&*store, None, deadline).await?;
    let watched = in_time(begin(&mut *connection, &mut false), deadline).await?;
    Ok((connection, watched))
}

/// Begins to watch, and waits for what is there; says when the watch `stands`.
async fn begin(
    connection: &mut dyn Connection,
    stands: &mut bool,
) -> Result<Option<(Entry, Changes)>, StoreError> {
    let Some(mut changes) = connection.watch().await? else { return Ok(None) };
    *stands = true;
    let first = poll_fn(|cx| changes.as_mut().poll_next(cx)).await;
    let ended = || StoreError::unreachable("the watch has ended before it began");
    Ok(Some((first.ok_or_else(ended)??, changes)))
}

async fn connected(
    store: &dyn Store,
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
    watch: Watch,
    deadline: Duration,
) -> Result<Opened, StoreError> {
    let entry = match in_time(connection.read(), deadline).await {
        Err(error) if !is_outlived(&error) => return Err(error),
        entry => entry,
    };
    Ok(Opened { connection, watch, entry })
}

/// Whether a connection is as good as before an error like this.
pub(super) fn is_outlived(error: &StoreError) -> bool {
    error.is_throttled() || error.is_missing()
}

//! The connection that all places of a handle share.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures_util::{FutureExt, StreamExt, TryStreamExt};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
};
use tokio_postgres::{
    Client, Connection, Error, Row, SimpleQueryMessage, SimpleQueryStream,
    error::SqlState,
    types::{ToSql, Type},
};

use super::{
    drive::{Life, drive},
    fault,
    subscribers::Subscribers,
};
use crate::{error::StoreError, history::History};

/// Which of the servers, databases and histories in this world it is. A standby that was promoted, and a
/// backup that was restored, go on in another timeline: what they have lost is not newer there.
const CLUSTER: &str = "SELECT pg_catalog.pg_is_in_recovery()::text, concat_ws('/', \
    (SELECT system_identifier FROM pg_catalog.pg_control_system()), \
    (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()), \
    CASE WHEN pg_catalog.pg_is_in_recovery() \
    THEN (SELECT upper(to_hex(timeline_id)) FROM pg_catalog.pg_control_checkpoint()) \
    ELSE ltrim(left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 8), '0') END)";

/// As much of it as anybody may ask.
const RECOVERY: &str = "SELECT pg_catalog.pg_is_in_recovery()::text, ''";

/// Those of a statement, in its order.
pub(super) type Parameters<'p> = &'p [(&'p (dyn ToSql + Sync), Type)];

/// One connection, and those who wait for its notifications.
pub(super) struct Link {
    pub(super) client: Arc<Client>,
    /// That of a primary, which it is as long as there is the connection.
    cluster: OnceLock<Arc<Cluster>>,
    /// By cluster and table.
    pub(super) history: Arc<History<String>>,
    subscribers: Subscribers,
    life: Life,
}

/// What revisions are counted in.
#[derive(Default)]
pub(super) struct Cluster {
    pub(super) name: String,
    pub(super) is_primary: bool,
}

impl Link {
    /// Drives `connection` until nobody has the link any more, or the server was silent for `deadline`.
    pub(super) fn new<S, T>(
        client: Client,
        connection: Connection<S, T>,
        deadline: Duration,
        history: Arc<History<String>>,
    ) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let client = Arc::new(client);
        let subscribers = Subscribers::default();
        let life = Life::new();
        let (weak, hearing) = (Arc::downgrade(&client), subscribers.clone());
        tokio::spawn(drive(connection, weak, hearing, life.clone(), deadline));
        Self { client, cluster: OnceLock::new(), history, subscribers, life }
    }

    /// Runs `sql`, and takes all that it returns.
    pub(super) async fn rows(
        &self,
        sql: &str,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, StoreError> {
        let parameters = parameters.iter().cloned();
        let rows = self.client.query_typed_raw(sql, parameters).await.map_err(|e| self.told(&e))?;
        let seen = rows.inspect(|_| self.life.shows());
        seen.try_collect().await.map_err(|error| self.told(&error))
    }

    /// How many columns `sql` returns.
    pub(super) async fn columns(&self, sql: &str) -> Result<usize, StoreError> {
        let statement = self.client.prepare(sql).await.map_err(|error| self.told(&error))?;
        self.life.shows();
        Ok(statement.columns().len())
    }

    /// Has the server tell what comes on `channel`, which a standby can't: whether it does.
    pub(super) async fn listen(&self, channel: &str) -> Result<bool, StoreError> {
        match self.client.batch_execute(&format!("LISTEN {}", quoted(channel))).await {
            Ok(()) => self.life.shows(),
            Err(error) if is_of_standby(&error) => {
                self.life.shows();
                return Ok(false);
            }
            Err(error) => return Err(self.told(&error)),
        }
        Ok(true)
    }

    /// What an error means; that the server says so is a sign of life.
    fn told(&self, error: &Error) -> StoreError {
        if error.as_db_error().is_some() {
            self.life.shows();
        }
        fault::of(error)
    }

    /// Returns what revisions are counted in; asked together with a read, so that it costs no round trip.
    ///
    /// A standby is asked each time: that it is promoted ends no connection.
    pub(super) async fn cluster(&self) -> Result<Arc<Cluster>, StoreError> {
        if let Some(cluster) = self.cluster.get() {
            return Ok(Arc::clone(cluster));
        }
        let cluster = Arc::new(self.ask_cluster().await?);
        if cluster.is_primary {
            // Whoever was faster has set the same.
            let _ = self.cluster.set(Arc::clone(&cluster));
        }
        Ok(cluster)
    }

    async fn ask_cluster(&self) -> Result<Cluster, StoreError> {
        let answer = match self.client.simple_query(CLUSTER).await {
            // Some hosts take the right to ask away; what is counted is known by the table alone then.
            Err(error) if is_forbidden(&error) => self.client.simple_query(RECOVERY).await,
            answer => answer,
        };
        let messages = answer.map_err(|error| self.told(&error))?;
        self.life.shows();
        let cluster = messages.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => {
                let column = |n| row.try_get(n).ok().flatten();
                let is_primary = column(0) == Some("false");
                Some(Cluster { name: column(1).unwrap_or_default().to_owned(), is_primary })
            }
            _ => None,
        });
        Ok(cluster.unwrap_or_default())
    }

    pub(super) fn is_alive(&self) -> bool {
        !self.client.is_closed()
    }

    /// Has whatever comes on `channel` told that `is_told` says yes to, until the connection ends.
    pub(super) fn subscribe(
        self: &Arc<Self>,
        channel: &str,
        is_told: impl Fn(&str) -> bool + Send + 'static,
    ) -> Result<Subscription, StoreError> {
        let (tell, told) = watch::channel(());
        let hears = Box::new(move |payload: &str| {
            if is_told(payload) {
                tell.send_replace(());
            }
        });
        let id = self.subscribers.add(channel, hears).ok_or_else(fault::lost)?;
        Ok(Subscription { told, id, channel: channel.to_owned(), link: Arc::clone(self) })
    }
}

/// Whether anything came on a channel.
pub(super) struct Subscription {
    pub(super) told: watch::Receiver<()>,
    link: Arc<Link>,
    id: u64,
    channel: String,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let link = &self.link;
        link.subscribers.remove(&self.channel, self.id, || {
            send(&link.client, &format!("UNLISTEN {}", quoted(&self.channel)));
        });
    }
}

/// Returns `name` as SQL takes it.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Sends `sql` before whatever is sent later, and waits for nothing.
pub(super) fn send(client: &Client, sql: &str) -> Option<SimpleQueryStream> {
    // The first poll sends it, and the answer is waited for by the stream.
    client.simple_query_raw(sql).now_or_never()?.ok()
}

/// Whether somebody has no right to ask, or is asked what there is no function for.
fn is_forbidden(error: &Error) -> bool {
    let forbidden = [SqlState::INSUFFICIENT_PRIVILEGE, SqlState::UNDEFINED_FUNCTION];
    error.code().is_some_and(|code| forbidden.contains(code))
}

/// Whether something can't be had of a standby, which has this of transactions that only read.
fn is_of_standby(error: &Error) -> bool {
    error.code() == Some(&SqlState::READ_ONLY_SQL_TRANSACTION)
}

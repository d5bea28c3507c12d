//! The connection that all places of a handle share.

use std::{
    collections::HashMap,
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use futures_util::{FutureExt, StreamExt};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{OnceCell, watch},
    time::{Instant, sleep_until},
};
use tokio_postgres::{AsyncMessage, Client, Connection, SimpleQueryMessage, SimpleQueryStream};

use super::{fault, history::History};
use crate::{content::Revision, error::StoreError};

/// Which of the servers, databases and histories in this world it is. A standby that was promoted, and a
/// backup that was restored, go on in another timeline: what they have lost is not newer there.
const CLUSTER: &str = "SELECT pg_catalog.pg_is_in_recovery(), concat_ws('/', \
    (SELECT system_identifier FROM pg_catalog.pg_control_system()), \
    (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()), \
    CASE WHEN pg_catalog.pg_is_in_recovery() \
    THEN (SELECT to_hex(timeline_id) FROM pg_catalog.pg_control_checkpoint()) \
    ELSE ltrim(left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 8), '0') END)";

/// One connection, and those who wait for its notifications.
pub(super) struct Link {
    pub(super) client: Arc<Client>,
    cluster: OnceCell<Cluster>,
    history: Arc<History>,
    /// The table that was read, and how often it was set back.
    joined: Mutex<Option<(String, u64)>>,
    subscribers: Subscribers,
}

/// What revisions are counted in.
#[derive(Default)]
pub(super) struct Cluster {
    name: String,
    is_primary: bool,
}

impl Link {
    /// Drives `connection` until nobody has the link any more, or the server was silent for `deadline`.
    pub(super) fn new<S, T>(
        client: Client,
        connection: Connection<S, T>,
        deadline: Duration,
        limits_statements: bool,
        history: Arc<History>,
    ) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let client = Arc::new(client);
        let subscribers = Subscribers::default();
        let driven = drive(connection, Arc::downgrade(&client), subscribers.clone(), deadline);
        tokio::spawn(driven);
        if limits_statements {
            // One place's slow query must not pass for a dead server to the others.
            let limit = (deadline * 4 / 5).as_millis();
            send(&client, &format!("SET statement_timeout = {limit}"));
        }
        let (cluster, joined) = (OnceCell::new(), Mutex::default());
        Self { client, cluster, history, joined, subscribers }
    }

    /// Returns what revisions are counted in; asked together with the first read, so that it costs no
    /// round trip.
    pub(super) async fn cluster(&self) -> Result<&Cluster, StoreError> {
        self.cluster.get_or_try_init(|| cluster(&self.client)).await
    }

    /// Returns the revision `number` of the table that `epoch` identifies.
    pub(super) fn revision(&self, cluster: &Cluster, epoch: &str, number: u64) -> Revision {
        let table = format!("{}/{epoch}", cluster.name);
        let mut joined = self.joined.lock().unwrap_or_else(PoisonError::into_inner);
        let setbacks = match &*joined {
            Some((known, setbacks)) if *known == table => {
                self.history.reaches(&table, number);
                *setbacks
            }
            _ => {
                let setbacks = self.history.joins(&table, number, cluster.is_primary);
                *joined = Some((table.clone(), setbacks));
                setbacks
            }
        };
        Revision::new((table, setbacks), number)
    }

    pub(super) fn is_alive(&self) -> bool {
        !self.client.is_closed()
    }

    /// Has whatever comes on `channel` told to `hears`, which makes what a receiver gets of it; the
    /// receiver ends with the connection.
    pub(super) fn subscribe<N>(
        self: &Arc<Self>,
        channel: &str,
        hears: impl Fn(&str) -> Option<N> + Send + 'static,
    ) -> Result<Subscription<N>, StoreError>
    where
        N: Send + Sync + 'static,
    {
        let (sender, news) = watch::channel(None);
        let hears = Box::new(move |payload: &str| {
            if let Some(heard) = hears(payload) {
                sender.send_replace(Some(heard));
            }
        });
        let id = self.subscribers.add(channel, hears).ok_or_else(fault::lost)?;
        Ok(Subscription { news, id, channel: channel.to_owned(), link: Arc::clone(self) })
    }
}

/// What came on a channel last; whatever came before it and was not looked at is overtaken.
pub(super) struct Subscription<N> {
    pub(super) news: watch::Receiver<Option<N>>,
    pub(super) link: Arc<Link>,
    id: u64,
    channel: String,
}

impl<N> Drop for Subscription<N> {
    fn drop(&mut self) {
        let link = &self.link;
        link.subscribers.remove(&self.channel, self.id, || {
            send(&link.client, &format!("UNLISTEN {}", quoted(&self.channel)));
        });
    }
}

/// Returns `name` as SQL takes it.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Sends `sql` before whatever is sent later, and waits for nothing.
fn send(client: &Client, sql: &str) -> Option<SimpleQueryStream> {
    // The first poll sends it, and the answer is waited for by the stream.
    client.simple_query_raw(sql).now_or_never()?.ok()
}

async fn cluster(client: &Client) -> Result<Cluster, StoreError> {
    let messages = match client.simple_query(CLUSTER).await {
        Ok(messages) => messages,
        // Some hosts take the right to ask away; what is counted is known by the table alone then.
        Err(error) if error.as_db_error().is_some_and(|error| !is_fatal(error.severity())) => {
            return Ok(Cluster::default());
        }
        Err(error) => return Err(fault::of(&error)),
    };
    let cluster = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(Cluster {
            name: row.get(1).unwrap_or_default().to_owned(),
            is_primary: row.get(0) == Some("f"),
        }),
        _ => None,
    });
    Ok(cluster.unwrap_or_default())
}

fn is_fatal(severity: &str) -> bool {
    matches!(severity, "FATAL" | "PANIC")
}

type Hears = Box<dyn Fn(&str) + Send>;

/// Those who wait for notifications, by channel; none once the connection has ended.
#[derive(Clone)]
struct Subscribers(Arc<Mutex<Option<Channels>>>);

#[derive(Default)]
struct Channels {
    next_id: u64,
    hearing: HashMap<String, HashMap<u64, Hears>>,
}

impl Default for Subscribers {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Some(Channels::default()))))
    }
}

impl Subscribers {
    fn add(&self, channel: &str, hears: Hears) -> Option<u64> {
        self.with(|channels| {
            channels.next_id += 1;
            let id = channels.next_id;
            channels.hearing.entry(channel.to_owned()).or_default().insert(id, hears);
            id
        })
    }

    /// Calls `unlisten` if nobody hears `channel` any more, before anybody else can begin to.
    fn remove(&self, channel: &str, id: u64, unlisten: impl FnOnce()) {
        self.with(|channels| {
            let Some(hearing) = channels.hearing.get_mut(channel) else { return };
            hearing.remove(&id);
            if hearing.is_empty() {
                channels.hearing.remove(channel);
                unlisten();
            }
        });
    }

    fn tell(&self, channel: &str, payload: &str) {
        self.with(|channels| {
            for hears in channels.hearing.get(channel).into_iter().flat_map(HashMap::values) {
                hears(payload);
            }
        });
    }

    fn close(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn with<R>(&self, act: impl FnOnce(&mut Channels) -> R) -> Option<R> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut().map(act)
    }
}

/// Ends, and closes the connection, when the client is dropped, or when the server says nothing within
/// `deadline`, though it is asked in the middle of it.
async fn drive<S, T>(
    mut connection: Connection<S, T>,
    client: Weak<Client>,
    subscribers: Subscribers,
    deadline: Duration,
) where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    let half = deadline / 2;
    let mut asked: Option<Pin<Box<SimpleQueryStream>>> = None;
    let mut until = Instant::now() + half;
    loop {
        let answer = async {
            match &mut asked {
                Some(asked) => asked.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            message = poll_fn(|cx| connection.poll_message(cx)) => match message {
                Some(Ok(AsyncMessage::Notification(heard))) => {
                    subscribers.tell(heard.channel(), heard.payload());
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => break,
            },
            _answer = answer => asked = None,
            () = sleep_until(until) => {
                if asked.is_some() {
                    break;
                }
                // Without a client it is about to end, and has as long as that for it.
                asked = client.upgrade().and_then(|client| send(&client, "")).map(Box::pin);
                if asked.is_none() {
                    break;
                }
            }
        }
        until = Instant::now() + half;
    }
    subscribers.close();
}

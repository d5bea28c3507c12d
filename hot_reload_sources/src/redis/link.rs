//! The connection that all keys of a server share.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use ::redis::{
    Cmd, ProtocolVersion, PushInfo, PushKind, RedisError, Value, aio::MultiplexedConnection, cmd,
    pipe,
};
use tokio::{
    sync::OnceCell,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    Settings,
    dial::Server,
    fault,
    keyspace::Keyspace,
    news::{Mark, News},
};
use crate::error::StoreError;

/// Silence may begin right after a sign of life, so one part of the deadline is for waiting, and one for the
/// answer.
const PARTS: u32 = 2;

/// Asks, and hears of changes, for all who follow a key.
pub(super) struct Link {
    connection: MultiplexedConnection,
    news: Arc<News>,
    server: Arc<Server>,
    settings: Settings,
    channel: Channel,
    way: AtomicUsize,
    /// They end with it.
    _tasks: JoinSet<()>,
}

/// How it hears of changes, once somebody wants to.
enum Channel {
    Tracking(OnceCell<()>),
    Keyspace(OnceCell<Keyspace>),
    /// The server knows no RESP3.
    None,
}

impl Link {
    pub(super) async fn connect(
        server: Arc<Server>,
        settings: Settings,
    ) -> Result<Self, StoreError> {
        let news = Arc::new(News::default());
        let opened = if settings.keyspace_events {
            server.open_resp2().await?
        } else {
            let news = Arc::clone(&news);
            server
                .open(move |push| {
                    hear(&news, &push);
                    Ok(())
                })
                .await?
        };
        let channel = match opened.protocol {
            _ if settings.keyspace_events => Channel::Keyspace(OnceCell::new()),
            ProtocolVersion::RESP2 => Channel::None,
            _ => Channel::Tracking(OnceCell::new()),
        };
        let connection = opened.connection;
        let beat = beat(Arc::clone(&news), settings.read_deadline, {
            let connection = connection.clone();
            move || {
                let mut connection = connection.clone();
                async move { cmd("PING").exec_async(&mut connection).await }
            }
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(opened.driver);
        tasks.spawn(beat);
        let way = AtomicUsize::new(0);
        Ok(Self { connection, news, server, settings, channel, way, _tasks: tasks })
    }

    pub(super) fn is_alive(&self) -> bool {
        !self.news.is_lost()
    }

    /// Starts to hear of changes of `key`: those after the next time it is read.
    pub(super) async fn follow(&self, key: &str) -> Result<Mark, StoreError> {
        let mark = self.news.follow(key)?;
        match &self.channel {
            Channel::Tracking(is_on) => {
                let mut turn_on = cmd("CLIENT");
                turn_on.arg("TRACKING").arg("ON");
                let turn_on = || async { self.ask(&turn_on, "CLIENT TRACKING").await.map(drop) };
                is_on.get_or_try_init(turn_on).await?;
            }
            Channel::Keyspace(keyspace) => {
                let connect = || Keyspace::connect(self, &self.server, &self.news, self.settings);
                keyspace.get_or_try_init(connect).await?.follow(key).await?;
            }
            Channel::None => {
                return Err(StoreError::refused(
                    "the server knows no RESP3, which client tracking needs; use keyspace_events",
                ));
            }
        }
        Ok(mark)
    }

    /// Whether `mark` is told by it.
    pub(super) fn tells(&self, mark: &Mark) -> bool {
        mark.is_told_by(&self.news)
    }

    /// Returns the first way to read that is not known to be closed.
    pub(super) fn way(&self) -> usize {
        // Relaxed, as nothing else hangs on it: who has not heard yet is told by the server.
        self.way.load(Ordering::Relaxed)
    }

    /// Notes that the ways before this are closed.
    pub(super) fn keeps_to(&self, way: usize) {
        self.way.fetch_max(way, Ordering::Relaxed);
    }

    pub(super) fn server(&self) -> &Server {
        &self.server
    }

    /// Asks the server; `wanted` says for what, in errors.
    pub(super) async fn ask(&self, command: &Cmd, wanted: &str) -> Result<Value, StoreError> {
        let mut connection = self.connection.clone();
        self.answered(command.query_async(&mut connection), wanted).await
    }

    /// The same, of a node that the slot of the key is on the way to.
    /// <https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#ask-redirection>
    pub(super) async fn ask_ahead(&self, command: &Cmd, wanted: &str) -> Result<Value, StoreError> {
        let mut connection = self.connection.clone();
        // Sent as one: nobody else's command comes in between.
        let mut both = pipe();
        both.cmd("ASKING").add_command(command.clone()).ignore_errors();
        let answers = both.query_async::<(Value, Value)>(&mut connection);
        let (may, answer) = self.answered(answers, wanted).await?;
        may.extract_error().map_err(|error| fault::of(&error, "ASKING"))?;
        answer.extract_error().map_err(|error| fault::of(&error, wanted))
    }

    async fn answered<T>(
        &self,
        answer: impl Future<Output = Result<T, RedisError>>,
        wanted: &str,
    ) -> Result<T, StoreError> {
        let answer = tokio::select! {
            biased;
            answer = answer => answer,
            lost = self.news.lost() => return Err(lost),
        };
        answer.map_err(|error| {
            if fault::is_lost(&error) {
                self.news.lose();
            }
            fault::of(&error, wanted)
        })
    }
}

/// Takes note of what the server has pushed; called by what reads from the connection, so it never waits.
fn hear(news: &News, push: &PushInfo) {
    match (&push.kind, push.data.as_slice()) {
        (PushKind::Disconnection, _) => news.lose(),
        (PushKind::Invalidate, [Value::Array(keys)]) => {
            for key in keys {
                // Those followed here are text.
                if let Value::BulkString(key) = key
                    && let Ok(key) = str::from_utf8(key)
                {
                    news.changed(key);
                }
            }
        }
        // In place of keys there is a null after FLUSHALL, and FLUSHDB.
        (PushKind::Invalidate, _) => news.all_changed(),
        _ => {}
    }
}

/// Asks for a sign of life, until there is none in time; then, or if it is dropped, the news are lost.
pub(super) async fn beat<F>(news: Arc<News>, deadline: Duration, ping: impl Fn() -> F)
where
    F: Future<Output = Result<(), RedisError>>,
{
    let _end = End(news);
    let part = deadline / PARTS;
    loop {
        sleep(part).await;
        match timeout(part, ping()).await {
            Ok(Err(error)) if fault::is_lost(&error) => return,
            // One who may not ask is answered that.
            Ok(_) => {}
            Err(_silence) => return,
        }
    }
}

/// The news are lost with whatever brings them, as with its runtime.
struct End(Arc<News>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.lose();
    }
}

//! A store, followed: what is connected, read and watched when.

use std::{
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use hot_reload::{Follow, Hint, Look, Mechanism, Patience, ReloadResult, ReloaderOptions};
use tokio::time::{Instant, Sleep, sleep, timeout};
use tracing::debug;

use crate::{
    content::{Entry, Revision},
    error::StoreError,
    from_store::FromStore,
    pace::Pace,
    store::{Changes, Connection, Store},
};

/// More than a look is worth waiting for; the rest is taken by the next.
const MOST_AT_ONCE: usize = 4096;
/// A read during which something arrived tells nothing of which is newer; a store that never rests is
/// taken at its word after this many.
const MOST_READS: u32 = 3;

const NO_CHANNEL: &str = "the store has no channel for them";

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type Opened = (Box<dyn Connection>, Channel, Entry);

/// How a connection tells of changes.
pub(crate) enum Channel {
    Watching(Changes),
    /// It has none.
    None,
    /// It could have one.
    Refused(StoreError),
}

/// Follows a store for one run of a service.
pub(crate) struct FollowStore<V> {
    source: FromStore<V>,
    is_realtime: bool,
    poll_interval: Option<Duration>,
    pace: Pace,
    connection: Option<Box<dyn Connection>>,
    changes: Option<Changes>,
    watched_since: Instant,
    step: Option<Step>,
    /// What arrived and no look has taken yet.
    arrived: Option<Entry>,
    newest: Option<Revision>,
    /// What the newest entry came to.
    standing: Standing,
    /// Why there are no events, and whether there could be.
    unwatched: Option<Unwatched>,
    /// When to look although nothing was heard.
    audit_at: Option<Instant>,
    must_read: bool,
    reads: u32,
    /// When to connect again after a watch has ended.
    resume: Option<Pin<Box<Sleep>>>,
}

enum Step {
    Opening(Boxed<Result<Opened, StoreError>>),
    Reading(Boxed<(Box<dyn Connection>, Result<Entry, StoreError>)>),
}

enum Unwatched {
    NoChannel,
    Refused(String),
}

enum Standing {
    Good,
    /// No value can be made of this.
    Bad(Entry),
}

impl<V> FollowStore<V> {
    pub(crate) fn new(source: FromStore<V>, options: &ReloaderOptions, is_realtime: bool) -> Self {
        let (poll_interval, floor, ceiling) = options.pace();
        Self {
            pace: Pace::new(floor, ceiling, source.settings.reconnect_ceiling),
            source,
            is_realtime: is_realtime && options.watches(),
            poll_interval,
            connection: None,
            changes: None,
            watched_since: Instant::now(),
            step: None,
            arrived: None,
            newest: None,
            standing: Standing::Good,
            unwatched: None,
            audit_at: None,
            must_read: false,
            reads: 0,
            resume: None,
        }
    }

    /// Takes note of an entry that arrived, unless a newer one is known.
    fn arrives(&mut self, entry: Entry) -> bool {
        let newest = self.arrived.as_ref().map_or(self.newest, |arrived| arrived.revision);
        if is_older(&entry, newest) {
            return false;
        }
        self.arrived = Some(entry);
        true
    }

    /// Takes what has arrived, the last of it; whether that is anything, or the end of the watch.
    fn poll_changes(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut has_news = false;
        for _ in 0..MOST_AT_ONCE {
            let Some(changes) = &mut self.changes else { break };
            match changes.as_mut().poll_next(cx) {
                Poll::Pending if has_news => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(entry))) => has_news |= self.arrives(entry),
                Poll::Ready(ended) => {
                    self.disconnect();
                    let pause = self.watch_ended(ended.and_then(Result::err));
                    self.resume = Some(Box::pin(sleep(pause)));
                    break;
                }
            }
        }
        if has_news { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Says why, which no status does, as the next attempt may well succeed; returns the pause before that.
    fn watch_ended(&mut self, error: Option<StoreError>) -> Duration {
        let kind = error.as_ref().map(StoreError::kind);
        let error = error.map(|error| error.to_string());
        debug!(target: "hot_reload::watch_ended", source = &*self.source.name, error, "watching anew");
        self.pace.watch_ended(self.watched_since.elapsed(), kind)
    }

    fn disconnect(&mut self) {
        self.changes = None;
        self.connection = None;
    }

    fn opens(&mut self) -> Step {
        self.disconnect();
        self.resume = None;
        let store = Arc::clone(&self.source.store);
        Step::Opening(Box::pin(open(store, self.is_realtime, self.source.settings.read_deadline)))
    }

    fn reads(&mut self, mut connection: Box<dyn Connection>) -> Step {
        // What has arrived is older than what is read from now on, unless its revision tells.
        self.arrived.take_if(|arrived| arrived.revision.is_none());
        let deadline = self.source.settings.read_deadline;
        Step::Reading(Box::pin(async move {
            let read = in_time(connection.read(), deadline).await;
            (connection, read)
        }))
    }

    fn connected(&mut self, (connection, channel, entry): Opened) -> Entry {
        self.connection = Some(connection);
        self.unwatched = match channel {
            Channel::Watching(changes) => {
                self.changes = Some(changes);
                self.watched_since = Instant::now();
                None
            }
            Channel::None => Some(Unwatched::NoChannel),
            Channel::Refused(error) => Some(Unwatched::Refused(error.to_string())),
        };
        entry
    }

    fn sets_audit(&mut self) {
        self.must_read = false;
        self.audit_at = self.look_interval().map(|interval| Instant::now() + interval);
    }

    /// How often to look although nothing was heard.
    fn look_interval(&self) -> Option<Duration> {
        // What is not watched has to be looked at.
        let unwatched = self.changes.is_none().then_some(self.pace.ceiling());
        match (self.poll_interval, unwatched) {
            (Some(poll), Some(unwatched)) => Some(poll.min(unwatched)),
            (poll, unwatched) => poll.or(unwatched),
        }
    }

    /// What the newest entry came to, once more.
    fn again(&self) -> ReloadResult<Look<V>, V, String> {
        match &self.standing {
            Standing::Good => Ok(Look::Unchanged),
            Standing::Bad(entry) => Ok(Look::Value(self.source.value(entry)?)),
        }
    }

    fn takes(&mut self, entry: Entry) -> ReloadResult<Look<V>, V, String> {
        self.pace.succeeded();
        if is_older(&entry, self.newest) {
            return self.again();
        }
        self.newest = entry.revision;
        match self.source.value(&entry) {
            Ok(value) => {
                self.standing = Standing::Good;
                Ok(Look::Value(value))
            }
            Err(error) => {
                self.standing = Standing::Bad(entry);
                Err(error.into())
            }
        }
    }

    fn fails(&mut self, error: StoreError) -> ReloadResult<Look<V>, V, String> {
        self.pace.failed(error.kind());
        Err(anyhow::Error::from(error.of(&self.source.name)).into())
    }
}

impl<V> Follow<V, String> for FollowStore<V> {
    fn poll_hint(&mut self, cx: &mut Context<'_>) -> Poll<Hint> {
        if let Some(resume) = &mut self.resume {
            ready!(resume.as_mut().poll(cx));
            self.resume = None;
            return Poll::Ready(Hint::Finished);
        }
        match self.poll_changes(cx) {
            Poll::Ready(()) => Poll::Ready(Hint::Finished),
            // The watch has ended just now, and the pause before the next is to be waited for.
            Poll::Pending if self.resume.is_some() => self.poll_hint(cx),
            Poll::Pending => Poll::Pending,
        }
    }

    fn poll_look(
        &mut self,
        cx: &mut Context<'_>,
        _patience: Patience,
    ) -> Poll<ReloadResult<Look<V>, V, String>> {
        loop {
            match &mut self.step {
                Some(Step::Opening(opening)) => {
                    let opened = ready!(opening.as_mut().poll(cx));
                    self.step = None;
                    let entry = match opened {
                        Ok(opened) => self.connected(opened),
                        Err(error) => return Poll::Ready(self.fails(error)),
                    };
                    self.sets_audit();
                    return Poll::Ready(self.takes(entry));
                }
                Some(Step::Reading(reading)) => {
                    let (connection, read) = ready!(reading.as_mut().poll(cx));
                    self.step = None;
                    match read {
                        Ok(entry) => {
                            self.connection = Some(connection);
                            self.sets_audit();
                            if let Some(entry) = self.settles(entry, cx) {
                                return Poll::Ready(self.takes(entry));
                            }
                        }
                        Err(error) if error.is_throttled() || error.is_missing() => {
                            self.connection = Some(connection);
                            return Poll::Ready(self.fails(error));
                        }
                        // Only a new one tells whether the store, or the connection, is lost.
                        Err(_lost) => {
                            drop(connection);
                            self.step = Some(self.opens());
                        }
                    }
                }
                None => {
                    let is_due = self.audit_at.is_some_and(|at| at <= Instant::now());
                    if !self.must_read
                        && let Some(entry) = self.arrived.take()
                    {
                        return Poll::Ready(self.takes(entry));
                    }
                    let is_refused = matches!(self.unwatched, Some(Unwatched::Refused(_)));
                    self.step = Some(match self.connection.take() {
                        // A channel that was refused may be had by now.
                        Some(_) if is_refused && is_due => self.opens(),
                        Some(connection) if self.must_read || is_due => self.reads(connection),
                        Some(connection) => {
                            self.connection = Some(connection);
                            return Poll::Ready(self.again());
                        }
                        None => self.opens(),
                    });
                }
            }
        }
    }

    fn abandon_look(&mut self) {
        self.step = None;
    }

    fn must_load(&mut self) {
        self.must_read = true;
    }

    fn look_again_after(&self) -> Option<Duration> {
        self.look_interval()
    }

    fn pause(&mut self) -> Option<Duration> {
        self.pace.pause()
    }

    fn name(&self) -> Option<Arc<str>> {
        Some(Arc::clone(&self.source.name))
    }

    fn mechanism(&self) -> Mechanism {
        match &self.unwatched {
            _ if !self.is_realtime => Mechanism::Polling,
            Some(Unwatched::NoChannel) => Mechanism::Degraded(NO_CHANNEL.into()),
            Some(Unwatched::Refused(reason)) => Mechanism::Degraded(reason.clone().into()),
            None if self.poll_interval.is_some() => Mechanism::EventsAndPolling,
            None => Mechanism::Events,
        }
    }
}

impl<V> FollowStore<V> {
    /// Returns the newer of what was read and what arrived meanwhile; `None` where only another read
    /// can tell.
    fn settles(&mut self, read: Entry, cx: &mut Context<'_>) -> Option<Entry> {
        // What it says is in `arrived`, and the end of the watch in `resume`.
        let _ = self.poll_changes(cx);
        self.reads += 1;
        let Some(arrived) = self.arrived.take() else {
            self.reads = 0;
            return Some(read);
        };
        let can_be_compared = read.revision.is_some() && arrived.revision.is_some();
        if can_be_compared || self.reads >= MOST_READS {
            self.reads = 0;
            return Some(if is_older(&read, arrived.revision) { arrived } else { read });
        }
        self.must_read = true;
        None
    }
}

fn is_older(entry: &Entry, than: Option<Revision>) -> bool {
    entry.revision.zip(than).is_some_and(|(entry, than)| entry.is_older_than(than))
}

/// Connects, starts to watch where that is wanted, and reads what is there once the watch stands.
pub(crate) async fn open(
    store: Arc<dyn Store>,
    is_realtime: bool,
    deadline: Duration,
) -> Result<Opened, StoreError> {
    let opening = async {
        let mut connection = store.connect().await?;
        let channel = if is_realtime {
            match connection.watch().await {
                Ok(Some(changes)) => Channel::Watching(changes),
                Ok(None) => Channel::None,
                Err(error) if error.is_refused() => Channel::Refused(error),
                Err(error) => return Err(error),
            }
        } else {
            Channel::None
        };
        Ok((connection, channel))
    };
    let (mut connection, mut channel) = in_time(opening, deadline).await?;
    let entry = match &mut channel {
        Channel::Watching(changes) => {
            let mut first = pin!(std::future::poll_fn(|cx| changes.as_mut().poll_next(cx)));
            let first = async {
                let ended = || StoreError::unreachable("the watch has ended before it began");
                first.as_mut().await.ok_or_else(ended)?
            };
            in_time(first, deadline).await?
        }
        Channel::None | Channel::Refused(_) => in_time(connection.read(), deadline).await?,
    };
    Ok((connection, channel, entry))
}

async fn in_time<T>(
    work: impl Future<Output = Result<T, StoreError>>,
    deadline: Duration,
) -> Result<T, StoreError> {
    timeout(deadline, work).await.unwrap_or_else(|_| {
        Err(StoreError::unreachable(format!(
            "no answer within {deadline:?}; a longer read_deadline gives it more"
        )))
    })
}

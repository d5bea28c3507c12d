//! A store, followed: what is connected, read and watched when.

mod open;
mod order;

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use hot_reload::{Follow, Hint, Look, Mechanism, Patience, ReloadResult, ReloaderOptions};
use tokio::time::{Instant, Sleep, sleep};
use tracing::debug;

pub(crate) use self::open::open;
use self::{
    open::{Channel, Opened, Unopened, in_time, is_outlived, open_watched, open_without},
    order::{Order, Settled},
};
use crate::{
    content::Entry,
    error::StoreError,
    from_store::FromStore,
    pace::Pace,
    store::{Changes, Connection},
};

/// More than a look is worth waiting for; the rest is taken by the next.
const MOST_AT_ONCE: usize = 4096;
/// A look connects, watches and reads, each within the read deadline.
const STEPS: u32 = 3;
/// That of the service, which is there for whatever has none of its own.
const SHORTEST_LOOK: Duration = Duration::from_secs(60);

const NO_CHANNEL: &str = "the store has no channel for them";

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Follows a store for one run of a service.
pub(crate) struct FollowStore<V> {
    source: FromStore<V>,
    is_realtime: bool,
    poll_interval: Option<Duration>,
    pace: Pace,
    /// Held by the step while there is one.
    connection: Option<Box<dyn Connection>>,
    watch: Watch,
    step: Option<Step>,
    order: Order,
    /// What the newest entry came to.
    standing: Standing,
    /// When to look although nothing was heard.
    audit_at: Option<Instant>,
    must_read: bool,
    /// What the last watch came to, if it did not answer.
    hung: Option<StoreError>,
    /// When to connect again after a watch has ended.
    resume: Option<Pin<Box<Sleep>>>,
}

enum Watch {
    /// Not yet, no more, or not wanted.
    None,
    Standing {
        changes: Changes,
        since: Instant,
    },
    NoChannel,
    /// It can't be had, for this reason; what there is is read meanwhile.
    Broken(String),
}

enum Step {
    Opening(Boxed<Result<Opened, Unopened>>),
    Reading(Boxed<(Box<dyn Connection>, Result<Entry, StoreError>)>),
}

enum Standing {
    Good,
    /// No value could be made of this.
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
            watch: Watch::None,
            step: None,
            order: Order::default(),
            standing: Standing::Good,
            audit_at: None,
            must_read: false,
            hung: None,
            resume: None,
        }
    }

    /// Takes what has arrived, the last of it; whether that is anything.
    fn poll_changes(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut has_news = false;
        for _ in 0..MOST_AT_ONCE {
            let Watch::Standing { changes, since } = &mut self.watch else {
                return if has_news { Poll::Ready(()) } else { Poll::Pending };
            };
            match changes.as_mut().poll_next(cx) {
                Poll::Pending if has_news => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(entry))) => has_news |= self.order.arrives(entry),
                Poll::Ready(ended) => {
                    let lasted = since.elapsed();
                    self.watch_ended(lasted, ended.and_then(Result::err));
                }
            }
        }
        if has_news {
            return Poll::Ready(());
        }
        // There may be more, which nobody else tells of.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Says why, which no status does as the next attempt may well succeed, and waits before that.
    fn watch_ended(&mut self, lasted: Duration, error: Option<StoreError>) {
        let kind = error.as_ref().map(StoreError::kind);
        let error = error.map(|error| error.to_string());
        debug!(target: "hot_reload::watch_ended", source = &*self.source.name, error, "watching anew");
        self.disconnect();
        self.resume = Some(Box::pin(sleep(self.pace.watch_ended(lasted, kind))));
    }

    fn disconnect(&mut self) {
        self.watch = Watch::None;
        self.connection = None;
    }

    fn opens(&mut self, connection: Option<Box<dyn Connection>>) -> Step {
        self.disconnect();
        self.resume = None;
        let (store, deadline) =
            (Arc::clone(&self.source.store), self.source.settings.read_deadline);
        Step::Opening(match self.hung.take() {
            Some(watch) => Box::pin(async move { Ok(open_without(watch, store, deadline).await?) }),
            None if self.is_realtime => Box::pin(open_watched(store, connection, deadline)),
            None => Box::pin(async move { Ok(open(store, connection, deadline).await?) }),
        })
    }

    fn reads(&mut self, mut connection: Box<dyn Connection>) -> Step {
        self.order.read_begins();
        let deadline = self.source.settings.read_deadline;
        Step::Reading(Box::pin(async move {
            let read = in_time(connection.read(), deadline).await;
            (connection, read)
        }))
    }

    fn opened(&mut self, opened: Opened) -> ReloadResult<Look<V>, V, String> {
        let Opened { connection, channel, entry } = opened;
        self.connection = Some(connection);
        self.order.connects();
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => return self.fails(error),
        };
        self.watch = match channel {
            Channel::Watching(changes) => Watch::Standing { changes, since: Instant::now() },
            Channel::None => Watch::NoChannel,
            Channel::Broken(error) => Watch::Broken(error.to_string()),
        };
        self.must_read = false;
        // Those who have connected together, as after a restart, don't read together from then on.
        let first = self.look_interval().map(|interval| interval.mul_f64(fastrand::f64()));
        self.audit_at = first.map(|first| Instant::now() + first);
        self.takes(entry)
    }

    /// A read has found `entry`; `None` where only another one can tell.
    fn has_read(&mut self, entry: Entry, cx: &mut Context<'_>) -> Option<Entry> {
        self.audit_at = self.look_interval().map(|interval| Instant::now() + interval);
        // What it says is noted, as is the end of the watch.
        let _ = self.poll_changes(cx);
        let settled = self.order.read_ends(entry);
        self.must_read = !matches!(settled, Settled::Newest(_));
        match settled {
            Settled::Newest(entry) | Settled::Maybe(entry) => Some(entry),
            Settled::Unknown => None,
        }
    }

    /// How often to look although nothing was heard.
    fn look_interval(&self) -> Option<Duration> {
        // What is not watched has to be looked at.
        let unwatched = !matches!(self.watch, Watch::Standing { .. });
        self.poll_interval.or(unwatched.then_some(self.pace.ceiling()))
    }

    fn takes(&mut self, entry: Entry) -> ReloadResult<Look<V>, V, String> {
        self.pace.succeeded();
        if !self.order.admits(&entry) {
            return self.again();
        }
        // Until it has proved to be good, as whoever makes a value of it may panic.
        self.standing = Standing::Bad(entry);
        self.again()
    }

    /// What the newest entry comes to.
    fn again(&mut self) -> ReloadResult<Look<V>, V, String> {
        let Standing::Bad(entry) = &self.standing else { return Ok(Look::Unchanged) };
        let value = self.source.value(entry)?;
        self.standing = Standing::Good;
        Ok(Look::Value(value))
    }

    fn fails(&mut self, error: StoreError) -> ReloadResult<Look<V>, V, String> {
        self.pace.failed(error.kind());
        Err(anyhow::Error::from(error.of(&self.source.name)).into())
    }
}

impl<V> Follow<V, String> for FollowStore<V> {
    fn poll_hint(&mut self, cx: &mut Context<'_>) -> Poll<Hint> {
        if self.resume.is_none() && self.poll_changes(cx).is_ready() {
            return Poll::Ready(Hint::Finished);
        }
        // After a watch that has ended, maybe just now.
        let Some(resume) = &mut self.resume else { return Poll::Pending };
        ready!(resume.as_mut().poll(cx));
        self.resume = None;
        Poll::Ready(Hint::Finished)
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
                    return Poll::Ready(match opened {
                        Ok(opened) => self.opened(opened),
                        Err(Unopened { error, has_watch_hung }) => {
                            self.hung = has_watch_hung.then(|| error.clone());
                            self.fails(error)
                        }
                    });
                }
                Some(Step::Reading(reading)) => {
                    let (connection, read) = ready!(reading.as_mut().poll(cx));
                    self.step = None;
                    match read {
                        Ok(entry) => {
                            self.connection = Some(connection);
                            if let Some(entry) = self.has_read(entry, cx) {
                                return Poll::Ready(self.takes(entry));
                            }
                        }
                        Err(error) => {
                            if is_outlived(&error) {
                                self.connection = Some(connection);
                            } else {
                                self.disconnect();
                            }
                            return Poll::Ready(self.fails(error));
                        }
                    }
                }
                None => {
                    let is_due = self.audit_at.is_some_and(|at| at <= Instant::now());
                    let must_read = self.must_read || is_due;
                    if !must_read && let Some(entry) = self.order.take_arrived() {
                        return Poll::Ready(self.takes(entry));
                    }
                    self.step = Some(match (self.connection.take(), &self.watch) {
                        (None, _) => self.opens(None),
                        // A channel that was broken may be had by now, if only by another connection.
                        (Some(_), Watch::Broken(_)) if is_due => self.opens(None),
                        // Opening came to an error that the connection has outlived.
                        (connection, Watch::None) => self.opens(connection),
                        (Some(connection), _) if must_read => self.reads(connection),
                        (connection, _) => {
                            self.connection = connection;
                            return Poll::Ready(self.again());
                        }
                    });
                }
            }
        }
    }

    fn abandon_look(&mut self) {
        if self.step.take().is_some() {
            // The connection was with it.
            self.disconnect();
        }
    }

    fn must_load(&mut self) {
        self.must_read = true;
    }

    fn look_again_after(&self) -> Option<Duration> {
        if self.must_read {
            return Some(self.pace.floor());
        }
        Some(self.audit_at?.saturating_duration_since(Instant::now()))
    }

    fn pause(&mut self) -> Option<Duration> {
        self.pace.pause()
    }

    fn load_timeout(&self) -> Duration {
        // One that the deadlines leave time for.
        SHORTEST_LOOK.max(self.source.settings.read_deadline.saturating_mul(STEPS + 1))
    }

    fn name(&self) -> Option<Arc<str>> {
        Some(Arc::clone(&self.source.name))
    }

    fn mechanism(&self) -> Mechanism {
        let polls = self.poll_interval.is_some();
        match &self.watch {
            _ if !self.is_realtime => Mechanism::Polling,
            Watch::NoChannel if polls => Mechanism::Polling,
            Watch::NoChannel => Mechanism::Degraded(NO_CHANNEL.into()),
            Watch::Broken(reason) => Mechanism::Degraded(reason.clone().into()),
            _ if polls => Mechanism::EventsAndPolling,
            _ => Mechanism::Events,
        }
    }
}

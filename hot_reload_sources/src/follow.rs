//! A store, followed: what is connected, read and watched when.

mod channel;
mod open;
mod order;

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use hot_reload::{Follow, Hint, Look, Mechanism, Patience, ReloadResult, ReloaderOptions};
use tokio::time::{Instant, Sleep, sleep_until};
use tracing::debug;

pub(crate) use self::open::open;
use self::{
    channel::{Channel, Do, Known, Seen},
    open::{Opened, Unopened, Watch, Watched, is_outlived, open_watched},
    order::{Order, Settled},
};
use crate::{
    content::Entry,
    error::{Kind, StoreError},
    from_store::FromStore,
    in_time::in_time,
    pace::Pace,
    store::Connection,
};

/// More than a look is worth waiting for; the rest is taken by the next.
const MOST_AT_ONCE: usize = 4096;
/// A look connects, watches and reads, each within the read deadline.
const STEPS: u32 = 3;
/// That of the service, which is there for whatever has none of its own.
const SHORTEST_LOOK: Duration = Duration::from_secs(60);

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Follows a store for one run of a service.
pub(crate) struct FollowStore<V> {
    source: FromStore<V>,
    is_realtime: bool,
    poll_interval: Option<Duration>,
    pace: Pace,
    /// That of attempts at the channel, which fail by themselves.
    channel_pace: Pace,
    /// Held by the step while there is one.
    connection: Option<Box<dyn Connection>>,
    channel: Channel,
    step: Option<Step>,
    /// At a channel that is off, by a connection of its own: reads go on meanwhile.
    attempt: Option<Boxed<Result<Watched, StoreError>>>,
    order: Order,
    /// What the newest entry came to.
    standing: Standing,
    /// When to look although nothing was heard.
    audit_at: Option<Instant>,
    /// Before when the store is not to be asked, save by a person.
    not_before: Option<Instant>,
    must_read: bool,
    /// Whether only another read can tell what is the newest.
    is_unclear: bool,
    alarm: Option<Pin<Box<Sleep>>>,
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
        let pace = || Pace::new(floor, ceiling, source.settings.reconnect_ceiling);
        Self {
            pace: pace(),
            channel_pace: pace(),
            source,
            is_realtime: is_realtime && options.watches(),
            poll_interval,
            connection: None,
            channel: Channel::Unknown,
            step: None,
            attempt: None,
            order: Order::default(),
            standing: Standing::Good,
            audit_at: None,
            not_before: None,
            must_read: false,
            is_unclear: false,
            alarm: None,
        }
    }

    /// Takes what has arrived, the last of it; whether that is anything.
    fn poll_changes(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut has_news = false;
        for _ in 0..MOST_AT_ONCE {
            let Channel::Standing { changes, since } = &mut self.channel else {
                return if has_news { Poll::Ready(()) } else { Poll::Pending };
            };
            match changes.as_mut().poll_next(cx) {
                Poll::Pending if has_news => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(entry))) => has_news |= self.order.arrives(entry),
                Poll::Ready(ended) => {
                    let lasted = since.elapsed();
                    self.watch_ends(lasted, ended.and_then(Result::err));
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
    fn watch_ends(&mut self, lasted: Duration, error: Option<StoreError>) {
        let told = error.as_ref().map(ToString::to_string);
        debug!(target: "hot_reload::watch_ended", source = &*self.source.name, error = told, "watching anew");
        self.disconnect();
        let resume_at = Instant::now() + self.channel_pace.watch_ended(lasted);
        self.not_before = self.not_before.max(Some(resume_at));
        self.channel = match error {
            // It is to be left alone for longer than a watch takes to begin anew.
            Some(error) if error.is_throttled() => self.off(&error),
            _ => Channel::Off { reason: None, retry_at: resume_at },
        };
    }

    /// A channel that can't be had, for a while.
    fn off(&mut self, error: &StoreError) -> Channel {
        let retry_at = Instant::now() + self.channel_pace.failed(error.kind());
        Channel::Off { reason: Some(error.to_string()), retry_at }
    }

    /// When to do something about a channel that is off.
    fn retry_at(&self) -> Option<Instant> {
        let Channel::Off { retry_at, .. } = self.channel else { return None };
        let not_before = self.not_before.unwrap_or(retry_at);
        // Who is not connected looks first: what there is may be read.
        Some(if self.connection.is_some() { retry_at.max(not_before) } else { not_before })
    }

    /// Asks for a channel that is off once it may be had; whether a look is to be had now.
    fn poll_channel(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Some(attempt) = &mut self.attempt {
                let tried = ready!(attempt.as_mut().poll(cx));
                self.attempt = None;
                match tried {
                    Ok(watched) => {
                        self.is_watched(watched);
                        return Poll::Ready(());
                    }
                    Err(error) => self.channel = self.off(&error),
                }
            }
            let Some(at) = self.retry_at() else {
                self.alarm = None;
                return Poll::Pending;
            };
            let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(at)));
            if alarm.deadline() != at {
                alarm.as_mut().reset(at);
            }
            ready!(alarm.as_mut().poll(cx));
            if self.connection.is_none() {
                return Poll::Ready(());
            }
            let store = Arc::clone(&self.source.store);
            let deadline = store.read_deadline();
            self.attempt = Some(Box::pin(open::watch(store, deadline)));
        }
    }

    /// There is a watch again, by a connection that takes the place of the one there was.
    fn is_watched(&mut self, (connection, watched): Watched) {
        self.connection = Some(connection);
        self.order.connects();
        let Some((first, changes)) = watched else {
            self.channel = Channel::None;
            return;
        };
        self.channel_pace.succeeded();
        self.channel = Channel::Standing { changes, since: Instant::now() };
        self.audit_at = self.audit_at.filter(|_| self.look_interval().is_some());
        if first.revision().is_some() {
            self.order.arrives(first);
        } else {
            // It may be older than what was read while it was on its way.
            self.must_read = true;
        }
    }

    fn disconnect(&mut self) {
        self.channel.is_cut();
        self.connection = None;
    }

    fn open(&mut self, watches: bool) -> Step {
        let connection = self.connection.take();
        self.disconnect();
        let store = Arc::clone(&self.source.store);
        let deadline = store.read_deadline();
        Step::Opening(if watches {
            self.attempt = None;
            Box::pin(open_watched(store, connection, deadline))
        } else {
            Box::pin(async move { Ok(open(store, connection, deadline).await?) })
        })
    }

    fn read(&mut self, mut connection: Box<dyn Connection>) -> Step {
        self.order.read_begins();
        let deadline = self.source.store.read_deadline();
        Step::Reading(Box::pin(async move {
            let read = in_time(connection.read(), deadline).await;
            (connection, read)
        }))
    }

    fn opened(&mut self, opened: Opened) -> ReloadResult<Look<V>, V, String> {
        let Opened { connection, watch, entry } = opened;
        self.connection = Some(connection);
        self.order.connects();
        match watch {
            Watch::NotAsked => {}
            Watch::Stands(changes) => {
                self.channel_pace.succeeded();
                self.channel = Channel::Standing { changes, since: Instant::now() };
            }
            Watch::None => self.channel = Channel::None,
            Watch::Broken(error) => self.channel = self.off(&error),
        }
        self.must_read = entry.is_err();
        self.is_unclear = false;
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => return self.fail(error),
        };
        self.succeed();
        // Those who have connected together, as after a restart, don't read together from then on.
        let first = self.look_interval().map(|interval| interval.mul_f64(fastrand::f64()));
        self.audit_at = first.map(|first| Instant::now() + first);
        self.take(entry)
    }

    /// A read has found `entry`; `None` where only another one can tell.
    fn has_read(&mut self, entry: Entry, cx: &mut Context<'_>) -> Option<Entry> {
        self.succeed();
        self.audit_at = self.look_interval().map(|interval| Instant::now() + interval);
        // What it says is noted, as is the end of the watch.
        let _ = self.poll_changes(cx);
        let settled = self.order.read_ends(entry);
        self.is_unclear = !matches!(settled, Settled::Newest(_));
        self.must_read = self.is_unclear;
        match settled {
            Settled::Newest(entry) | Settled::Maybe(entry) => Some(entry),
            Settled::Unknown => None,
        }
    }

    /// How often to look although nothing was heard.
    fn look_interval(&self) -> Option<Duration> {
        // What is not watched has to be looked at.
        self.poll_interval.or((!self.channel.stands()).then_some(self.pace.ceiling()))
    }

    fn take(&mut self, entry: Entry) -> ReloadResult<Look<V>, V, String> {
        if self.order.admits(&entry) {
            // Until it has proved to be good, as whoever makes a value of it may panic.
            self.standing = Standing::Bad(entry);
        }
        self.value_of_newest()
    }

    fn value_of_newest(&mut self) -> ReloadResult<Look<V>, V, String> {
        let Standing::Bad(entry) = &self.standing else { return Ok(Look::Unchanged) };
        let value = self.source.value(entry)?;
        self.standing = Standing::Good;
        Ok(Look::Value(value))
    }

    fn succeed(&mut self) {
        self.pace.succeeded();
        self.not_before = None;
    }

    fn fail(&mut self, error: StoreError) -> ReloadResult<Look<V>, V, String> {
        self.rest_after(error.kind());
        Err(anyhow::Error::from(error.of(&self.source.name)).into())
    }

    fn rest_after(&mut self, kind: Kind) {
        self.not_before = Some(Instant::now() + self.pace.failed(kind));
    }
}

impl<V> Follow<V, String> for FollowStore<V> {
    fn poll_hint(&mut self, cx: &mut Context<'_>) -> Poll<Hint> {
        if self.poll_changes(cx).is_pending() {
            ready!(self.poll_channel(cx));
        }
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
                        Err(Unopened::Failed(error)) => self.fail(error),
                        Err(Unopened::Unwatched(error)) => {
                            self.channel = self.off(&error);
                            self.fail(error)
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
                                return Poll::Ready(self.take(entry));
                            }
                        }
                        Err(error) if is_outlived(&error) => {
                            self.connection = Some(connection);
                            self.order.read_fails();
                            let failed = self.fail(error);
                            if !self.order.has_arrived() {
                                return Poll::Ready(failed);
                            }
                        }
                        Err(error) => {
                            self.disconnect();
                            return Poll::Ready(self.fail(error));
                        }
                    }
                }
                None => {
                    let now = Instant::now();
                    let seen = Seen {
                        is_connected: self.connection.is_some(),
                        channel: if self.is_realtime {
                            self.channel.known(now)
                        } else {
                            Known::Off
                        },
                        has_arrived: self.order.has_arrived(),
                        must_read: self.must_read,
                        is_due: self.audit_at.is_some_and(|at| at <= now),
                        is_resting: self.not_before.is_some_and(|at| at > now),
                    };
                    match seen.next() {
                        Do::Take => {
                            if let Some(entry) = self.order.take_arrived() {
                                return Poll::Ready(self.take(entry));
                            }
                        }
                        Do::Watch => self.step = Some(self.open(true)),
                        Do::Open => self.step = Some(self.open(false)),
                        Do::Read => {
                            self.step =
                                self.connection.take().map(|connection| self.read(connection));
                        }
                        Do::Rest => return Poll::Ready(self.value_of_newest()),
                    }
                }
            }
        }
    }

    fn abandon_look(&mut self) {
        if self.step.take().is_some() {
            // The connection was with it.
            self.disconnect();
            self.rest_after(Kind::Unreachable);
        }
    }

    fn must_load(&mut self) {
        self.must_read = true;
        self.not_before = None;
    }

    fn look_again_after(&self) -> Option<Duration> {
        let now = Instant::now();
        let due = match self.not_before {
            _ if self.is_unclear => Some(now + self.pace.floor()),
            Some(not_before) if self.must_read => Some(not_before),
            _ => self.audit_at,
        };
        Some(due?.max(self.not_before.unwrap_or(now)).saturating_duration_since(now))
    }

    fn pause(&mut self) -> Option<Duration> {
        let left = self.not_before?.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }

    fn load_timeout(&self) -> Duration {
        // One that the deadlines leave time for.
        SHORTEST_LOOK.max(self.source.store.read_deadline().saturating_mul(STEPS + 1))
    }

    fn name(&self) -> Option<Arc<str>> {
        Some(Arc::clone(&self.source.name))
    }

    fn mechanism(&self) -> Mechanism {
        let polls = self.poll_interval.is_some();
        if self.is_realtime { self.channel.mechanism(polls) } else { Mechanism::Polling }
    }
}

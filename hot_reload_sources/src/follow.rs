//! A store, followed: what is connected, read and watched when.

mod channel;
mod listen;
mod look;
mod open;
mod order;

use std::{pin::Pin, sync::Arc, task::Context, time::Duration};

use hot_reload::{Look, ReloadResult, ReloaderOptions};
use tokio::{
    task::JoinSet,
    time::{Instant, Sleep},
};

pub(crate) use self::open::open;
use self::{
    channel::Channel,
    open::{Opened, Unopened, Watch, Watched, open_watched},
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
    attempt: Option<JoinSet<Result<Watched, StoreError>>>,
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

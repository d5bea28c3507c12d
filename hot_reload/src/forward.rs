//! A followed source as a channel of events, for who calls `watch_realtime` without a service.

use std::sync::Mutex;

use tokio::{sync::mpsc, task::JoinSet};

use crate::{
    change::Origin,
    follow::BoxFollow,
    lock::lock,
    options::ReloaderOptions,
    reload::{RealtimeWatch, RealtimeWatchHandle, WatchEvent},
    service::{Control, Failure, Found, OnPublish, Refusal, Report, Sink, Trial, followed, run},
    status::Status,
};

/// A receiver that is behind has the watch wait rather than the memory grow.
const BACKLOG: usize = 1;

/// Follows a source in a task of its own, for as long as the handle lives.
///
/// The first event is what it holds now.
pub fn changes<V>(
    follow: impl FnOnce(&ReloaderOptions) -> BoxFollow<'static, V, String>,
) -> RealtimeWatchHandle<V>
where
    V: Eq + Send + Sync + 'static,
{
    let options = ReloaderOptions::realtime();
    let mut source = follow(&options);
    in_a_task(|sink| async move {
        run(&mut *source, &sink, &options, &Control::default()).await;
    })
}

/// The same, of a source whose follower borrows from it.
pub fn of_source<T, V>(source: T) -> RealtimeWatchHandle<V>
where
    T: RealtimeWatch<V, String> + Send + Sync + 'static,
    V: Eq + Send + Sync + 'static,
{
    in_a_task(|sink| async move {
        let options = ReloaderOptions::realtime();
        let mut followed = followed(&source, &options);
        run(&mut *followed, &sink, &options, &Control::default()).await;
    })
}

fn in_a_task<V, F>(follow: impl FnOnce(Forward<V>) -> F) -> RealtimeWatchHandle<V>
where
    V: Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let (tx, rx) = mpsc::channel(BACKLOG);
    // Dropped, it aborts its task.
    let mut task = JoinSet::new();
    task.spawn(follow(Forward { events: tx, status: Mutex::default() }));
    RealtimeWatchHandle::with_cleanup(rx, Box::new(task))
}

struct Forward<V> {
    events: mpsc::Sender<WatchEvent<V>>,
    /// Nobody asks for it, but what was said already is told by it.
    status: Mutex<Status>,
}

impl<V> Report for Forward<V> {
    fn report(&self, change: &mut dyn FnMut(&mut Status)) {
        change(&mut lock(&self.status));
    }

    fn status(&self) -> Status {
        lock(&self.status).clone()
    }
}

impl<V: Eq> Sink<V> for Forward<V> {
    type Admitted = V;

    async fn closed(&self) {
        self.events.closed().await;
    }

    fn is_closed(&self) -> bool {
        self.events.is_closed()
    }

    fn admit(&self, value: V, _origin: Origin) -> Result<Found<V>, Refusal> {
        Ok(Found::New(value))
    }

    async fn publish(&self, value: V, change: OnPublish<'_>) -> Option<Trial> {
        self.report(&mut |status| {
            change(status, false);
        });
        // Refused only when the receiver has just gone, which `closed` reports next.
        let _gone = self.events.send(WatchEvent::Changed(value)).await;
        None
    }

    async fn failed(&self, failure: Failure) {
        let event = if failure.is_missing {
            WatchEvent::Removed
        } else {
            WatchEvent::Error(failure.words.to_string())
        };
        let _gone = self.events.send(event).await;
    }
}

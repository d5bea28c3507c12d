//! A followed file as a channel of events, for who calls `watch_realtime` without a service.

use std::sync::{Mutex, PoisonError};

use tokio::{sync::mpsc, task::JoinHandle};

use crate::{
    follow::BoxFollow,
    options::ReloaderOptions,
    reload::{RealtimeWatchHandle, WatchEvent},
    service::{Change, Failure, Report, Sink, run},
    status::Status,
};

/// A receiver that is behind has the watch wait rather than the memory grow.
const BACKLOG: usize = 1;

/// Follows a file in a task of its own, for as long as the handle lives.
///
/// The first event is the file as it is now.
pub(super) fn changes<V>(
    follow: impl FnOnce(&ReloaderOptions) -> BoxFollow<'static, V, String>,
) -> RealtimeWatchHandle<V>
where
    V: Eq + Send + Sync + 'static,
{
    let (tx, rx) = mpsc::channel(BACKLOG);
    let options = ReloaderOptions::realtime();
    let mut source = follow(&options);
    let sink = Forward { events: tx, status: Mutex::default() };
    let task = tokio::spawn(async move { run(&mut *source, sink, &options).await });
    RealtimeWatchHandle::with_cleanup(rx, Box::new(AbortOnDrop(task)))
}

struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Forward<V> {
    events: mpsc::Sender<WatchEvent<V>>,
    /// Nobody asks for it, but what was said already is told by it.
    status: Mutex<Status>,
}

impl<V> Report for Forward<V> {
    fn report(&self, change: &mut dyn FnMut(&mut Status)) {
        change(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl<V: Eq> Sink<V> for Forward<V> {
    fn closed(&self) -> impl Future<Output = ()> {
        self.events.closed()
    }

    async fn publish(&self, value: V, change: Change<'_>) {
        self.report(&mut |status| change(status, None));
        // Refused only when the receiver has just gone, which `closed` reports next.
        let _gone = self.events.send(WatchEvent::Changed(value)).await;
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

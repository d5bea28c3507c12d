//! A followed file as a channel of events, for who calls `watch_realtime` without a service.

use tokio::{sync::mpsc, task::JoinHandle};

use crate::{
    follow::BoxFollow,
    options::ReloaderOptions,
    reload::{RealtimeWatchHandle, WatchEvent},
    service::{Failure, Report, Sink, run},
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
    let source = follow(&options);
    let task = tokio::spawn(async move { run(source, Forward(tx), &options).await });
    RealtimeWatchHandle::with_cleanup(rx, Box::new(AbortOnDrop(task)))
}

struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Forward<V>(mpsc::Sender<WatchEvent<V>>);

impl<V> Report for Forward<V> {
    fn report(&self, _change: &mut dyn FnMut(&mut Status)) {}
}

impl<V: Eq> Sink<V> for Forward<V> {
    fn closed(&self) -> impl Future<Output = ()> {
        self.0.closed()
    }

    async fn publish(&self, value: V) -> Option<u64> {
        // Refused only when the receiver has just gone, which `closed` reports next.
        let _gone = self.0.send(WatchEvent::Changed(value)).await;
        None
    }

    async fn failed(&self, failure: Failure) {
        let event = if failure.is_missing {
            WatchEvent::Removed
        } else {
            WatchEvent::Error(failure.words.to_string())
        };
        let _gone = self.0.send(event).await;
    }
}

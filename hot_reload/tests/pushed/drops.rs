//! What a user's `Drop` does when a watch, what it has told of, or an error is let go of: nothing to the
//! service.

use std::{any::Any, borrow::Cow, fmt};

use super::*;

/// Panics when it is dropped, if it is nine.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Touchy(u32);

impl Drop for Touchy {
    fn drop(&mut self) {
        // Never twice at once, as whoever writes such a thing takes care of.
        assert!(self.0 != 9 || std::thread::panicking(), "{}", self.0);
    }
}

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("a cleanup that fails");
    }
}

/// A source that holds one, and hands out the sending ends of its watches.
#[derive(Clone)]
struct Source<V> {
    held: V,
    watches: mpsc::UnboundedSender<mpsc::Sender<WatchEvent<V>>>,
    cleanup: fn() -> Box<dyn Any + Send>,
}

#[async_trait]
impl<V: Clone + Eq + Send + Sync + 'static> Reload<V> for Source<V> {
    type Source = Self;

    async fn new(source: &Self) -> ReloadResult<Self, V> {
        Ok(source.clone())
    }

    async fn reload(&self) -> ReloadResult<Option<V>, V> {
        Ok(Some(self.held.clone()))
    }
}

#[async_trait]
impl<V: Clone + Eq + Send + Sync + 'static> RealtimeWatch<V> for Source<V> {
    async fn watch_realtime(&self) -> ReloadResult<RealtimeWatchHandle<V>, V> {
        let (tx, rx) = mpsc::channel(16);
        self.watches.send(tx).expect("a test that takes them");
        Ok(RealtimeWatchHandle::with_cleanup(rx, (self.cleanup)()))
    }
}

/// As a client that blocks holds one (`reqwest::blocking`, `postgres`): it can't be dropped where
/// blocking is not allowed.
fn a_runtime() -> Box<dyn Any + Send> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build();
    Box::new(runtime.expect("a runtime"))
}

#[tokio::test(start_paused = true)]
async fn a_cleanup_that_panics_ends_no_service() {
    for cleanup in [a_runtime, || Box::new(Bomb) as _] {
        let (tx, mut watches) = mpsc::unbounded_channel();
        let source = Source { held: 1, watches: tx, cleanup };
        let (service, mut values) =
            ReloaderService::from_reloader(source, ReloaderOptions::realtime());
        let handle = service.handle();
        let task = tokio::spawn(async move { service.start_with_realtime().await });
        timeout(PATIENCE, values.changed()).await.unwrap().unwrap();
        // One ends; one is gone, and then another is proven, or ends as well.
        drop(watches.recv().await);
        let gone = watches.recv().await.unwrap();
        gone.send(WatchEvent::Removed).await.unwrap();
        let next = watches.recv().await.unwrap();
        next.send(WatchEvent::Changed(2)).await.unwrap();
        timeout(PATIENCE, values.wait_for(|value| *value == 2)).await.unwrap().unwrap();
        assert!(gone.is_closed());
        next.send(WatchEvent::Removed).await.unwrap();
        let last = watches.recv().await.unwrap();
        drop(next);
        sleep(Duration::from_secs(1)).await;
        last.send(WatchEvent::Changed(3)).await.unwrap();
        timeout(PATIENCE, values.wait_for(|value| *value == 3)).await.unwrap().unwrap();
        // The service ends as it does otherwise.
        handle.shutdown().await;
        timeout(PATIENCE, task).await.unwrap().expect("no panic").unwrap();
    }
}

/// Of a watch in doubt, while another stands; of one that is let go of, with a cleanup that panics too.
#[tokio::test(start_paused = true)]
async fn an_event_that_panics_when_it_is_dropped_ends_no_service() {
    let (tx, mut watches) = mpsc::unbounded_channel();
    let source = Source { held: Touchy(1), watches: tx, cleanup: || Box::new(Bomb) };
    let (service, mut values) = ReloaderService::from_reloader(source, ReloaderOptions::realtime());
    let handle = service.handle();
    let task = tokio::spawn(async move { service.start_with_realtime().await });
    timeout(PATIENCE, values.changed()).await.unwrap().unwrap();
    let first = watches.recv().await.unwrap();
    first.send(WatchEvent::Removed).await.unwrap();
    let next = watches.recv().await.unwrap();
    sleep(Duration::from_secs(1)).await;
    for _ in 0..3 {
        first.try_send(WatchEvent::Changed(Touchy(9))).unwrap();
    }
    sleep(Duration::from_secs(1)).await;
    next.send(WatchEvent::Changed(Touchy(2))).await.unwrap();
    for _ in 0..3 {
        // The loop has yet to run, and lets go of the first with these in it.
        first.try_send(WatchEvent::Changed(Touchy(9))).unwrap();
    }
    timeout(PATIENCE, values.wait_for(|value| value.0 == 2)).await.unwrap().unwrap();
    handle.pause();
    values.watch_status().wait_for(|status| status.is_paused).await.unwrap();
    for _ in 0..3 {
        next.try_send(WatchEvent::Changed(Touchy(9))).unwrap();
    }
    handle.shutdown().await;
    timeout(PATIENCE, task).await.unwrap().expect("no panic").unwrap();
}

/// An error that panics: when it is dropped, or when it has to say why.
struct Erratic {
    at_drop: bool,
}

impl fmt::Display for Erratic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        assert!(self.at_drop, "no words");
        f.write_str("out of reach")
    }
}

impl From<Erratic> for Cow<'static, str> {
    fn from(_: Erratic) -> Self {
        "out of reach".into()
    }
}

impl Drop for Erratic {
    fn drop(&mut self) {
        assert!(!self.at_drop || std::thread::panicking(), "no end");
    }
}

/// A source that can't be watched, as it finds out after a while.
#[derive(Clone)]
struct Unwatched {
    at_drop: bool,
    watch_takes: Duration,
    is_loaded: bool,
}

#[async_trait]
impl Reload<u32, Erratic> for Unwatched {
    type Source = Self;

    async fn new(source: &Self) -> ReloadResult<Self, u32, Erratic> {
        Ok(source.clone())
    }

    async fn reload(&self) -> ReloadResult<Option<u32>, u32, Erratic> {
        let at_drop = self.at_drop;
        if self.is_loaded { Ok(Some(1)) } else { Err(ReloaderError::Reload(Erratic { at_drop })) }
    }
}

#[async_trait]
impl RealtimeWatch<u32, Erratic> for Unwatched {
    async fn watch_realtime(&self) -> ReloadResult<RealtimeWatchHandle<u32>, u32, Erratic> {
        sleep(self.watch_takes).await;
        Err(ReloaderError::Reload(Erratic { at_drop: self.at_drop }))
    }
}

/// Of a watch that fails while the loop waits for a hint, and of a load.
#[tokio::test(start_paused = true)]
async fn an_error_that_panics_ends_no_service() {
    for (at_drop, seconds, is_loaded) in [
        (false, 3, true),
        (true, 3, true),
        (false, 0, true),
        (true, 0, true),
        (false, 0, false),
        (true, 0, false),
    ] {
        let source = Unwatched { at_drop, watch_takes: Duration::from_secs(seconds), is_loaded };
        let options = ReloaderOptions::hybrid().load_timeout(Duration::from_secs(10));
        let (service, values) = ReloaderService::<_, u32, Erratic>::from_reloader(source, options);
        let handle = service.handle();
        let task = tokio::spawn(async move { service.start_with_realtime().await.is_ok() });
        sleep(Duration::from_secs(60)).await;
        assert_eq!(values.get(), is_loaded.then_some(1));
        handle.shutdown().await;
        assert_eq!(timeout(PATIENCE, task).await.unwrap().ok(), Some(true), "{seconds} {at_drop}");
    }
}

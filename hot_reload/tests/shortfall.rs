//! A source that has a value, and something to say against itself.

#![allow(missing_docs, reason = "a test")]

use std::{
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use async_trait::async_trait;
use hot_reload::{
    BoxFollow, Follow, Health, Hint, Look, Mechanism, Patience, RealtimeWatch, RealtimeWatchHandle,
    Reload, ReloadResult, ReloaderError, ReloaderOptions, ReloaderService, Triggered,
};

/// What the next looks find, and what is wrong with it.
type Held = Arc<Mutex<(u32, Option<&'static str>)>>;

#[derive(Clone)]
struct Parts(Held);

#[async_trait]
impl Reload<u32> for Parts {
    type Source = Held;

    async fn new(held: &Held) -> ReloadResult<Self, u32> {
        Ok(Self(Arc::clone(held)))
    }

    async fn reload(&self) -> ReloadResult<Option<u32>, u32> {
        Ok(Some(self.0.lock().unwrap().0))
    }
}

#[async_trait]
impl RealtimeWatch<u32> for Parts {
    async fn watch_realtime(&self) -> ReloadResult<RealtimeWatchHandle<u32>, u32> {
        Err(ReloaderError::Reload("it is followed in its own way"))
    }

    fn __follow_realtime(
        &self,
        _options: &ReloaderOptions,
    ) -> Option<BoxFollow<'_, u32, &'static str>> {
        Some(Box::new(FollowParts(&self.0)))
    }
}

struct FollowParts<'a>(&'a Held);

/// What lacks a part is of this many.
const PARTIAL: u32 = 100;

impl Follow<u32, &'static str> for FollowParts<'_> {
    fn poll_hint(&mut self, _cx: &mut Context<'_>) -> Poll<Hint> {
        Poll::Pending
    }

    fn poll_look(
        &mut self,
        _cx: &mut Context<'_>,
        _patience: Patience,
    ) -> Poll<ReloadResult<Look<u32>, u32>> {
        Poll::Ready(Ok(Look::Value(self.0.lock().unwrap().0)))
    }

    fn shortfall(&mut self) -> Option<ReloaderError<u32>> {
        self.0.lock().unwrap().1.map(ReloaderError::Reload)
    }

    fn is_partial(&self) -> bool {
        self.0.lock().unwrap().0 >= PARTIAL
    }

    fn abandon_look(&mut self) {}

    fn look_again_after(&self) -> Option<Duration> {
        Some(Duration::from_millis(100))
    }

    fn mechanism(&self) -> Mechanism {
        Mechanism::Events
    }
}

#[tokio::test(start_paused = true)]
async fn a_value_that_falls_short_is_published_and_the_status_says_why() {
    let held = Held::default();
    let parts = Parts(Arc::clone(&held));
    let options = ReloaderOptions::realtime().max_staleness(Duration::from_millis(1050));
    let (service, mut values) = ReloaderService::from_reloader(parts, options);
    tokio::spawn(async move { service.start_with_realtime().await });
    values.changed().await.unwrap();
    let mut statuses = values.watch_status();

    *held.lock().unwrap() = (1, Some("a part is bad"));
    values.changed().await.unwrap();
    let status = values.status();
    assert_eq!((status.generation, status.health), (2, Health::Retrying));
    assert_eq!(status.last_error.as_deref(), Some("a part is bad"));
    assert!(status.is_ready() && status.unapplied_since.is_some());

    // Values that come meanwhile are no sign of health.
    for n in 2.. {
        *held.lock().unwrap() = (n, Some("a part is bad"));
        values.changed().await.unwrap();
        assert_eq!(values.get(), Some(n));
        if values.status().health == Health::Stale {
            assert!((10..=13).contains(&n), "{n}");
            break;
        }
        assert_eq!((values.status().health, n < 20), (Health::Retrying, true));
    }

    held.lock().unwrap().1 = None;
    let status = statuses.wait_for(|now| now.health == Health::Fresh).await.unwrap();
    assert_eq!((status.failures, status.last_error), (0, None));
    assert_eq!(status.unapplied_since, None);
}

#[tokio::test(start_paused = true)]
async fn who_asks_is_told_of_a_shortfall_of_what_serves_already() {
    let held = Arc::new(Mutex::new((1, None)));
    let parts = Parts(Arc::clone(&held));
    let (service, mut values) = ReloaderService::from_reloader(parts, ReloaderOptions::realtime());
    let handle = service.handle();
    tokio::spawn(async move { service.start_with_realtime().await });
    values.changed().await.unwrap();
    assert_eq!(handle.trigger().await, Triggered::Unchanged);
    held.lock().unwrap().1 = Some("a part is bad");
    assert_eq!(handle.trigger().await, Triggered::Failed("a part is bad".into()));
}

#[cfg(feature = "last-good")]
#[tokio::test]
async fn what_lacks_a_part_takes_no_place_of_what_is_whole_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kept");
    let held = Arc::new(Mutex::new((PARTIAL, Some("a part is away"))));
    for (first, is_restored) in [(PARTIAL, false), (2, true), (3, true)] {
        let parts = Parts(Arc::clone(&held));
        let (service, mut values) =
            ReloaderService::from_reloader(parts, ReloaderOptions::realtime());
        let service = service.last_good(&path);
        let task = tokio::spawn(async move { service.start_with_realtime().await });
        values.changed().await.unwrap();
        assert_eq!((values.get(), values.status().is_restored), (Some(first), is_restored));
        // Whole again, and then not any more: this is taken, and not kept.
        *held.lock().unwrap() = (if first == 2 { 3 } else { 2 }, None);
        values.changed().await.unwrap();
        let whole = values.get().unwrap();
        assert!(!values.status().is_restored);
        *held.lock().unwrap() = (PARTIAL + 1, Some("a part is away"));
        values.changed().await.unwrap();
        drop(values);
        task.await.unwrap().unwrap();
        assert_eq!(hot_reload::read_last_good::<u32>(&path), Some(whole));
    }
}

/// It once was, when it served again or had been on probation while the service was stopped.
#[cfg(feature = "last-good")]
#[tokio::test]
async fn what_lacks_a_part_is_not_kept_later_either() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kept");
    let kept = || hot_reload::read_last_good::<u32>(&path);
    let held = Arc::new(Mutex::new((1, None)));
    let parts = Parts(Arc::clone(&held));
    let (service, mut values) = ReloaderService::from_reloader(parts, ReloaderOptions::realtime());
    let checks = Arc::new(tokio::sync::Semaphore::new(1));
    let waiting = Arc::clone(&checks);
    let check = move |_| {
        let checks = Arc::clone(&waiting);
        async move { checks.acquire_owned().await.map(tokio::sync::OwnedSemaphorePermit::forget) }
    };
    let service = service.last_good(&path).history(4).probation(Duration::from_secs(60), check);
    let (handle, service) = (service.handle(), Arc::new(service));
    let start = || {
        let service = Arc::clone(&service);
        tokio::spawn(async move { service.start_with_realtime().await })
    };
    let task = start();
    values.changed().await.unwrap();
    let mut statuses = values.watch_status();
    let is_over = |status: &hot_reload::Status| status.probation_until.is_none();
    statuses.wait_for(is_over).await.unwrap();

    *held.lock().unwrap() = (PARTIAL, Some("a part is away"));
    values.changed().await.unwrap();
    assert!(values.status().probation_until.is_some());
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    let _task = start();
    checks.add_permits(2);
    statuses.wait_for(|status| status.health == Health::Retrying && is_over(status)).await.unwrap();

    *held.lock().unwrap() = (2, None);
    values.changed().await.unwrap();
    statuses.wait_for(is_over).await.unwrap();
    assert_eq!(handle.rollback(2).await, Triggered::Published(4));
    assert_eq!(values.get(), Some(PARTIAL));
    handle.shutdown().await;
    assert_eq!(kept(), Some(2));
}

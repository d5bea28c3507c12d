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
    Reload, ReloadResult, ReloaderError, ReloaderOptions, ReloaderService,
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

    fn follow_realtime(
        &self,
        _options: &ReloaderOptions,
    ) -> Option<BoxFollow<'_, u32, &'static str>> {
        Some(Box::new(FollowParts(&self.0)))
    }
}

struct FollowParts<'a>(&'a Held);

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

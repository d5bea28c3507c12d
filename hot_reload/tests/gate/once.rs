//! What a source gives once only.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use hot_reload::{
    Health, Reload, ReloadResult, ReloaderOptions, ReloaderReceiver, ReloaderService, Triggered,
};
use tokio::time::sleep;

use crate::common::within;

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// Gives each value once, as sources do that ask for what is new.
#[derive(Clone, Default)]
struct Once<V = u32>(Arc<Mutex<Option<V>>>);

#[async_trait]
impl<V: Eq + Clone + Send> Reload<V> for Once<V> {
    type Source = ();

    async fn new((): &()) -> ReloadResult<Self, V> {
        Ok(Self(Arc::default()))
    }

    async fn reload(&self) -> ReloadResult<Option<V>, V> {
        Ok(self.0.lock().unwrap().take())
    }
}

impl<V: Eq + Clone + Send> Once<V> {
    fn gives(&self, value: V) {
        *self.0.lock().unwrap() = Some(value);
    }

    /// Waits until it has been asked for what it has.
    async fn is_taken(&self) {
        within(async {
            while self.0.lock().unwrap().is_some() {
                sleep(MILLISECOND).await;
            }
        })
        .await;
    }

    /// A service that polls it every second.
    fn service(&self) -> (ReloaderService<Self, V>, ReloaderReceiver<V>) {
        let options = ReloaderOptions::polling().poll_interval(SECOND).backoff(SECOND, SECOND);
        ReloaderService::from_reloader(self.clone(), options)
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_refused_or_rolled_back_is_not_lost() {
    let source = Once::default();
    let (service, mut rx) = source.service();
    let is_closed = Arc::new(AtomicBool::new(false));
    let closed = Arc::clone(&is_closed);
    let service = service
        .history(9)
        .validate(move |_, _| if closed.load(Ordering::SeqCst) { Err("closed") } else { Ok(()) });
    let handle = service.handle();
    let task = tokio::spawn(async move { service.start().await.unwrap() });
    source.gives(1);
    within(rx.wait_for(|value| *value == 1)).await.unwrap();
    is_closed.store(true, Ordering::SeqCst);
    source.gives(2);
    let mut status = rx.watch_status();
    let refused = status.wait_for(|status| status.failures > 2);
    within(refused).await.unwrap();
    is_closed.store(false, Ordering::SeqCst);
    within(rx.wait_for(|value| *value == 2)).await.unwrap();
    assert_eq!(within(handle.rollback(1)).await, Triggered::Published(3));
    handle.resume();
    within(rx.wait_for(|value| *value == 2)).await.unwrap();
    task.abort();
}

/// It was what the source held before that counted, which was bad.
#[tokio::test(start_paused = true)]
async fn what_was_refused_after_a_bad_value_is_tried_again() {
    let (source, is_closed) = (Once::default(), Arc::new(AtomicBool::new(true)));
    let (service, mut rx) = source.service();
    let closed = Arc::clone(&is_closed);
    let service =
        service
            .validate(move |new, _| {
                if *new >= 3 && closed.load(Ordering::SeqCst) { Err("closed") } else { Ok(()) }
            })
            .probation(SECOND, |value| async move {
                if *value == 2 { Err("it answers 503") } else { Ok(()) }
            });
    let handle = service.handle();
    let task = tokio::spawn(async move { service.start().await.unwrap() });
    let refused = || async { within(handle.trigger()).await };
    source.gives(1);
    within(rx.wait_for(|value| *value == 1)).await.unwrap();
    sleep(2 * SECOND).await;
    source.gives(2);
    within(rx.wait_for_generation(3)).await.unwrap();
    assert_eq!((rx.get(), rx.status().health), (Some(1), Health::RolledBack));
    source.gives(3);
    let why = |by: &str, words: &str| Triggered::Failed(format!("refused by {by}: {words}").into());
    for _ in 0..2 {
        assert_eq!(refused().await, why("validation", "closed"));
    }
    // What it holds now is bad again, and what was refused before that is over.
    source.gives(2);
    for _ in 0..2 {
        assert_eq!(refused().await, why("probation", "it answers 503"));
    }
    source.gives(4);
    assert_eq!(refused().await, why("validation", "closed"));
    is_closed.store(false, Ordering::SeqCst);
    within(rx.wait_for(|value| *value == 4)).await.unwrap();
    task.abort();
}

#[tokio::test(start_paused = true)]
async fn what_was_on_its_way_when_its_service_was_stopped_is_taken_by_the_next_start() {
    let source = Once::default();
    let (service, mut rx) = source.service();
    let service = Arc::new(service.prepare("slow", |_| async {
        sleep(SECOND / 2).await;
        Ok::<_, &str>(|| ())
    }));
    let start = || {
        let service = Arc::clone(&service);
        tokio::spawn(async move { service.start().await.unwrap() })
    };
    source.gives(1);
    let first = start();
    within(rx.wait_for(|value| *value == 1)).await.unwrap();
    source.gives(2);
    source.is_taken().await;
    first.abort();
    let _stopped = first.await;
    assert_eq!(rx.get(), Some(1));
    let second = start();
    within(rx.wait_for(|value| *value == 2)).await.unwrap();
    second.abort();
}

/// A rollback does not wait for it to pass.
#[tokio::test(start_paused = true)]
async fn what_was_on_its_way_at_a_rollback_is_taken_once_that_is_over() {
    let source = Once::default();
    let (service, mut rx) = source.service();
    let service = service.history(3).prepare("slow", |candidate| async move {
        sleep(if *candidate.new == 2 { SECOND / 2 } else { Duration::ZERO }).await;
        Ok::<_, &str>(|| ())
    });
    let handle = service.handle();
    let task = tokio::spawn(async move { service.start().await.unwrap() });
    source.gives(1);
    within(rx.wait_for(|value| *value == 1)).await.unwrap();
    source.gives(2);
    source.is_taken().await;
    assert_eq!(within(handle.rollback(1)).await, Triggered::Published(2));
    sleep(2 * SECOND).await;
    assert_eq!((rx.get(), rx.status().pinned), (Some(1), Some(1)));
    handle.resume();
    within(rx.wait_for(|value| *value == 2)).await.unwrap();
    task.abort();
}

/// Whether the next clone of a [`Fragile`] panics.
static BREAKS: AtomicBool = AtomicBool::new(false);

#[derive(Debug, Default, PartialEq, Eq)]
struct Fragile(u32);

impl Clone for Fragile {
    fn clone(&self) -> Self {
        assert!(!BREAKS.swap(false, Ordering::SeqCst), "it breaks");
        Self(self.0)
    }
}

/// It was taken to serve, since it could not be had.
#[tokio::test(start_paused = true)]
async fn what_was_on_its_way_and_can_not_be_cloned_is_tried_again() {
    let source = Once::<Fragile>::default();
    let (service, mut rx) = source.service();
    let service = service.history(3).prepare("slow", |candidate| async move {
        sleep(if candidate.new.0 == 2 { SECOND / 2 } else { Duration::ZERO }).await;
        Ok::<_, &str>(|| ())
    });
    let handle = service.handle();
    let task = tokio::spawn(async move { service.start().await.unwrap() });
    source.gives(Fragile(1));
    within(rx.wait_for(|value| value.0 == 1)).await.unwrap();
    source.gives(Fragile(2));
    source.is_taken().await;
    assert_eq!(within(handle.rollback(1)).await, Triggered::Published(2));
    BREAKS.store(true, Ordering::SeqCst);
    let why = "refused by cloning: it panicked: it breaks";
    assert_eq!(within(handle.resume_and_trigger()).await, Triggered::Failed(why.into()));
    assert_eq!(rx.status().last_error.as_deref(), Some(why));
    within(rx.wait_for(|value| value.0 == 2)).await.unwrap();
    task.abort();
}

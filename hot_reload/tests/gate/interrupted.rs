//! Values that are on their way when something else comes in between.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use async_trait::async_trait;
use hot_reload::{Reload, ReloadResult, ReloaderOptions, ReloaderService, Triggered, WatchEvent};
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};

use crate::{
    Idle, NEVER,
    common::{
        source::{Held, Store},
        within,
    },
    never_by_itself,
};

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// Validates values above two for a while, where blocking is allowed.
fn slow_validation(service: ReloaderService<Store<u32>, u32>) -> ReloaderService<Store<u32>, u32> {
    service.history(5).validate(|new, _| {
        if *new > 2 {
            thread::sleep(400 * MILLISECOND);
        }
        Ok::<_, &str>(())
    })
}

/// Has the source hold 3, and be looked at, until that is being validated.
async fn validates(idle: &Idle) -> JoinHandle<Triggered> {
    idle.store.holds(Held::Value(3));
    let handle = idle.handle.clone();
    let asked = tokio::spawn(async move { handle.trigger().await });
    sleep(100 * MILLISECOND).await;
    asked
}

/// The check that nobody waits for any more runs on.
#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_while_another_value_is_validated_is_granted() {
    let idle = Idle::new(never_by_itself(), slow_validation).await;
    assert_eq!(idle.load(2).await, Triggered::Published(2));
    let _asked = validates(&idle).await;
    assert_eq!(within(idle.handle.rollback(1)).await, Triggered::Published(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawal_while_another_value_is_validated_refuses_neither() {
    let idle = Idle::new(never_by_itself(), |service| {
        slow_validation(service).probation(5 * SECOND, |value| async move {
            if *value == 2 {
                sleep(200 * MILLISECOND).await;
                return Err("it answers 503");
            }
            Ok(())
        })
    })
    .await;
    within(idle.rx.watch_status().wait_for(|status| status.probation_until.is_none()))
        .await
        .unwrap();
    assert_eq!(idle.load(2).await, Triggered::Published(2));
    let asked = validates(&idle).await;
    assert_eq!(within(asked).await.unwrap(), Triggered::Published(4));
    assert_eq!(idle.rx.get(), Some(3));
}

/// As by numbers that were mistyped.
#[tokio::test(start_paused = true)]
async fn rollbacks_to_what_is_not_kept_let_a_value_pass() {
    let idle = Idle::new(never_by_itself(), |service| {
        service.history(5).prepare("listener", |_| async {
            sleep(100 * MILLISECOND).await;
            Ok::<_, &str>(|| ())
        })
    })
    .await;
    idle.store.holds(Held::Value(2));
    let handle = idle.handle.clone();
    let asked = tokio::spawn(async move { handle.trigger().await });
    for _ in 0..10 {
        sleep(60 * MILLISECOND).await;
        assert!(matches!(idle.handle.rollback(999).await, Triggered::Failed(_)));
    }
    assert!(asked.is_finished());
    assert_eq!((asked.await.unwrap(), idle.store.loads()), (Triggered::Published(2), 2));
}

/// It can't be loaded just then, nor found again.
#[tokio::test(start_paused = true)]
async fn a_value_that_was_told_once_outlives_a_withdrawal() {
    let mut idle = Idle::new(ReloaderOptions::realtime(), |service| {
        let slow = |value| async move {
            if value == 3 {
                sleep(SECOND).await;
            }
            Ok::<_, &str>(|| ())
        };
        service.prepare("listener", move |candidate| slow(*candidate.new)).probation(
            10 * SECOND,
            |value| async move {
                if *value == 2 {
                    sleep(SECOND / 2).await;
                    return Err("it answers 503");
                }
                Ok(())
            },
        )
    })
    .await;
    sleep(SECOND).await;
    idle.store.holds(Held::Nothing);
    idle.store.push(WatchEvent::Changed(2)).await;
    idle.store.push(WatchEvent::Changed(3)).await;
    let seen = timeout(NEVER, idle.rx.wait_for(|value| *value == 3)).await;
    assert!(seen.is_ok(), "{:?}", idle.rx.status());
}

/// Holds how often it was loaded, which takes 20 seconds from the second time on.
#[derive(Clone, Default)]
struct Slow(Arc<AtomicU32>);

#[async_trait]
impl Reload<u32> for Slow {
    type Source = ();

    async fn new((): &()) -> ReloadResult<Self, u32> {
        Ok(Self::default())
    }

    async fn reload(&self) -> ReloadResult<Option<u32>, u32> {
        let n = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        for _ in 0..if n > 1 { 20 } else { 0 } {
            sleep(SECOND).await;
        }
        Ok(Some(n))
    }
}

#[tokio::test(start_paused = true)]
async fn a_load_has_its_time_though_a_rollback_took_long_in_between() {
    let options = never_by_itself().poll_interval(NEVER).load_timeout(60 * SECOND);
    let (service, mut rx) = ReloaderService::<_, u32>::from_reloader(Slow::default(), options);
    let service = service.history(4).prepare("listener", |candidate| async move {
        if candidate.current.is_some() && *candidate.new == 1 {
            sleep(59 * SECOND).await;
            return Err("not free yet");
        }
        Ok(|| ())
    });
    let handle = service.handle();
    let task = tokio::spawn(async move { service.start().await.unwrap() });
    within(rx.changed()).await.unwrap();
    let asking = handle.clone();
    let asked = tokio::spawn(async move { asking.trigger().await });
    sleep(2 * SECOND).await;
    assert!(matches!(handle.rollback(1).await, Triggered::Failed(_)));
    assert_eq!(asked.await.unwrap(), Triggered::Published(2));
    task.abort();
}

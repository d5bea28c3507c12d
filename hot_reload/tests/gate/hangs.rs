//! What does not wait for a load that hangs.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use hot_reload::{Health, Reload, ReloadResult, ReloaderOptions, ReloaderService, Triggered};
use tokio::{
    task::{JoinHandle, yield_now},
    time::{Instant, sleep},
};

use crate::{
    Idle, NEVER,
    common::{source::Held, within},
    never_by_itself,
};

const MILLISECOND: Duration = Duration::from_millis(1);
const WINDOW: Duration = Duration::from_secs(10);
/// Longer than a value has to prove itself.
const LOAD_TIMEOUT: Duration = Duration::from_secs(15);

fn patient() -> ReloaderOptions {
    never_by_itself().load_timeout(LOAD_TIMEOUT)
}

/// A check that asks, and is answered after a while.
async fn is_well(value: u32) -> Result<(), &'static str> {
    sleep(WINDOW / 4).await;
    sleep(WINDOW / 4).await;
    if value == 2 { Err("it answers 503") } else { Ok(()) }
}

/// Has the source hang from now on, and be looked at; what becomes of that, and when.
async fn hangs(idle: &Idle) -> JoinHandle<(Triggered, Instant)> {
    idle.store.holds(Held::Hangs);
    let handle = idle.handle.clone();
    let asked = tokio::spawn(async move { (handle.trigger().await, Instant::now()) });
    let before = idle.store.loads();
    while idle.store.loads() == before {
        yield_now().await;
    }
    asked
}

/// Nobody polled its check, whose time was over before the load was: it had passed then.
#[tokio::test(start_paused = true)]
async fn a_bad_value_is_taken_back() {
    let mut idle = Idle::new(patient(), |service| {
        service.probation(WINDOW, |value| async move { is_well(*value).await })
    })
    .await;
    sleep(WINDOW).await;
    assert_eq!(idle.load(2).await, Triggered::Published(2));
    let begun = Instant::now();
    let asked = hangs(&idle).await;
    within(idle.rx.wait_for_generation(3)).await.unwrap();
    assert_eq!((begun.elapsed(), idle.rx.get()), (WINDOW / 2, Some(1)));
    assert_eq!(idle.rx.status().health, Health::RolledBack);
    // The load goes on meanwhile, and is given up on when it would have been.
    let (answer, at) = within(asked).await.unwrap();
    assert!(matches!(answer, Triggered::Failed(_)), "{answer:?}");
    assert_eq!((at - begun, idle.store.loads()), (LOAD_TIMEOUT, 3));
    assert_eq!(idle.load(4).await, Triggered::Published(4));
}

#[tokio::test(start_paused = true)]
async fn a_good_value_passes_on_time() {
    let idle = Idle::new(patient(), |service| {
        service.probation(WINDOW, |value| async move { is_well(*value).await })
    })
    .await;
    assert_eq!(idle.load(3).await, Triggered::Published(2));
    let begun = Instant::now();
    let _asked = hangs(&idle).await;
    let mut status = idle.rx.watch_status();
    within(status.wait_for(|status| status.probation_until.is_none())).await.unwrap();
    assert_eq!(begun.elapsed(), WINDOW / 2);
}

#[tokio::test(start_paused = true)]
async fn a_withdrawal_that_was_refused_is_tried_again_on_time() {
    let refusals = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&refusals);
    let options = patient().backoff(WINDOW / 4, WINDOW / 4);
    let mut idle = Idle::new(options, |service| {
        service.probation(WINDOW, |value| async move { is_well(*value).await }).prepare(
            "listener",
            move |candidate| {
                let is_back = candidate.current.is_some_and(|current| *current == 2);
                let is_taken = is_back && counted.fetch_add(1, Ordering::SeqCst) < 3;
                let outcome = if is_taken { Err("the port is not free yet") } else { Ok(|| {}) };
                async move { outcome }
            },
        )
    })
    .await;
    sleep(WINDOW).await;
    assert_eq!(idle.load(2).await, Triggered::Published(2));
    let begun = Instant::now();
    let asked = hangs(&idle).await;
    within(idle.rx.wait_for_generation(3)).await.unwrap();
    assert_eq!((idle.rx.get(), refusals.load(Ordering::SeqCst)), (Some(1), 4));
    assert!(begun.elapsed() <= WINDOW / 2 + 3 * (WINDOW / 4) + 3 * MILLISECOND);
    // However often it came in between, it was one load.
    let (_, at) = within(asked).await.unwrap();
    assert_eq!((at - begun, idle.store.loads()), (LOAD_TIMEOUT, 3));
}

#[tokio::test(start_paused = true)]
async fn a_rollback_is_granted_at_once() {
    let mut idle = Idle::new(patient(), |service| service.history(5)).await;
    assert_eq!(idle.load(2).await, Triggered::Published(2));
    let asked = hangs(&idle).await;
    let begun = Instant::now();
    assert!(matches!(within(idle.handle.rollback(7)).await, Triggered::Failed(_)));
    assert!(!asked.is_finished());
    assert_eq!(within(idle.handle.rollback(1)).await, Triggered::Published(3));
    assert_eq!((begun.elapsed(), idle.rx.get()), (Duration::ZERO, Some(1)));
    let (answer, _) = within(asked).await.unwrap();
    assert!(matches!(answer, Triggered::Failed(why) if why.contains("pinned")));
    // That load is over, and nothing comes of it any more.
    idle.store.holds(Held::Value(3));
    sleep(NEVER).await;
    let status = idle.rx.status();
    assert_eq!((idle.rx.get(), status.pinned, status.is_paused), (Some(1), Some(1), true));
    idle.handle.resume();
    within(idle.rx.wait_for(|value| *value == 3)).await.unwrap();
}

/// What is asked for once a load is under way is answered by the next, also where the one has been
/// interrupted.
#[tokio::test(start_paused = true)]
async fn whoever_asks_meanwhile_is_answered_by_the_next_load() {
    let mut idle = Idle::new(patient(), |service| {
        service.probation(WINDOW, |value| async move { is_well(*value).await })
    })
    .await;
    sleep(WINDOW).await;
    assert_eq!(idle.load(2).await, Triggered::Published(2));
    let first = hangs(&idle).await;
    sleep(MILLISECOND).await;
    assert_eq!(idle.load(3).await, Triggered::Published(4));
    assert!(matches!(first.await.unwrap().0, Triggered::Failed(_)));
    within(idle.rx.wait_for(|value| *value == 3)).await.unwrap();
}

/// It takes longer than the pause between two attempts to take back the bad one before it.
#[tokio::test(start_paused = true)]
async fn a_value_passes_a_slow_gate_though_a_bad_one_can_not_be_taken_back() {
    let options = patient().backoff(WINDOW / 100, WINDOW / 100);
    let mut idle = Idle::new(options, |service| {
        service
            .probation(WINDOW, |value| async move {
                if *value == 2 { Err("it answers 503") } else { Ok(()) }
            })
            .prepare("listener", |candidate| async move {
                if *candidate.new == 1 && candidate.current.is_some() {
                    return Err("the port is not free");
                }
                sleep(WINDOW / 10).await;
                Ok(|| {})
            })
    })
    .await;
    assert_eq!(idle.load(2).await, Triggered::Published(2));
    sleep(WINDOW / 10).await;
    assert_eq!(idle.load(3).await, Triggered::Published(3));
    within(idle.rx.wait_for(|value| *value == 3)).await.unwrap();
}

/// Loads for ever once it is told to, and takes all of its task's budget at each turn.
#[derive(Clone, Default)]
struct Busy(Arc<AtomicBool>);

#[async_trait]
impl Reload<u32> for Busy {
    type Source = ();

    async fn new((): &()) -> ReloadResult<Self, u32> {
        Ok(Self::default())
    }

    async fn reload(&self) -> ReloadResult<Option<u32>, u32> {
        while self.0.load(Ordering::Relaxed) {
            tokio::task::consume_budget().await;
        }
        Ok(Some(1))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_that_is_ever_busy_holds_up_neither_a_check_nor_the_end() {
    let source = Busy::default();
    let options = ReloaderOptions::polling().poll_interval(NEVER).load_timeout(NEVER);
    let (service, mut rx) = ReloaderService::<_, u32>::from_reloader(source.clone(), options);
    let service = service.probation(NEVER, |_| async {
        sleep(100 * MILLISECOND).await;
        Err("it answers 503")
    });
    let handle = service.handle();
    let task = tokio::spawn(async move { service.start().await.unwrap() });
    within(rx.changed()).await.unwrap();
    source.0.store(true, Ordering::Relaxed);
    let asking = handle.clone();
    let asked = tokio::spawn(async move { asking.trigger().await });
    let mut status = rx.watch_status();
    within(status.wait_for(|status| status.refused_by.is_some())).await.unwrap();
    handle.shutdown().await;
    within(task).await.unwrap();
    assert_eq!(asked.await.unwrap(), Triggered::Stopped);
}

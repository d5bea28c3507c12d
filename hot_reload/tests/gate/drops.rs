//! What a user's `Drop` does in what the service lets go of: nothing to the service.

use std::{
    future::pending,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use hot_reload::{
    Reload, ReloadResult, ReloaderHandle, ReloaderReceiver, ReloaderService, Triggered,
};
use tokio::{task::JoinHandle, time::sleep};

use crate::{
    Idle, NEVER,
    common::{source::Held, within},
    never_by_itself,
};

const WINDOW: Duration = Duration::from_secs(10);

/// Panics when it is dropped; never twice at once, as whoever writes such a thing takes care of.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        assert!(std::thread::panicking(), "a guard that fails");
    }
}

/// Comes to no end, and can't be given up on either.
async fn lasts<T>() -> T {
    let _bomb = Bomb;
    pending().await
}

/// A service whose health checks come to no end.
async fn on_trial(window: Duration) -> Idle {
    let with = |service: ReloaderService<_, _>| {
        service.probation(window, |_| lasts::<Result<(), String>>())
    };
    Idle::new(never_by_itself(), with).await
}

/// Ends it as any other.
async fn ends(mut idle: Idle) {
    within(idle.handle.shutdown()).await;
    within(idle.task.take().unwrap()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_health_check_whose_time_is_over_is_dropped() {
    let idle = on_trial(WINDOW).await;
    sleep(WINDOW * 2).await;
    assert_eq!(idle.rx.status().probation_until, None);
    assert_eq!(idle.load(2).await, Triggered::Published(2));
    ends(idle).await;
}

#[tokio::test(start_paused = true)]
async fn a_health_check_of_a_value_that_is_replaced_is_dropped() {
    let idle = on_trial(NEVER).await;
    sleep(WINDOW).await;
    for generation in 2..=3 {
        // The second has yet to be polled.
        assert_eq!(idle.load(generation).await, Triggered::Published(generation.into()));
    }
    ends(idle).await;
}

#[tokio::test(start_paused = true)]
async fn a_health_check_is_dropped_at_the_end() {
    let idle = on_trial(NEVER).await;
    sleep(WINDOW).await;
    ends(idle).await;
}

/// A service of which a part comes to no end with 2.
async fn prepares_for_ever() -> Idle {
    Idle::new(never_by_itself().load_timeout(WINDOW), |service| {
        service.history(4).prepare("listener", |candidate| async move {
            if *candidate.new == 2 {
                lasts::<()>().await;
            }
            Ok::<_, &str>(|| ())
        })
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn a_preparation_that_takes_too_long_is_dropped() {
    let idle = prepares_for_ever().await;
    let refused = idle.load(2).await;
    assert!(matches!(&refused, Triggered::Failed(why) if why.contains("10s")), "{refused:?}");
    assert_eq!(idle.load(3).await, Triggered::Published(2));
    ends(idle).await;
}

/// Whoever asked for that once waited for ever.
#[tokio::test(start_paused = true)]
async fn a_preparation_that_a_rollback_goes_before_is_dropped() {
    let idle = prepares_for_ever().await;
    idle.store.holds(Held::Value(2));
    let handle = idle.handle.clone();
    let _asked = tokio::spawn(async move { handle.trigger().await });
    sleep(WINDOW / 2).await;
    assert_eq!(within(idle.handle.rollback(1)).await, Triggered::Published(2));
    ends(idle).await;
}

/// A number of which each clone panics when it is dropped, and 9 at all times.
#[derive(Debug)]
struct Touchy {
    number: u32,
    breaks: bool,
}

impl Clone for Touchy {
    fn clone(&self) -> Self {
        Self { number: self.number, breaks: true }
    }
}

impl PartialEq for Touchy {
    fn eq(&self, other: &Self) -> bool {
        assert!(self.number != 9 && other.number != 9, "it can't be compared");
        self.number == other.number
    }
}

impl Eq for Touchy {}

impl Drop for Touchy {
    fn drop(&mut self) {
        assert!(!self.breaks || std::thread::panicking(), "it breaks");
    }
}

/// Makes a new one at each load.
#[derive(Clone)]
struct Source(Arc<AtomicU32>);

#[async_trait]
impl<V: Eq + From<u32> + Send + 'static> Reload<V> for Source {
    type Source = ();

    async fn new((): &()) -> ReloadResult<Self, V> {
        Ok(Self(Arc::new(AtomicU32::new(1))))
    }

    async fn reload(&self) -> ReloadResult<Option<V>, V> {
        Ok(Some(self.0.load(Ordering::SeqCst).into()))
    }
}

impl From<u32> for Touchy {
    fn from(number: u32) -> Self {
        Self { number, breaks: number == 9 }
    }
}

type Parts = (Source, ReloaderReceiver<Touchy>, ReloaderHandle, JoinHandle<()>);

/// A service of which a part takes no value twice, and whose first has arrived.
async fn touchy() -> Parts {
    let source = Source(Arc::new(AtomicU32::new(1)));
    let options = never_by_itself().poll_interval(NEVER);
    let (service, mut rx) = ReloaderService::<_, Touchy>::from_reloader(source.clone(), options);
    let service = service.history(4).prepare("listener", |candidate| {
        let is_back = candidate.new.number == 1 && candidate.current.is_some();
        async move { if is_back { Err("the port is not free") } else { Ok(|| ()) } }
    });
    let handle = service.handle();
    let task = tokio::spawn(async move { service.start().await.unwrap() });
    within(rx.changed()).await.unwrap();
    (source, rx, handle, task)
}

#[tokio::test(start_paused = true)]
async fn a_value_of_the_past_that_is_refused_is_dropped() {
    let (source, _rx, handle, task) = touchy().await;
    source.0.store(2, Ordering::SeqCst);
    assert_eq!(within(handle.trigger()).await, Triggered::Published(2));
    let refused = within(handle.rollback(1)).await;
    assert!(matches!(&refused, Triggered::Failed(why) if why.contains("port")), "{refused:?}");
    source.0.store(3, Ordering::SeqCst);
    assert_eq!(within(handle.trigger()).await, Triggered::Published(3));
    within(handle.shutdown()).await;
    within(task).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_value_that_can_not_be_compared_is_dropped() {
    let (source, _rx, handle, task) = touchy().await;
    source.0.store(9, Ordering::SeqCst);
    let refused = within(handle.trigger()).await;
    assert!(matches!(&refused, Triggered::Failed(why) if why.contains("compar")), "{refused:?}");
    source.0.store(3, Ordering::SeqCst);
    assert_eq!(within(handle.trigger()).await, Triggered::Published(2));
    within(handle.shutdown()).await;
    within(task).await.unwrap();
}

/// A number that tells which one serves when it is freed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Large(u32);

static SERVES: OnceLock<ReloaderReceiver<Large>> = OnceLock::new();
static FREED: Mutex<Vec<(u32, u32)>> = Mutex::new(Vec::new());

impl From<u32> for Large {
    fn from(number: u32) -> Self {
        Self(number)
    }
}

impl Drop for Large {
    fn drop(&mut self) {
        if let Some(serves) = SERVES.get().and_then(|rx| rx.borrow().as_ref().map(|large| large.0))
        {
            FREED.lock().unwrap().push((self.0, serves));
        }
    }
}

/// Which may take long; the new one was once not to be had before.
#[tokio::test(start_paused = true)]
async fn a_value_that_is_not_kept_any_longer_is_freed_once_the_new_one_serves() {
    let source = Source(Arc::new(AtomicU32::new(1)));
    let options = never_by_itself().poll_interval(NEVER);
    let (service, mut rx) = ReloaderService::from_reloader(source.clone(), options);
    let service = service.history(2);
    let handle = service.handle();
    let task = tokio::spawn(async move { service.start().await.unwrap() });
    within(rx.changed()).await.unwrap();
    assert!(SERVES.set(rx).is_ok());
    for number in 2..=4 {
        source.0.store(number, Ordering::SeqCst);
        assert_eq!(within(handle.trigger()).await, Triggered::Published(number.into()));
    }
    assert_eq!(*FREED.lock().unwrap(), [(1, 3), (2, 4)]);
    within(handle.shutdown()).await;
    within(task).await.unwrap();
}

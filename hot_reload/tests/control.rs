//! What can be done with a running service, and what it says of itself meanwhile.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use hot_reload::{
    Health, Mechanism, Reason, Reload, ReloadResult, ReloaderError, ReloaderHandle,
    ReloaderOptions, ReloaderReceiver, ReloaderService, Triggered, WatchStrategy,
};
use tokio::{
    sync::oneshot,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

const PATIENCE: Duration = Duration::from_secs(20);
const NEVER: Duration = Duration::from_secs(24 * 60 * 60);

/// A source in this process.
#[derive(Clone, Default)]
struct Store {
    held: Arc<Mutex<Held>>,
    loads: Arc<AtomicU32>,
}

#[derive(Clone, Copy, Default)]
enum Held {
    #[default]
    Nothing,
    Value(u32),
    /// A load that never comes to an end.
    Hangs,
}

impl Store {
    fn holds(&self, held: Held) {
        *self.held.lock().unwrap() = held;
    }

    fn loads(&self) -> u32 {
        self.loads.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Reload<u32> for Store {
    type Source = ();

    async fn new((): &()) -> ReloadResult<Self, u32> {
        Ok(Self::default())
    }

    async fn reload(&self) -> ReloadResult<Option<u32>, u32> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        let held = *self.held.lock().unwrap();
        match held {
            Held::Value(value) => Ok(Some(value)),
            Held::Nothing => Err(ReloaderError::Reload("the store is empty")),
            Held::Hangs => std::future::pending().await,
        }
    }
}

struct Lab {
    store: Store,
    rx: ReloaderReceiver<u32>,
    handle: ReloaderHandle,
    task: JoinHandle<()>,
}

impl Lab {
    fn start(options: ReloaderOptions, held: Held) -> Self {
        let store = Store::default();
        store.holds(held);
        let (service, rx) = ReloaderService::from_reloader(store.clone(), options);
        let handle = service.handle();
        let task = tokio::spawn(async move { service.start().await.unwrap() });
        Self { store, rx, handle, task }
    }

    /// One that looks by itself only once, and has.
    async fn idle() -> Self {
        let mut lab = Self::start(ReloaderOptions::polling().poll_interval(NEVER), Held::Value(1));
        within(lab.rx.changed()).await.unwrap();
        lab
    }

    async fn until(&self, health: Health) {
        within(self.rx.watch_status().wait_for(|status| status.health == health)).await;
    }
}

async fn within<R>(future: impl Future<Output = R>) -> R {
    timeout(PATIENCE, future).await.expect("in time")
}

#[tokio::test]
async fn a_trigger_loads_and_tells_what_came_of_it() {
    let lab = Lab::idle().await;
    assert_eq!(within(lab.handle.trigger()).await, Triggered::Unchanged);
    lab.store.holds(Held::Value(2));
    assert_eq!(within(lab.handle.trigger()).await, Triggered::Published(2));
    assert_eq!(lab.rx.get(), Some(2));
    lab.store.holds(Held::Nothing);
    let failed = within(lab.handle.trigger()).await;
    assert_eq!(failed, Triggered::Failed("the store is empty".into()));
    assert_eq!(lab.rx.get(), Some(2));
}

#[tokio::test]
async fn a_trigger_does_not_wait_for_the_pause_after_a_failure() {
    let options = ReloaderOptions::polling().poll_interval(NEVER).backoff(NEVER, NEVER);
    let lab = Lab::start(options, Held::Nothing);
    lab.until(Health::Retrying).await;
    lab.store.holds(Held::Value(1));
    assert_eq!(within(lab.handle.trigger()).await, Triggered::Published(1));
}

#[tokio::test]
async fn a_storm_of_triggers_is_answered_by_few_loads() {
    let lab = Lab::idle().await;
    let mut storm = tokio::task::JoinSet::new();
    for _ in 0..10_000 {
        let handle = lab.handle.clone();
        storm.spawn(async move { handle.trigger().await });
    }
    let answers = within(storm.join_all()).await;
    assert!(answers.into_iter().all(|answer| answer == Triggered::Unchanged));
    assert!(lab.store.loads() < 1_000, "{}", lab.store.loads());
}

#[tokio::test]
async fn nothing_is_triggered_where_nothing_runs() {
    let (service, _rx) = ReloaderService::<_, u32, &'static str>::from_reloader(
        Store::default(),
        ReloaderOptions::polling(),
    );
    assert_eq!(within(service.handle().trigger()).await, Triggered::Stopped);
    let lab = Lab::idle().await;
    lab.store.holds(Held::Hangs);
    let handle = lab.handle.clone();
    let asking = tokio::spawn(async move { handle.trigger().await });
    while lab.store.loads() < 2 {
        sleep(Duration::from_millis(1)).await;
    }
    lab.task.abort();
    assert_eq!(within(asking).await.unwrap(), Triggered::Stopped);
}

#[tokio::test]
async fn a_paused_service_looks_at_nothing_until_it_is_resumed() {
    let interval = Duration::from_millis(10);
    let mut lab = Lab::start(ReloaderOptions::polling().poll_interval(interval), Held::Value(1));
    within(lab.rx.changed()).await.unwrap();
    lab.handle.pause();
    within(lab.rx.watch_status().wait_for(|status| status.is_paused)).await;
    assert!(lab.handle.is_paused());
    let loads = lab.store.loads();
    lab.store.holds(Held::Value(2));
    sleep(10 * interval).await;
    assert_eq!((lab.store.loads(), lab.rx.get()), (loads, Some(1)));
    // Whoever asks gets a look, and the service stays paused.
    assert_eq!(within(lab.handle.trigger()).await, Triggered::Published(2));
    lab.store.holds(Held::Value(3));
    sleep(10 * interval).await;
    assert_eq!(lab.rx.get(), Some(2));
    lab.handle.resume();
    within(lab.rx.wait_for(|value| *value == 3)).await.unwrap();
    assert!(!lab.rx.status().is_paused);
}

#[tokio::test]
async fn a_service_is_shut_down_in_every_state() {
    let never = ReloaderOptions::polling().poll_interval(NEVER).backoff(NEVER, NEVER);
    // Watching, waiting after a failure, loading, paused, and before it has begun.
    let watching = Lab::idle().await;
    let failed = Lab::start(never.clone(), Held::Nothing);
    failed.until(Health::Retrying).await;
    let loading = Lab::start(never.clone(), Held::Hangs);
    while loading.store.loads() == 0 {
        sleep(Duration::from_millis(1)).await;
    }
    let paused = Lab::idle().await;
    paused.handle.pause();
    within(paused.rx.watch_status().wait_for(|status| status.is_paused)).await;
    let young = Lab::start(never, Held::Value(1));
    for mut lab in [watching, failed, loading, paused, young] {
        within(lab.handle.shutdown()).await;
        within(lab.task).await.unwrap();
        assert_eq!(lab.rx.status().health, Health::Ended);
        while within(lab.rx.changed()).await.is_ok() {}
        assert_eq!(within(lab.handle.trigger()).await, Triggered::Stopped);
    }
}

#[tokio::test]
async fn a_service_ends_with_a_future_and_stays_ended() {
    let (over, ended) = oneshot::channel::<()>();
    let store = Store::default();
    store.holds(Held::Value(1));
    let (service, mut rx) =
        ReloaderService::<_, u32, &'static str>::from_reloader(store, ReloaderOptions::polling());
    let service = Arc::new(service.with_shutdown(async { drop(ended.await) }));
    let task = tokio::spawn({
        let service = Arc::clone(&service);
        async move { service.start().await }
    });
    within(rx.changed()).await.unwrap();
    over.send(()).unwrap();
    within(task).await.unwrap().unwrap();
    assert_eq!(rx.status().health, Health::Ended);
    within(service.start()).await.unwrap();
}

#[tokio::test]
async fn a_change_says_why_it_was_loaded() {
    let options = ReloaderOptions::polling()
        .poll_interval(Duration::from_millis(20))
        .backoff(Duration::from_millis(10), Duration::from_millis(10));
    let mut lab = Lab::start(options, Held::Value(1));
    let first = within(lab.rx.changed_with()).await.unwrap();
    assert_eq!((first.old.is_none(), *first.new, first.new.reason()), (true, 1, Reason::Initial));
    lab.store.holds(Held::Value(2));
    let polled = within(lab.rx.changed_with()).await.unwrap();
    assert_eq!((polled.old.as_deref(), *polled.new), (Some(&1), 2));
    assert_eq!((polled.new.generation(), polled.new.reason()), (2, Reason::Poll));
    assert!(polled.new.published_at() >= polled.new.seen_at());
    lab.store.holds(Held::Nothing);
    lab.until(Health::Retrying).await;
    lab.store.holds(Held::Value(3));
    assert_eq!(within(lab.rx.changed_with()).await.unwrap().new.reason(), Reason::Retry);
    lab.handle.pause();
    within(lab.rx.watch_status().wait_for(|status| status.is_paused)).await;
    lab.store.holds(Held::Value(4));
    within(lab.handle.trigger()).await;
    assert_eq!(within(lab.rx.changed_with()).await.unwrap().new.reason(), Reason::Trigger);
}

#[cfg(all(unix, feature = "signal"))]
#[tokio::test]
async fn a_hangup_triggers_a_load() {
    use rustix::process::{Signal, getpid, kill_process};

    let mut lab = Lab::idle().await;
    lab.handle.trigger_on_sighup().unwrap();
    lab.store.holds(Held::Value(2));
    kill_process(getpid(), Signal::HUP).unwrap();
    within(lab.rx.wait_for(|value| *value == 2)).await.unwrap();
    assert_eq!(lab.rx.snapshot().unwrap().reason(), Reason::Signal);
}

#[tokio::test(start_paused = true)]
async fn a_source_out_of_reach_makes_the_value_stale_on_time() {
    let options = ReloaderOptions::polling()
        .poll_interval(Duration::from_secs(1))
        .max_staleness(Duration::from_secs(30));
    let mut lab = Lab::start(options, Held::Value(1));
    within(lab.rx.changed()).await.unwrap();
    assert!(lab.rx.status().is_ready());
    lab.store.holds(Held::Nothing);
    let mut status = lab.rx.watch_status();
    let retrying = status.wait_for(|status| status.health == Health::Retrying).await;
    let since = retrying.unapplied_since.unwrap();
    assert!(retrying.is_ready());
    let stale = status.wait_for(|status| status.health == Health::Stale).await;
    assert_eq!(since.elapsed().as_secs(), 30);
    assert!(!stale.is_ready() && stale.failures > 20, "{stale:?}");
    lab.store.holds(Held::Value(1));
    let fresh = status.wait_for(|status| status.health == Health::Fresh).await;
    assert_eq!((fresh.failures, fresh.unapplied_since), (0, None));
}

#[tokio::test(start_paused = true)]
async fn a_load_that_hangs_makes_the_value_stale_on_time() {
    let options = ReloaderOptions::polling()
        .poll_interval(Duration::from_secs(1))
        .load_timeout(NEVER)
        .max_staleness(Duration::from_secs(5));
    let mut lab = Lab::start(options, Held::Value(1));
    lab.rx.changed().await.unwrap();
    lab.store.holds(Held::Hangs);
    let begun = Instant::now();
    lab.rx.watch_status().wait_for(|status| status.health == Health::Stale).await;
    assert_eq!(begun.elapsed().as_secs(), 6);
}

#[tokio::test]
async fn the_status_says_all_there_is_to_say() {
    let lab = Lab::idle().await;
    let status = lab.rx.status();
    assert_eq!(status.health.to_string(), "fresh");
    assert_eq!(status.strategy, Some(WatchStrategy::Polling));
    assert_eq!(status.mechanism, Some(Mechanism::Polling));
    assert_eq!((status.generation, status.failures), (1, 0));
    assert!(status.last_load >= status.last_change && status.age() < Some(PATIENCE));
    assert_eq!((status.last_error, status.unapplied_since), (None, None));
}

#[tokio::test]
async fn whoever_watches_the_status_is_woken_by_news_alone() {
    let interval = Duration::from_millis(10);
    let mut lab = Lab::start(ReloaderOptions::polling().poll_interval(interval), Held::Value(1));
    within(lab.rx.changed()).await.unwrap();
    let mut status = lab.rx.watch_status();
    // Looks that find nothing new are none.
    let loads = lab.store.loads();
    assert!(timeout(10 * interval, status.changed()).await.is_err());
    assert!(lab.store.loads() > loads);
    lab.store.holds(Held::Nothing);
    let failed = within(status.wait_for(|status| status.failures > 0)).await;
    assert_eq!(failed.last_error.as_deref(), Some("the store is empty"));
}

//! What can be done with a running service, and what it says of itself meanwhile.

#[path = "common/patience.rs"]
mod patience;
#[path = "common/source.rs"]
mod source;

use std::{pin::pin, time::Duration};

use hot_reload::{
    Health, Mechanism, Reason, ReloaderHandle, ReloaderOptions, ReloaderReceiver, ReloaderService,
    Status, Triggered, WatchStrategy,
};
use patience::{PATIENCE, within};
use source::{Held, Store};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep, sleep_until, timeout},
};

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const NEVER: Duration = Duration::from_secs(24 * 60 * 60);

struct Lab {
    store: Store<u32>,
    rx: ReloaderReceiver<u32>,
    handle: ReloaderHandle,
    task: JoinHandle<()>,
}

impl Lab {
    fn start(options: ReloaderOptions, held: Held<u32>) -> Self {
        let store = Store::of(held);
        let (service, rx) = ReloaderService::from_reloader(store.clone(), options);
        let handle = service.handle();
        let task = tokio::spawn(async move { service.start().await.unwrap() });
        Self { store, rx, handle, task }
    }

    /// One that looks every second, and has looked once.
    async fn polling() -> Self {
        let options = ReloaderOptions::polling().poll_interval(SECOND);
        let mut lab = Self::start(options, Held::Value(1));
        within(lab.rx.changed()).await.unwrap();
        lab
    }

    /// One that looks by itself only once, and has.
    async fn idle() -> Self {
        let mut lab = Self::start(ReloaderOptions::polling().poll_interval(NEVER), Held::Value(1));
        within(lab.rx.changed()).await.unwrap();
        lab
    }

    async fn until(&self, health: Health) {
        within(self.rx.watch_status().wait_for(|status| status.health == health)).await.unwrap();
    }

    async fn pause(&self) {
        self.handle.pause();
        within(self.rx.watch_status().wait_for(|status| status.is_paused)).await.unwrap();
    }
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

#[tokio::test(start_paused = true)]
async fn a_trigger_does_not_wait_for_the_pause_after_a_failure() {
    let options = ReloaderOptions::polling().poll_interval(NEVER).backoff(NEVER, NEVER);
    let lab = Lab::start(options, Held::Nothing);
    lab.until(Health::Retrying).await;
    lab.store.holds(Held::Value(1));
    let asked = Instant::now();
    assert_eq!(within(lab.handle.trigger()).await, Triggered::Published(1));
    assert_eq!(asked.elapsed(), Duration::ZERO);
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

/// It was once told that nothing runs, by which of the two tasks came first.
#[tokio::test]
async fn who_triggers_what_was_only_just_spawned_is_answered() {
    let store = Store::of(Held::Value(1));
    let (service, _rx) = ReloaderService::from_reloader(store, ReloaderOptions::polling());
    let handle = service.handle();
    let _task = tokio::spawn(async move { service.start().await });
    assert!(matches!(
        within(handle.trigger()).await,
        Triggered::Published(1) | Triggered::Unchanged
    ));
}

/// Whoever was told to go on does so, whoever has stopped waiting for that; who pauses it later is the last word.
#[tokio::test]
async fn what_has_never_run_goes_on_once_it_does_unless_it_is_paused_again() {
    for is_paused_again in [false, true] {
        let store = Store::of(Held::Value(1));
        let (service, mut rx) = ReloaderService::from_reloader(store, ReloaderOptions::polling());
        let handle = service.handle();
        handle.pause();
        let mut asking = Box::pin(handle.resume_and_trigger());
        assert!(timeout(Duration::ZERO, asking.as_mut()).await.is_err());
        let asking = is_paused_again.then_some(asking);
        if is_paused_again {
            handle.pause();
        }
        let _task = tokio::spawn(async move { service.start().await });
        if let Some(asking) = asking {
            assert_eq!(within(asking).await, Triggered::Published(1));
        }
        assert_eq!(handle.is_paused(), is_paused_again);
        within(rx.changed()).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn what_has_ended_without_having_run_is_not_waited_for() {
    let store = Store::of(Held::Value(1));
    let (service, _rx) = ReloaderService::from_reloader(store, ReloaderOptions::polling());
    let handle = service.handle();
    drop(service);
    let begun = tokio::time::Instant::now();
    assert_eq!(handle.trigger().await, Triggered::Stopped);
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test]
async fn nothing_is_triggered_where_nothing_runs() {
    let (service, _rx) = ReloaderService::<_, u32, &'static str>::from_reloader(
        Store::of(Held::Value(1)),
        ReloaderOptions::polling(),
    );
    assert_eq!(within(service.handle().trigger()).await, Triggered::Stopped);
    let lab = Lab::idle().await;
    lab.store.holds(Held::Hangs);
    let handle = lab.handle.clone();
    let asking = tokio::spawn(async move { handle.trigger().await });
    let looking = async {
        while lab.store.loads() < 2 {
            tokio::task::yield_now().await;
        }
    };
    within(looking).await;
    lab.task.abort();
    assert_eq!(within(asking).await.unwrap(), Triggered::Stopped);
}

#[tokio::test(start_paused = true)]
async fn a_poll_is_on_time() {
    let mut lab = Lab::polling().await;
    let begun = Instant::now();
    for n in 1..=3 {
        lab.store.holds(Held::Value(n + 1));
        sleep_until(begun + n * SECOND - MILLISECOND).await;
        assert_eq!((lab.store.loads(), lab.rx.get()), (n, Some(n)));
        within(lab.rx.changed()).await.unwrap();
        assert_eq!((begun.elapsed(), lab.rx.get()), (n * SECOND, Some(n + 1)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_paused_service_looks_at_nothing_until_it_is_resumed() {
    let mut lab = Lab::polling().await;
    lab.pause().await;
    assert!(lab.handle.is_paused());
    lab.store.holds(Held::Value(2));
    sleep(NEVER).await;
    assert_eq!((lab.store.loads(), lab.rx.get()), (1, Some(1)));
    // Whoever asks gets a look, and the service stays paused.
    assert_eq!(within(lab.handle.trigger()).await, Triggered::Published(2));
    lab.store.holds(Held::Value(3));
    sleep(NEVER).await;
    assert_eq!((lab.store.loads(), lab.rx.get()), (2, Some(2)));
    // Resumed, it looks at once, and goes on as before.
    let resumed = Instant::now();
    lab.handle.resume();
    within(lab.rx.wait_for(|value| *value == 3)).await.unwrap();
    assert_eq!(resumed.elapsed(), Duration::ZERO);
    assert!(!lab.rx.status().is_paused);
    lab.store.holds(Held::Value(4));
    within(lab.rx.wait_for(|value| *value == 4)).await.unwrap();
    assert_eq!(resumed.elapsed(), SECOND);
}

#[tokio::test]
async fn whoever_resumes_a_service_and_asks_finds_it_going_on() {
    let lab = Lab::idle().await;
    lab.pause().await;
    lab.store.holds(Held::Value(2));
    lab.handle.resume();
    assert_eq!(within(lab.handle.trigger()).await, Triggered::Published(2));
    assert!(!lab.rx.status().is_paused);
    assert_eq!(lab.store.loads(), 2);
}

/// Who asks only after the look has begun that it goes on with is told of the next.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_resumes_and_asks_in_one_is_told_of_the_look_it_goes_on_with() {
    let lab = Lab::idle().await;
    for n in 2..500 {
        lab.pause().await;
        lab.store.holds(Held::Value(n));
        assert_eq!(within(lab.handle.resume_and_trigger()).await, Triggered::Published(n.into()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_paused_again_at_once_looks_at_nothing() {
    let lab = Lab::idle().await;
    lab.pause().await;
    lab.store.holds(Held::Value(2));
    lab.handle.resume();
    lab.handle.pause();
    sleep(10 * SECOND).await;
    assert_eq!((lab.handle.is_paused(), lab.rx.get(), lab.store.loads()), (true, Some(1), 1));
}

/// Whoever asked before hears late that the service was stopped.
#[tokio::test(start_paused = true)]
async fn a_pause_outlives_what_was_asked_for_before_it() {
    let mut lab = Lab::idle().await;
    lab.pause().await;
    lab.store.holds(Held::Hangs);
    let mut asked = pin!(lab.handle.resume_and_trigger());
    assert!(timeout(SECOND, &mut asked).await.is_err());
    lab.task.abort();
    assert!((&mut lab.task).await.is_err());
    lab.handle.pause();
    assert_eq!((asked.await, lab.handle.is_paused()), (Triggered::Stopped, true));
}

#[tokio::test(start_paused = true)]
async fn a_change_says_why_it_was_loaded() {
    let options = ReloaderOptions::polling().poll_interval(SECOND).backoff(SECOND / 2, SECOND / 2);
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
    lab.pause().await;
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

/// To be asked twice changes nothing, and what listens goes with the service and its handles.
#[cfg(all(unix, feature = "signal"))]
#[tokio::test]
async fn nothing_listens_to_hangups_for_a_service_that_is_gone() {
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let lab = Lab::idle().await;
    let of_service = tasks();
    lab.handle.trigger_on_sighup().unwrap();
    lab.handle.trigger_on_sighup().unwrap();
    let count = |want| async move {
        while tasks() != want {
            tokio::task::yield_now().await;
        }
    };
    within(count(of_service + 1)).await;
    lab.task.abort();
    drop(lab);
    within(count(before)).await;
}

#[tokio::test(start_paused = true)]
async fn whoever_watches_the_status_hears_of_the_end() {
    let lab = Lab::idle().await;
    let mut status = lab.rx.watch_status();
    within(lab.handle.shutdown()).await;
    let last = within(async {
        let mut last = None;
        while let Ok(now) = status.changed().await {
            last = Some(now.health);
        }
        last
    });
    assert_eq!(last.await, Some(Health::Ended));
    assert!(within(status.wait_for(Status::is_ready)).await.is_err());
    assert!(within(lab.rx.watch_status().changed()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_source_out_of_reach_makes_the_value_stale_on_time() {
    let options = ReloaderOptions::polling().poll_interval(SECOND).max_staleness(30 * SECOND);
    let mut lab = Lab::start(options, Held::Value(1));
    within(lab.rx.changed()).await.unwrap();
    let begun = Instant::now();
    assert!(lab.rx.status().is_ready());
    lab.store.holds(Held::Nothing);
    // The look that finds it is the next.
    let since = begun + SECOND;
    let mut status = lab.rx.watch_status();
    let retrying =
        within(status.wait_for(|status| status.health == Health::Retrying)).await.unwrap();
    assert_eq!((Instant::now(), retrying.unapplied_since), (since, Some(since)));
    assert!(retrying.is_ready());
    sleep_until(since + 30 * SECOND - MILLISECOND).await;
    assert!(lab.rx.status().is_ready(), "{:?}", lab.rx.status());
    let stale = within(status.wait_for(|status| status.health == Health::Stale)).await.unwrap();
    assert_eq!(since.elapsed(), 30 * SECOND);
    assert!(!stale.is_ready() && stale.failures > 20, "{stale:?}");
    lab.store.holds(Held::Value(1));
    let fresh = within(status.wait_for(|status| status.health == Health::Fresh)).await.unwrap();
    assert_eq!((fresh.failures, fresh.unapplied_since), (0, None));
}

#[tokio::test(start_paused = true)]
async fn a_load_that_hangs_makes_the_value_stale_on_time() {
    let options = ReloaderOptions::polling()
        .poll_interval(SECOND)
        .load_timeout(NEVER)
        .max_staleness(5 * SECOND);
    let mut lab = Lab::start(options, Held::Value(1));
    within(lab.rx.changed()).await.unwrap();
    lab.store.holds(Held::Hangs);
    let begun = Instant::now();
    sleep_until(begun + 6 * SECOND - MILLISECOND).await;
    assert_eq!((lab.store.loads(), lab.rx.status().health), (2, Health::Fresh));
    lab.until(Health::Stale).await;
    assert_eq!(begun.elapsed(), 6 * SECOND);
}

#[tokio::test]
async fn the_status_says_all_there_is_to_say() {
    let lab = Lab::idle().await;
    let status = lab.rx.status();
    assert_eq!(status.health.to_string(), "fresh");
    assert_eq!(status.source, None, "it has no name");
    assert_eq!(status.strategy, Some(WatchStrategy::Polling));
    assert_eq!(status.mechanism, Some(Mechanism::Polling));
    assert_eq!((status.generation, status.failures), (1, 0));
    assert!(status.last_load >= status.last_change && status.age() < Some(PATIENCE));
    assert_eq!((status.last_error, status.unapplied_since), (None, None));
}

#[tokio::test(start_paused = true)]
async fn whoever_watches_the_status_is_woken_by_news_alone() {
    let lab = Lab::polling().await;
    let mut status = lab.rx.watch_status();
    // Looks that find nothing new are none.
    let quiet = timeout(10 * SECOND + MILLISECOND, status.changed()).await;
    assert!(quiet.is_err(), "{quiet:?}");
    assert_eq!(lab.store.loads(), 11);
    lab.store.holds(Held::Nothing);
    let failed = within(status.wait_for(|status| status.failures > 0)).await.unwrap();
    assert_eq!(failed.last_error.as_deref(), Some("the store is empty"));
}

//! A service is told to end, whatever it is doing.
#![cfg(feature = "toml")]

mod common;

use std::{
    fs::{self, File},
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::Duration,
};

use async_trait::async_trait;
use common::{
    Config, PATIENCE,
    source::{Held, Store},
    text, within,
};
use hot_reload::{
    Health, RealtimeWatch, RealtimeWatchHandle, Reload, ReloadResult, ReloaderHandle,
    ReloaderOptions, ReloaderReceiver, ReloaderService, TomlFile, Triggered,
};
use tokio::{
    sync::oneshot,
    task::JoinHandle,
    time::{sleep, timeout},
};

const NEVER: Duration = Duration::from_secs(24 * 60 * 60);

type Service = ReloaderService<Store<u32>, u32>;

/// Looks by itself only once, and waits for ever for whatever does not come.
fn never() -> ReloaderOptions {
    ReloaderOptions::polling()
        .poll_interval(NEVER)
        .backoff(NEVER, NEVER)
        .load_timeout(NEVER)
        .settle_ceiling(NEVER)
}

struct Lab {
    store: Store<u32>,
    rx: ReloaderReceiver<u32>,
    handle: ReloaderHandle,
    task: JoinHandle<()>,
}

impl Lab {
    fn start(held: Held<u32>, with: impl FnOnce(Service) -> Service) -> Self {
        let store = Store::of(held);
        let (service, rx) = ReloaderService::from_reloader(store.clone(), never());
        let service = with(service);
        let handle = service.handle();
        let task = tokio::spawn(async move { service.start().await.unwrap() });
        Self { store, rx, handle, task }
    }

    /// One whose value has arrived.
    async fn with_one(with: impl FnOnce(Service) -> Service) -> Self {
        let mut lab = Self::start(Held::Value(1), with);
        within(lab.rx.changed()).await.unwrap();
        lab
    }

    async fn ends(self) {
        ends(self.handle, self.rx, self.task).await;
    }
}

/// Has the service end, and checks that it does, and that everybody is told.
async fn ends<V, S>(handle: ReloaderHandle, mut rx: ReloaderReceiver<V, S>, task: JoinHandle<()>)
where
    V: Eq,
    S: Into<std::borrow::Cow<'static, str>> + std::fmt::Display,
{
    within(handle.shutdown()).await;
    within(task).await.unwrap();
    assert_eq!(rx.status().health, Health::Ended);
    within(async { while rx.changed().await.is_ok() {} }).await;
    // It has ended, and so it stays.
    assert_eq!(within(handle.trigger()).await, Triggered::Stopped);
    assert_eq!(within(handle.rollback(1)).await, Triggered::Stopped);
    within(handle.shutdown()).await;
}

/// Waits until a user's code has been reached.
async fn reached(flag: &AtomicBool) {
    within(async {
        while !flag.load(Ordering::SeqCst) {
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

/// It ended then, and so did every later start.
#[tokio::test(start_paused = true)]
async fn not_by_what_would_have_ended_it_and_panics() {
    let store = Store::of(Held::Value(0));
    let (service, rx) = ReloaderService::<_, u32>::from_reloader(store.clone(), never());
    let service = service.with_shutdown(async {
        sleep(Duration::from_secs(1)).await;
        panic!("on purpose")
    });
    for value in 1..=2 {
        store.holds(Held::Value(value));
        let stopped = timeout(Duration::from_secs(2), service.start()).await;
        assert!(stopped.is_err(), "{stopped:?}");
        assert_eq!((rx.get(), rx.status().health), (Some(value), Health::Stopped));
    }
}

#[tokio::test(start_paused = true)]
async fn while_it_waits_for_the_next_look() {
    Lab::with_one(|service| service).await.ends().await;
}

#[tokio::test(start_paused = true)]
async fn before_its_first_look() {
    Lab::start(Held::Value(1), |service| service).ends().await;
}

#[tokio::test(start_paused = true)]
async fn while_it_waits_after_a_failure() {
    let lab = Lab::start(Held::Nothing, |service| service);
    within(lab.rx.watch_status().wait_for(|status| status.failures > 0)).await.unwrap();
    lab.ends().await;
}

#[tokio::test(start_paused = true)]
async fn while_a_load_hangs() {
    let lab = Lab::start(Held::Hangs, |service| service);
    within(async {
        while lab.store.loads() == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    lab.ends().await;
}

#[tokio::test(start_paused = true)]
async fn while_it_is_paused() {
    let lab = Lab::with_one(|service| service).await;
    lab.handle.pause();
    within(lab.rx.watch_status().wait_for(|status| status.is_paused)).await.unwrap();
    lab.ends().await;
}

#[tokio::test(start_paused = true)]
async fn while_a_value_is_pinned() {
    let lab = Lab::with_one(|service| service.history(2)).await;
    assert_eq!(within(lab.handle.rollback(1)).await, Triggered::Published(2));
    lab.ends().await;
}

#[tokio::test(start_paused = true)]
async fn while_a_part_prepares() {
    let is_there = Arc::new(AtomicBool::new(false));
    let there = Arc::clone(&is_there);
    let lab = Lab::start(Held::Value(1), |service| {
        service.prepare("listener", move |_| {
            there.store(true, Ordering::SeqCst);
            std::future::pending::<Result<fn(), String>>()
        })
    });
    reached(&is_there).await;
    lab.ends().await;
}

/// Whoever waits for the roll-back is told as well.
#[tokio::test(start_paused = true)]
async fn while_a_part_prepares_for_a_roll_back() {
    let is_there = Arc::new(AtomicBool::new(false));
    let there = Arc::clone(&is_there);
    let lab = Lab::with_one(|service| {
        service.history(2).prepare("listener", move |candidate| {
            let there = Arc::clone(&there);
            async move {
                if candidate.current.is_some() {
                    there.store(true, Ordering::SeqCst);
                    std::future::pending::<()>().await;
                }
                Ok::<_, String>(|| {})
            }
        })
    })
    .await;
    let handle = lab.handle.clone();
    let asking = tokio::spawn(async move { handle.rollback(1).await });
    reached(&is_there).await;
    lab.ends().await;
    assert_eq!(within(asking).await.unwrap(), Triggered::Stopped);
}

/// The thread that the validation keeps is left behind; the service is not.
#[tokio::test]
async fn while_a_validation_hangs() {
    let is_there = Arc::new(AtomicBool::new(false));
    let there = Arc::clone(&is_there);
    // The runtime waits for its threads, so this one is let go at the end of the test.
    let (let_go, held) = mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    let lab = Lab::start(Held::Value(1), |service| {
        service.validate(move |_, _| {
            there.store(true, Ordering::SeqCst);
            let _let_go = held.lock().unwrap().recv_timeout(2 * PATIENCE);
            Ok::<_, String>(())
        })
    });
    reached(&is_there).await;
    let rx = lab.rx.clone();
    lab.ends().await;
    assert_eq!(rx.get(), None);
    drop(let_go);
}

#[tokio::test(start_paused = true)]
async fn while_a_value_is_on_probation() {
    let is_there = Arc::new(AtomicBool::new(false));
    let there = Arc::clone(&is_there);
    let lab = Lab::with_one(|service| {
        service.probation(NEVER, move |_| {
            there.store(true, Ordering::SeqCst);
            std::future::pending::<Result<(), String>>()
        })
    })
    .await;
    reached(&is_there).await;
    lab.ends().await;
}

/// The last good one is refused, and will be tried again.
#[tokio::test(start_paused = true)]
async fn while_a_bad_value_can_not_be_taken_back() {
    let lab = Lab::with_one(|service| {
        service
            .probation(NEVER, |value| async move {
                if *value == 2 { Err("it answers 503") } else { Ok(()) }
            })
            .validate(|_, current| match current {
                Some(2) => Err("the port is not free yet"),
                _ => Ok(()),
            })
    })
    .await;
    lab.store.holds(Held::Value(2));
    assert_eq!(within(lab.handle.trigger()).await, Triggered::Published(2));
    let mut status = lab.rx.watch_status();
    within(status.wait_for(|status| status.refused_by.as_deref() == Some("probation")))
        .await
        .unwrap();
    lab.ends().await;
}

/// A watch that never comes to stand.
#[derive(Clone)]
struct Unwatched(Arc<AtomicBool>);

#[async_trait]
impl Reload<u32> for Unwatched {
    type Source = ();

    async fn new((): &()) -> ReloadResult<Self, u32> {
        Ok(Self(Arc::default()))
    }

    async fn reload(&self) -> ReloadResult<Option<u32>, u32> {
        Ok(Some(1))
    }
}

#[async_trait]
impl RealtimeWatch<u32> for Unwatched {
    async fn watch_realtime(&self) -> ReloadResult<RealtimeWatchHandle<u32>, u32> {
        self.0.store(true, Ordering::SeqCst);
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn while_a_watch_is_being_set() {
    let source = Unwatched(Arc::default());
    let options = ReloaderOptions::realtime().load_timeout(NEVER);
    let (service, rx) = ReloaderService::from_reloader(source.clone(), options);
    let handle = service.handle();
    let task = tokio::spawn(async move { service.start_with_realtime().await.unwrap() });
    reached(&source.0).await;
    ends(handle, rx, task).await;
}

in_every_strategy! {
    async fn while_a_writer_is_waited_for(strategy) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        fs::write(&path, text("one")).unwrap();
        let file = TomlFile::<Config>::from_path(&path).unwrap();
        let options = common::options(strategy).settle_ceiling(NEVER);
        let (service, mut rx) = ReloaderService::from_reloader(file, options);
        let handle = service.handle();
        let task = tokio::spawn(async move { service.start_with_realtime().await.unwrap() });
        within(rx.changed()).await.unwrap();
        let mut writer = File::create(&path).unwrap();
        writer.write_all(b"name = ").unwrap();
        within(rx.watch_status().wait_for(|status| status.unapplied_since.is_some())).await.unwrap();
        // Whoever waits for the writer as well is told.
        let asking = handle.clone();
        let asking = tokio::spawn(async move { asking.trigger().await });
        tokio::task::yield_now().await;
        ends(handle, rx, task).await;
        assert_eq!(within(asking).await.unwrap(), Triggered::Stopped);
        drop(writer);
    }
}

#[tokio::test(start_paused = true)]
async fn before_it_is_started() {
    let store = Store::of(Held::Value(1));
    let (service, rx) = ReloaderService::<_, u32>::from_reloader(store.clone(), never());
    let handle = service.handle();
    within(handle.shutdown()).await;
    within(service.start()).await.unwrap();
    assert_eq!((rx.get(), rx.status().health), (None, Health::Ended));
    assert_eq!(store.loads(), 0);
    assert_eq!(within(handle.trigger()).await, Triggered::Stopped);
}

#[tokio::test(start_paused = true)]
async fn between_two_starts() {
    let store = Store::of(Held::Value(1));
    let (service, mut rx) = ReloaderService::<_, u32>::from_reloader(store.clone(), never());
    let (handle, service) = (service.handle(), Arc::new(service));
    let first = tokio::spawn({
        let service = Arc::clone(&service);
        async move { service.start().await }
    });
    within(rx.changed()).await.unwrap();
    first.abort();
    assert!(within(first).await.unwrap_err().is_cancelled());
    assert_eq!(rx.status().health, Health::Stopped);
    let mut status = rx.watch_status();
    within(handle.shutdown()).await;
    // It can run no more, and whoever waits is told so.
    assert_eq!(within(status.changed()).await.unwrap().health, Health::Ended);
    assert!(within(status.changed()).await.is_err());
    store.holds(Held::Value(2));
    within(service.start()).await.unwrap();
    assert_eq!((rx.get(), rx.status().health), (Some(1), Health::Ended));
}

#[tokio::test(start_paused = true)]
async fn by_a_future_and_it_stays_ended() {
    let (over, ended) = oneshot::channel::<()>();
    let store = Store::of(Held::Value(1));
    let (service, mut rx) = ReloaderService::<_, u32>::from_reloader(store, never());
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

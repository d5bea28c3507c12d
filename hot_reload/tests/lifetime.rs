//! What a service leaves behind: nothing.
#![cfg(all(feature = "toml", target_os = "linux"))]

mod common;

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Wake, Waker},
    time::Duration,
};

use common::{Config, Lab, NOBODY, PATIENCE, config, options, text};
use hot_reload::{Health, RealtimeWatch, ReloaderService, TomlFile, WatchEvent, WatchStrategy};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    runtime::{Builder, Handle},
    time::{sleep, timeout},
};

const EVERY: [WatchStrategy; 3] =
    [WatchStrategy::Realtime, WatchStrategy::Hybrid, WatchStrategy::Polling];

async fn expect_no_task() {
    let gone = timeout(PATIENCE, async {
        while Handle::current().metrics().num_alive_tasks() > 0 {
            sleep(Duration::from_millis(5)).await;
        }
    });
    let tasks = || Handle::current().metrics().num_alive_tasks();
    gone.await.unwrap_or_else(|_| panic!("{} tasks are left", tasks()));
}

/// What the process has open, and how often.
fn descriptors() -> BTreeMap<String, usize> {
    let mut open = BTreeMap::new();
    for entry in fs::read_dir("/proc/self/fd").unwrap() {
        let Ok(target) = fs::read_link(entry.unwrap().path()) else { continue };
        // The directory that is being read has a number of its own each time.
        if !target.starts_with("/proc") {
            *open.entry(target.display().to_string()).or_default() += 1;
        }
    }
    open
}

fn threads() -> usize {
    fs::read_dir("/proc/self/task").unwrap().count()
}

#[tokio::test]
async fn last_receiver_gone_ends_the_service() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    fs::write(&path, text("one")).unwrap();
    let rx = TomlFile::<Config>::watch(&path).await.unwrap();
    drop(rx);
    expect_no_task().await;
}

/// Panics once as it is woken, as one may that wakes a loop which is gone.
#[derive(Default)]
struct PanicAtWake(AtomicBool);

impl Wake for PanicAtWake {
    fn wake(self: Arc<Self>) {
        assert!(!self.0.swap(false, Ordering::SeqCst), "nobody is there any more");
    }
}

/// All others of the runtime once heard of no event any more, and said that they were fresh.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_whose_waker_panics_costs_no_other_its_events() {
    let with_one = |dir: &Path| fs::write(dir.join("config.toml"), text("one")).unwrap();
    let mut other = Lab::new(WatchStrategy::Realtime, with_one).await;
    other.expect(config("one")).await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    fs::write(&path, text("one")).unwrap();
    let file = TomlFile::<Config>::from_path(&path).unwrap();
    let (service, rx) = ReloaderService::from_reloader(file, options(WatchStrategy::Realtime));
    let mut fragile = Box::pin(service.start_with_realtime());
    let at_wake = Arc::new(PanicAtWake::default());
    let waker = Waker::from(Arc::clone(&at_wake));
    let mut cx = Context::from_waker(&waker);
    let starts = async {
        while rx.get().is_none() {
            assert!(fragile.as_mut().poll(&mut cx).is_pending());
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, starts).await.unwrap();
    at_wake.0.store(true, Ordering::SeqCst);
    fs::write(&path, text("two")).unwrap();
    let is_woken = async {
        while at_wake.0.load(Ordering::SeqCst) {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, is_woken).await.unwrap();
    fs::write(&other.path, text("two")).unwrap();
    other.expect(config("two")).await;
}

in_every_strategy! {
    async fn last_receiver_gone_ends_a_service_that_fails(strategy) {
        let lab = Lab::new(strategy, |_dir| {}).await;
        let Lab { rx, service, .. } = lab;
        drop(rx.clone());
        drop(rx);
        timeout(PATIENCE, service).await.unwrap().unwrap();
    }

    async fn last_receiver_gone_ends_a_service_that_settles(strategy) {
        let lab = Lab::with_one(strategy).await;
        let writer = fs::File::create(&lab.path).unwrap();
        let Lab { rx, service, .. } = lab;
        drop(rx);
        timeout(PATIENCE, service).await.unwrap().unwrap();
        drop(writer);
    }

    async fn a_stopped_service_says_so_and_may_start_again(strategy) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        let reloader = TomlFile::<Config>::from_path(&path).unwrap();
        let (service, mut rx) = ReloaderService::from_reloader(reloader, options(strategy));
        for (n, name) in (1..).zip(["one", "two", "six", "ten"]) {
            fs::write(&path, text(name)).unwrap();
            {
                let mut running = std::pin::pin!(service.start_with_realtime());
                tokio::select! {
                    _ended = &mut running => panic!("it ended"),
                    changed = timeout(PATIENCE, rx.changed()) => changed.unwrap().unwrap(),
                }
            }
            assert_eq!(rx.get(), Some(config(name)));
            assert_eq!(rx.borrow().generation(), n);
            assert_eq!(rx.status().health, Health::Stopped);
        }
        expect_no_task().await;
    }
}

/// Version 0.3.6 left a thread and three descriptors each time.
#[test]
fn a_thousand_services_leave_nothing() {
    if !common::alone("a_thousand_services_leave_nothing") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    fs::write(&path, text("one")).unwrap();
    // The first runtime of a process leaves a pair of sockets for signals.
    drop(common::runtime());
    let (before, threads_before) = (descriptors(), threads());
    let mut runtime = Builder::new_multi_thread();
    let runtime =
        runtime.worker_threads(2).thread_keep_alive(Duration::from_millis(1)).enable_all();
    let runtime = runtime.build().unwrap();
    // A worker has its name once it runs.
    runtime.block_on(async { tokio::spawn(async {}).await.unwrap() });
    let (idle, threads_idle) = (descriptors(), threads());
    runtime.block_on(async {
        for n in 0..1_000 {
            one_life(&path, n).await;
        }
    });
    let settled = || {
        descriptors() == idle
            && threads() <= threads_idle
            && runtime.handle().metrics().num_alive_tasks() == 0
    };
    let deadline = std::time::Instant::now() + PATIENCE;
    while !settled() && std::time::Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(descriptors(), idle);
    // One that has ended may still be listed when the first count is taken.
    assert!(threads() <= threads_idle, "{} threads, {threads_idle} before", threads());
    assert_eq!(runtime.handle().metrics().num_alive_tasks(), 0);
    drop(runtime);
    assert_eq!(descriptors(), before);
    assert!(threads() <= threads_before, "{} threads, {threads_before} before", threads());
}

/// A service starts, runs and is dropped, in one of the ways that there are.
async fn one_life(path: &Path, n: usize) {
    let strategy = EVERY[n % 3];
    let missing = path.with_file_name("missing.toml");
    let path = if n.is_multiple_of(5) { &missing } else { path };
    let reloader = TomlFile::<Config>::from_path(path).unwrap();
    let (service, mut rx) = ReloaderService::from_reloader(reloader.clone(), options(strategy));
    match n % 4 {
        0 => drop(service),
        1 => {
            let task = tokio::spawn(async move { service.start_with_realtime().await.unwrap() });
            if !n.is_multiple_of(5) {
                timeout(PATIENCE, rx.changed()).await.unwrap().unwrap();
            }
            task.abort();
            assert!(task.await.unwrap_err().is_cancelled());
        }
        2 => {
            let task = tokio::spawn(async move { service.start_with_realtime().await.unwrap() });
            drop(rx);
            timeout(PATIENCE, task).await.unwrap().unwrap();
        }
        _ => {
            let mut handle = reloader.watch_realtime().await.unwrap();
            let event = timeout(PATIENCE, handle.rx.recv()).await.unwrap().unwrap();
            assert_eq!(
                event,
                if n.is_multiple_of(5) {
                    WatchEvent::Removed
                } else {
                    WatchEvent::Changed(config("one"))
                }
            );
        }
    }
}

/// A stopped service in a runtime that lives on lets go of the inotify instance.
#[test]
fn the_last_service_gone_closes_the_watcher() {
    if !common::alone("the_last_service_gone_closes_the_watcher") {
        return;
    }
    let instances = || descriptors().get("anon_inode:inotify").copied().unwrap_or(0);
    common::block_on(async {
        for _ in 0..3 {
            let mut labs = Vec::new();
            for n in 0..10 {
                labs.push(Lab::with_one(EVERY[n % 3]).await);
            }
            assert_eq!(instances(), 1);
            for lab in &labs {
                lab.service.abort();
            }
            let closed = timeout(PATIENCE, async {
                while instances() > 0 {
                    sleep(Duration::from_millis(5)).await;
                }
            });
            closed.await.expect("the instance is closed");
            drop(labs);
        }
        expect_no_task().await;
    });
}

#[test]
fn a_runtime_that_ends_takes_no_events_from_another() {
    let (one, other) = (common::runtime(), common::runtime());
    let mut kept = one.block_on(Lab::with_one(WatchStrategy::Realtime));
    let mut lost = other.block_on(Lab::with_one(WatchStrategy::Realtime));
    lost.write(text("two"));
    other.block_on(lost.expect(config("two")));
    other.shutdown_background();
    for name in ["two", "six"] {
        kept.write(text(name));
        one.block_on(kept.expect(config(name)));
    }
    // Its tasks are dropped one after the other, beside all this.
    let mut statuses = lost.rx.watch_status();
    let ended = statuses.wait_for(|status| status.health == Health::Ended);
    one.block_on(async { timeout(PATIENCE, ended).await }).expect("it ends").expect("it says so");
    // And a third runtime finds everything in order.
    let third = common::runtime();
    let mut late = third.block_on(Lab::with_one(WatchStrategy::Realtime));
    late.write(text("two"));
    third.block_on(late.expect(config("two")));
}

/// A runtime that nobody drives for a while holds up no other.
#[test]
fn a_runtime_that_rests_takes_no_events_from_another() {
    let current = || Builder::new_current_thread().enable_all().build().unwrap();
    let (one, other) = (current(), current());
    let mut first = one.block_on(Lab::with_one(WatchStrategy::Realtime));
    let mut second = other.block_on(Lab::with_one(WatchStrategy::Realtime));
    for n in 0..5 {
        let name = n.to_string();
        second.write(text(&name));
        first.write(text(&name));
        one.block_on(first.expect(config(&name)));
        other.block_on(second.expect(config(&name)));
    }
}

#[test]
fn a_runtime_without_io_has_events_too() {
    if !common::alone("a_runtime_without_io_has_events_too") {
        return;
    }
    let before = threads();
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let mut lab = Lab::with_one(WatchStrategy::Realtime).await;
        for name in ["two", "six"] {
            lab.write(text(name));
            lab.expect(config(name)).await;
        }
    });
    drop(runtime);
    let deadline = std::time::Instant::now() + PATIENCE;
    while threads() != before && std::time::Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(threads(), before);
}

/// The limit on processes counts threads, and does not hold for root.
#[test]
fn a_thread_that_is_not_to_be_had_is_asked_for_again() {
    if !common::alone_under("a_thread_that_is_not_to_be_had_is_asked_for_again", NOBODY) {
        return;
    }
    for has_one_to_block in [false, true] {
        let runtime = Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            if has_one_to_block {
                tokio::task::spawn_blocking(|| ()).await.unwrap();
            }
            let limit = getrlimit(Resource::Nproc);
            setrlimit(Resource::Nproc, Rlimit { current: Some(1), ..limit }).unwrap();
            let mut lab = Lab::new(WatchStrategy::Realtime, |dir| {
                fs::write(dir.join("config.toml"), text("one")).unwrap();
            })
            .await;
            sleep(Duration::from_millis(100)).await;
            setrlimit(Resource::Nproc, limit).unwrap();
            lab.expect(config("one")).await;
            lab.write(text("two"));
            lab.expect(config("two")).await;
        });
    }
}

/// The task that looks at all files of a runtime ended with the one look that had no thread.
#[test]
fn looks_that_had_no_thread_for_a_while_go_on() {
    if !common::alone_under("looks_that_had_no_thread_for_a_while_go_on", NOBODY) {
        return;
    }
    let mut runtime = Builder::new_current_thread();
    // Shorter than the poll interval, so that none is left from the look before.
    let runtime =
        runtime.enable_time().thread_keep_alive(Duration::from_millis(5)).build().unwrap();
    runtime.block_on(async {
        let mut lab = Lab::with_one(WatchStrategy::Polling).await;
        let limit = getrlimit(Resource::Nproc);
        setrlimit(Resource::Nproc, Rlimit { current: Some(1), ..limit }).unwrap();
        sleep(Duration::from_millis(500)).await;
        setrlimit(Resource::Nproc, limit).unwrap();
        for name in ["two", "six"] {
            lab.write(text(name));
            lab.expect(config(name)).await;
        }
    });
}

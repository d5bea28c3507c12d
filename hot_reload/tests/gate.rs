//! What a value has to pass before it is published, and what may become of it after.
#![cfg(feature = "toml")]

mod common;

use std::{
    fs::{self, File},
    io::Write,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use common::{Config, PATIENCE, config, options, text};
use hot_reload::{
    Candidate, Group, Health, Reason, Reload, ReloadResult, ReloaderHandle, ReloaderOptions,
    ReloaderReceiver, ReloaderService, Status, TomlFile, Triggered, WatchStrategy,
};
use tempfile::TempDir;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::{sleep, timeout},
};

type Service = ReloaderService<TomlFile<Config>, Config, String>;

struct Lab {
    rx: ReloaderReceiver<Config, String>,
    handle: ReloaderHandle,
    path: PathBuf,
    task: JoinHandle<()>,
    _dir: TempDir,
}

impl Lab {
    /// Follows a file that holds `config("one")`, which has arrived, with a service made by `with`.
    async fn new(strategy: WatchStrategy, with: impl FnOnce(Service) -> Service) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        fs::write(&path, text("one")).unwrap();
        let file = TomlFile::from_path(&path).unwrap();
        let options = options(strategy)
            .load_timeout(Duration::from_secs(1))
            .backoff(Duration::from_millis(20), Duration::from_millis(80));
        let (service, rx) = ReloaderService::from_reloader(file, options);
        let service = with(service);
        let handle = service.handle();
        let task = tokio::spawn(async move { service.start_with_realtime().await.unwrap() });
        let mut lab = Self { rx, handle, path, task, _dir: dir };
        lab.expect("one").await;
        lab
    }

    fn write(&self, name: &str) {
        fs::write(&self.path, text(name)).unwrap();
    }

    async fn expect(&mut self, name: &str) {
        let arrived = self.rx.wait_for(|value| *value == config(name));
        let is_there = timeout(PATIENCE, arrived).await.is_ok_and(|arrived| arrived.is_ok());
        assert!(is_there, "no {name}: {:?}, {:?}", self.rx.get(), self.rx.status());
    }

    async fn status(&self, is_it: impl FnMut(&Status) -> bool) -> Status {
        let status = timeout(PATIENCE, self.rx.watch_status().wait_for(is_it)).await;
        status.unwrap_or_else(|_| panic!("{:?}", self.rx.status()))
    }

    /// Waits until the service says that it refuses what the file holds.
    async fn refused_by(&self, by: &str) -> Status {
        self.status(|status| status.refused_by.as_deref() == Some(by)).await
    }

    fn generation(&self) -> u64 {
        self.rx.borrow().generation()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.task.abort();
    }
}

in_every_strategy! {
    async fn what_is_refused_is_not_published_and_what_is_mended_is(strategy) {
        let mut lab = Lab::new(strategy, |service| {
            service.validate(|new, current| {
                assert!(current.is_none_or(|current| current != new));
                if new.name == "bad" { Err("a bad name") } else { Ok(()) }
            })
        })
        .await;
        lab.write("bad");
        let status = lab.refused_by("validation").await;
        assert_eq!(status.health, Health::Retrying);
        assert_eq!(status.last_error.as_deref(), Some("refused by validation: a bad name"));
        assert!(status.unapplied_since.is_some() && status.is_ready());
        assert_eq!((lab.rx.get(), lab.generation()), (Some(config("one")), 1));
        lab.write("two");
        lab.expect("two").await;
        let status = lab.rx.status();
        assert_eq!((status.refused_by, status.last_error), (None, None));
        assert_eq!(lab.generation(), 2);
    }

    /// The file is the same all the time.
    async fn what_was_refused_is_tried_again(strategy) {
        let is_full = Arc::new(AtomicU32::new(0));
        let full = Arc::clone(&is_full);
        let mut lab = Lab::new(strategy, |service| {
            service.validate(move |new, _| match full.load(Ordering::SeqCst) {
                1 if new.name == "two" => Err("the disk is full"),
                _ => Ok(()),
            })
        })
        .await;
        is_full.store(1, Ordering::SeqCst);
        lab.write("two");
        lab.refused_by("validation").await;
        // With backoff, not in a busy loop.
        let tried = lab.status(|status| status.failures > 2).await.failures;
        sleep(Duration::from_millis(200)).await;
        assert!(lab.rx.status().failures < tried + 30, "{:?}", lab.rx.status());
        is_full.store(0, Ordering::SeqCst);
        lab.expect("two").await;
        lab.status(|status| status.health == Health::Fresh).await;
    }

    async fn a_value_that_fails_its_probation_gives_way_to_the_last_good_one(strategy) {
        let checks = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&checks);
        let mut lab = Lab::new(strategy, |service| {
            service.probation(Duration::from_millis(200), move |value| {
                counted.fetch_add(1, Ordering::SeqCst);
                async move {
                    sleep(Duration::from_millis(20)).await;
                    if value.name == "bad" { Err("it answers 503") } else { Ok(()) }
                }
            })
        })
        .await;
        sleep(Duration::from_millis(60)).await;
        lab.write("bad");
        lab.expect("bad").await;
        lab.expect("one").await;
        let status = lab.rx.status();
        assert_eq!((status.health, status.generation), (Health::RolledBack, 3));
        assert_eq!(status.refused_by.as_deref(), Some("probation"));
        let why = "refused by probation: it answers 503";
        assert_eq!(status.last_error.as_deref(), Some(why));
        assert!(status.is_ready());
        assert_eq!(lab.rx.snapshot().unwrap().reason(), Reason::Rollback);

        // It is not tried again while the source holds it, however often that is looked at.
        lab.write("bad");
        let failed = Triggered::Failed(why.into());
        assert_eq!(timeout(PATIENCE, lab.handle.trigger()).await.unwrap(), failed);
        sleep(Duration::from_millis(600)).await;
        assert_eq!((lab.generation(), checks.load(Ordering::SeqCst)), (3, 2));
        assert_eq!(lab.rx.status().health, Health::RolledBack);

        // Back to what serves: all is well.
        lab.write("one");
        lab.status(|status| status.health == Health::Fresh).await;
        assert_eq!(lab.generation(), 3);
        // And from then on it is as good as any other.
        lab.write("bad");
        lab.expect("bad").await;
        lab.expect("one").await;
        lab.write("two");
        lab.expect("two").await;
        lab.status(|status| status.health == Health::Fresh).await;
    }
}

#[tokio::test]
async fn a_validation_that_panics_or_hangs_has_refused() {
    let mut lab = Lab::new(WatchStrategy::Realtime, |service| {
        service.validate(|new, _| match new.name.as_str() {
            "panic" => panic!("on purpose"),
            "hang" => {
                std::thread::sleep(Duration::from_secs(3));
                Ok(())
            }
            _ => Ok::<_, String>(()),
        })
    })
    .await;
    lab.write("panic");
    lab.status(|status| {
        status.last_error.as_deref().is_some_and(|why| why.contains("panicked: on purpose"))
    })
    .await;
    lab.write("hang");
    lab.status(|status| {
        status.last_error.as_deref().is_some_and(|why| why.contains("did not answer within 1s"))
    })
    .await;
    lab.write("two");
    lab.expect("two").await;
}

/// Counts what is prepared and not undone.
#[derive(Default)]
struct Part {
    prepared: AtomicU32,
    committed: Mutex<Vec<String>>,
}

struct Prepared(Arc<Part>);

impl Drop for Prepared {
    fn drop(&mut self) {
        self.0.prepared.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Part {
    fn prepare(self: &Arc<Self>, candidate: &Candidate<Config>) -> impl FnOnce() + Send + use<> {
        self.prepared.fetch_add(1, Ordering::SeqCst);
        let (prepared, name) = (Prepared(Arc::clone(self)), candidate.new.name.clone());
        move || prepared.0.committed.lock().unwrap().push(name)
    }

    fn committed(&self) -> Vec<String> {
        self.committed.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn all_parts_take_a_value_or_none_does() {
    let (first, last) = (Arc::new(Part::default()), Arc::new(Part::default()));
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    let parts = (Arc::clone(&first), Arc::clone(&last));
    let mut lab = Lab::new(WatchStrategy::Realtime, |service| {
        let (first, last) = parts;
        service
            .prepare("cache", move |candidate| {
                let commit = first.prepare(&candidate);
                async { Ok::<_, String>(commit) }
            })
            .prepare("listener", move |candidate| async move {
                if candidate.new.name == "two" {
                    TcpListener::bind(address).await?;
                }
                Ok::<_, std::io::Error>(|| {})
            })
            .prepare("routes", move |candidate| {
                let commit = last.prepare(&candidate);
                async move {
                    match candidate.new.name.as_str() {
                        "panic" => panic!("on purpose"),
                        "hang" => std::future::pending().await,
                        _ => Ok::<_, String>(commit),
                    }
                }
            })
    })
    .await;
    for (name, by) in [("two", "listener"), ("panic", "routes"), ("hang", "routes")] {
        lab.write(name);
        let status = lab.refused_by(by).await;
        assert!(status.last_error.unwrap().starts_with(&format!("refused by {by}: ")));
        // Whatever was prepared is undone.
        let undone = timeout(PATIENCE, async {
            while first.prepared.load(Ordering::SeqCst) + last.prepared.load(Ordering::SeqCst) > 0 {
                sleep(Duration::from_millis(1)).await;
            }
        });
        assert!(undone.await.is_ok(), "{name}");
        assert_eq!((lab.rx.get(), lab.generation()), (Some(config("one")), 1), "{name}");
        assert_eq!((first.committed(), last.committed()).0, ["one"], "{name}");
    }
    // The port is free again, and nobody has touched the file.
    lab.write("two");
    lab.refused_by("listener").await;
    drop(taken);
    lab.expect("two").await;
    assert_eq!((first.committed(), last.committed().len()), (vec!["one".into(), "two".into()], 2));
}

/// Parts have taken a value by the time that anybody reads it.
#[tokio::test]
async fn commits_come_before_the_publication_and_survive_one_that_panics() {
    let committed = Arc::new(Mutex::new(String::new()));
    let part = Arc::clone(&committed);
    let mut lab = Lab::new(WatchStrategy::Realtime, |service| {
        service.prepare("fragile", |_| async { Ok::<_, String>(|| panic!("on purpose")) }).prepare(
            "sound",
            move |candidate| {
                let part = Arc::clone(&part);
                let commit = move || part.lock().unwrap().clone_from(&candidate.new.name);
                async { Ok::<_, String>(commit) }
            },
        )
    })
    .await;
    for n in 0..50 {
        let name = n.to_string();
        lab.write(&name);
        lab.expect(&name).await;
        assert_eq!(*committed.lock().unwrap(), name);
    }
}

#[tokio::test]
async fn a_first_value_that_fails_its_probation_stays() {
    let lab = Lab::new(WatchStrategy::Realtime, |service| {
        service.probation(PATIENCE, |_| async { Err("nothing works") })
    })
    .await;
    lab.refused_by("probation").await;
    // Looking again makes it no better.
    assert!(matches!(lab.handle.trigger().await, Triggered::Failed(_)));
    let status = lab.refused_by("probation").await;
    assert_eq!((status.generation, lab.rx.get()), (1, Some(config("one"))));
}

#[tokio::test]
async fn a_health_check_that_is_not_over_in_time_has_passed() {
    let mut lab = Lab::new(WatchStrategy::Realtime, |service| {
        service.probation(Duration::from_millis(50), |value| async move {
            if value.name != "bad" {
                std::future::pending::<()>().await;
            }
            // Long enough to be in the window of nothing but this value.
            TcpStream::connect("127.0.0.1:1").await.map(drop)
        })
    })
    .await;
    sleep(Duration::from_millis(100)).await;
    lab.write("two");
    lab.expect("two").await;
    sleep(Duration::from_millis(100)).await;
    lab.write("bad");
    lab.expect("bad").await;
    lab.expect("two").await;
}

#[tokio::test]
async fn a_value_of_the_history_is_pinned_until_told_otherwise() {
    let mut lab = Lab::new(WatchStrategy::Hybrid, |service| service.history(3)).await;
    for name in ["two", "six", "ten"] {
        lab.write(name);
        lab.expect(name).await;
    }
    let kept: Vec<_> = lab.handle.history().iter().map(|past| past.generation).collect();
    assert_eq!(kept, [2, 3, 4]);
    match lab.handle.rollback(1).await {
        Triggered::Failed(why) => assert!(why.contains("generation 1 is not kept"), "{why}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(lab.rx.status().pinned, None);
    assert_eq!(lab.handle.rollback(2).await, Triggered::Published(5));
    assert_eq!(lab.rx.get(), Some(config("two")));
    let status = lab.status(|status| status.is_paused).await;
    assert_eq!((status.pinned, status.health), (Some(2), Health::RolledBack));

    lab.write("new");
    assert!(matches!(lab.handle.trigger().await, Triggered::Failed(_)));
    sleep(Duration::from_millis(600)).await;
    assert_eq!(lab.rx.get(), Some(config("two")));

    lab.handle.resume();
    lab.expect("new").await;
    let status = lab.status(|status| status.health == Health::Fresh).await;
    assert_eq!((status.pinned, status.is_paused), (None, false));
}

/// As it may be after an edit that turned out wrong, and that nobody has mended.
#[tokio::test]
async fn resuming_takes_what_the_source_has_held_all_the_time() {
    let mut lab = Lab::new(WatchStrategy::Realtime, |service| service.history(2)).await;
    lab.write("two");
    lab.expect("two").await;
    assert_eq!(lab.handle.rollback(1).await, Triggered::Published(3));
    assert_eq!(lab.rx.get(), Some(config("one")));
    lab.handle.resume();
    lab.expect("two").await;
}

#[tokio::test]
async fn a_rollback_passes_the_gate() {
    let is_closed = Arc::new(AtomicU32::new(0));
    let closed = Arc::clone(&is_closed);
    let mut lab = Lab::new(WatchStrategy::Realtime, |service| {
        service.history(2).validate(move |_, _| match closed.load(Ordering::SeqCst) {
            0 => Ok(()),
            _ => Err("closed"),
        })
    })
    .await;
    lab.write("two");
    lab.expect("two").await;
    is_closed.store(1, Ordering::SeqCst);
    let failed = Triggered::Failed("refused by validation: closed".into());
    assert_eq!(lab.handle.rollback(1).await, failed);
    assert_eq!((lab.rx.get(), lab.rx.status().pinned), (Some(config("two")), None));
}

#[tokio::test]
async fn the_history_is_bounded_in_bytes() {
    let mut lab = Lab::new(WatchStrategy::Realtime, |service| {
        service.history(100).history_bytes(10, |value| value.name.len())
    })
    .await;
    for name in ["two", "six", "ten", "seven"] {
        lab.write(name);
        lab.expect(name).await;
    }
    let kept =
        |lab: &Lab| -> Vec<_> { lab.handle.history().iter().map(|past| past.generation).collect() };
    assert_eq!(kept(&lab), [4, 5]);
    // One that is too large by itself is not kept, and serves all the same.
    lab.write("twelve or more");
    lab.expect("twelve or more").await;
    assert_eq!(kept(&lab), [0_u64; 0]);
}

#[tokio::test]
async fn the_status_counts_the_generations_that_are_alive() {
    let mut lab = Lab::new(WatchStrategy::Realtime, |service| service).await;
    assert_eq!(lab.rx.status().alive, 1);
    let held = lab.rx.snapshot();
    for name in ["two", "six", "ten"] {
        lab.write(name);
        lab.expect(name).await;
    }
    assert_eq!(lab.rx.status().alive, 2);
    drop(held);
    assert_eq!(lab.rx.status().alive, 1);
}

/// Says of itself whether it can be compared, and whether it can be dropped.
#[derive(Debug, Clone, serde::Deserialize)]
struct Fragile {
    name: String,
}

impl PartialEq for Fragile {
    fn eq(&self, other: &Self) -> bool {
        assert_ne!(other.name, "incomparable", "on purpose");
        assert_ne!(self.name, "incomparable", "on purpose");
        self.name == other.name
    }
}

impl Eq for Fragile {}

impl Drop for Fragile {
    fn drop(&mut self) {
        assert!(self.name != "immortal" || std::thread::panicking(), "on purpose");
    }
}

#[tokio::test]
async fn a_value_whose_comparison_or_drop_panics_ends_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    let write = |name: &str| fs::write(&path, format!("name = '{name}'")).unwrap();
    write("one");
    let file = TomlFile::<Fragile>::from_path(&path).unwrap();
    let (service, mut rx) = ReloaderService::from_reloader(file, options(WatchStrategy::Realtime));
    let service = service.history(1);
    let task = tokio::spawn(async move { service.start_with_realtime().await.unwrap() });
    timeout(PATIENCE, rx.changed()).await.unwrap().unwrap();
    let mut status = rx.watch_status();
    write("incomparable");
    let refused = status.wait_for(|status| status.refused_by.as_deref() == Some("comparison"));
    let refused = timeout(PATIENCE, refused).await.unwrap();
    assert!(refused.last_error.unwrap().contains("on purpose"));
    for name in ["immortal", "two"] {
        write(name);
        timeout(PATIENCE, rx.wait_for(|value| value.name == name)).await.unwrap().unwrap();
    }
    assert!(!task.is_finished());
    task.abort();
}

#[tokio::test]
async fn a_value_stays_pinned_when_the_service_is_started_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    fs::write(&path, text("one")).unwrap();
    let file = TomlFile::<Config>::from_path(&path).unwrap();
    let (service, mut rx) = ReloaderService::from_reloader(file, options(WatchStrategy::Hybrid));
    let service = Arc::new(service.history(3));
    let handle = service.handle();
    let start = || {
        let service = Arc::clone(&service);
        tokio::spawn(async move { service.start_with_realtime().await.unwrap() })
    };
    let first = start();
    timeout(PATIENCE, rx.changed()).await.unwrap().unwrap();
    fs::write(&path, text("two")).unwrap();
    timeout(PATIENCE, rx.wait_for_generation(2)).await.unwrap().unwrap();
    assert_eq!(handle.rollback(1).await, Triggered::Published(3));
    first.abort();
    let _stopped = first.await;
    let second = start();
    sleep(Duration::from_millis(500)).await;
    let status = rx.status();
    assert_eq!((rx.get(), status.pinned), (Some(config("one")), Some(1)));
    assert_eq!((status.health, status.is_paused), (Health::RolledBack, true));
    handle.resume();
    timeout(PATIENCE, rx.wait_for(|value| *value == config("two"))).await.unwrap().unwrap();
    second.abort();
}

/// Writes a first half, and keeps the file open for the other.
fn begin(lab: &Lab) -> File {
    let mut writer = File::create(&lab.path).unwrap();
    writer.write_all(b"name = ").unwrap();
    writer
}

#[tokio::test]
async fn a_trigger_while_a_writer_is_at_work_is_answered_once_it_is_done() {
    for is_paused in [false, true] {
        let lab = Lab::new(WatchStrategy::Realtime, |service| service).await;
        let mut writer = begin(&lab);
        if is_paused {
            lab.handle.pause();
        }
        sleep(Duration::from_millis(20)).await;
        let mut triggered = std::pin::pin!(lab.handle.trigger());
        // Nothing to tell yet; and this task runs, on the thread that the service runs on.
        assert!(timeout(Duration::from_millis(200), &mut triggered).await.is_err());
        writer.write_all(b"'two'\nrest = 'whole'\n").unwrap();
        drop(writer);
        let answer = timeout(PATIENCE, triggered).await.unwrap();
        assert_eq!((answer, lab.rx.status().is_paused), (Triggered::Published(2), is_paused));
    }
}

#[tokio::test]
async fn a_roll_back_that_is_refused_is_tried_again() {
    let refusals = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&refusals);
    let mut lab = Lab::new(WatchStrategy::Realtime, |service| {
        service
            .probation(Duration::from_millis(50), |value| async move {
                if value.name == "bad" { Err("it answers 503") } else { Ok(()) }
            })
            .validate(move |new, current| match current {
                Some(current) if current.name == "bad" && new.name == "one" => {
                    let n = counted.fetch_add(1, Ordering::SeqCst);
                    if n < 3 { Err("the port is not free yet") } else { Ok(()) }
                }
                _ => Ok(()),
            })
    })
    .await;
    sleep(Duration::from_millis(100)).await;
    lab.write("bad");
    lab.expect("bad").await;
    lab.expect("one").await;
    assert_eq!(refusals.load(Ordering::SeqCst), 4);
    lab.status(|status| status.health == Health::RolledBack).await;
}

#[tokio::test]
async fn a_group_follows_a_member_that_takes_a_value_back() {
    let lab = Lab::new(WatchStrategy::Realtime, |service| {
        service.probation(Duration::from_secs(1), |value| async move {
            sleep(Duration::from_millis(200)).await;
            if value.name == "bad" { Err("it answers 503") } else { Ok(()) }
        })
    })
    .await;
    let other = Lab::new(WatchStrategy::Realtime, |service| service).await;
    let (group, mut both) = Group::of((lab.rx.clone(), other.rx.clone()));
    let group = tokio::spawn(group.run());
    sleep(Duration::from_millis(300)).await;
    lab.write("bad");
    for name in ["bad", "one"] {
        let seen = timeout(PATIENCE, both.wait_for(|both| both.0.name == name)).await;
        assert!(seen.is_ok_and(|seen| seen.is_ok()), "{name}: {:?}", both.status());
    }
    other.write("two");
    timeout(PATIENCE, both.wait_for(|both| both.1.name == "two")).await.unwrap().unwrap();
    group.abort();
}

#[tokio::test]
async fn resuming_right_after_a_roll_back_takes_what_the_source_holds() {
    let mut lab = Lab::new(WatchStrategy::Realtime, |service| service.history(100)).await;
    lab.write("two");
    lab.expect("two").await;
    for _ in 0..30 {
        assert!(matches!(lab.handle.rollback(1).await, Triggered::Published(_)));
        lab.handle.resume();
        lab.expect("two").await;
        lab.status(|status| status.pinned.is_none() && !status.is_paused).await;
    }
}

#[tokio::test]
async fn what_is_stale_stays_so_however_often_it_is_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    fs::write(&path, text("one")).unwrap();
    let file = TomlFile::<Config>::from_path(&path).unwrap();
    let options = options(WatchStrategy::Polling).max_staleness(Duration::from_millis(300));
    let (service, mut rx) = ReloaderService::from_reloader(file, options.force_reload(true));
    let service = service.probation(Duration::from_millis(50), |value| async move {
        if value.name == "bad" { Err("it answers 503") } else { Ok(()) }
    });
    let task = tokio::spawn(async move { service.start_with_realtime().await.unwrap() });
    timeout(PATIENCE, rx.changed()).await.unwrap().unwrap();
    sleep(Duration::from_millis(100)).await;
    fs::write(&path, text("bad")).unwrap();
    let mut status = rx.watch_status();
    let stale = status.wait_for(|status| status.health == Health::Stale);
    timeout(PATIENCE, stale).await.unwrap();
    sleep(Duration::from_millis(300)).await;
    assert_eq!(rx.status().health, Health::Stale);
    task.abort();
}

/// Gives each value once, as sources do that ask for what is new.
#[derive(Clone, Default)]
struct Once(Arc<Mutex<Option<u32>>>);

#[async_trait]
impl Reload<u32> for Once {
    type Source = ();

    async fn new((): &()) -> ReloadResult<Self, u32> {
        Ok(Self::default())
    }

    async fn reload(&self) -> ReloadResult<Option<u32>, u32> {
        Ok(self.0.lock().unwrap().take())
    }
}

#[tokio::test]
async fn what_a_source_gives_once_is_not_lost() {
    let source = Once::default();
    let options = ReloaderOptions::polling()
        .poll_interval(Duration::from_millis(10))
        .backoff(Duration::from_millis(10), Duration::from_millis(20));
    let (service, mut rx) = ReloaderService::<_, u32>::from_reloader(source.clone(), options);
    let is_closed = Arc::new(AtomicU32::new(0));
    let closed = Arc::clone(&is_closed);
    let service = service.history(9).validate(move |_, _| {
        if closed.load(Ordering::SeqCst) == 1 { Err("closed") } else { Ok(()) }
    });
    let handle = service.handle();
    let task = tokio::spawn(async move { service.start().await.unwrap() });
    let gives = |value| *source.0.lock().unwrap() = Some(value);
    gives(1);
    timeout(PATIENCE, rx.wait_for(|value| *value == 1)).await.unwrap().unwrap();
    is_closed.store(1, Ordering::SeqCst);
    gives(2);
    let mut status = rx.watch_status();
    let refused = status.wait_for(|status| status.failures > 2);
    timeout(PATIENCE, refused).await.unwrap();
    is_closed.store(0, Ordering::SeqCst);
    timeout(PATIENCE, rx.wait_for(|value| *value == 2)).await.unwrap().unwrap();
    assert_eq!(handle.rollback(1).await, Triggered::Published(3));
    handle.resume();
    timeout(PATIENCE, rx.wait_for(|value| *value == 2)).await.unwrap().unwrap();
    task.abort();
}

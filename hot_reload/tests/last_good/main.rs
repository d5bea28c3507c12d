//! A start without the source, from the last good value on disk.
#![cfg(all(feature = "toml", feature = "last-good"))]

#[path = "../common/mod.rs"]
mod common;
mod drops;
#[cfg(target_os = "linux")]
mod threads;

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use common::{PATIENCE, options, within};
use hot_reload::{
    Health, Reason, Reload, ReloadResult, ReloaderError, ReloaderOptions, ReloaderReceiver,
    ReloaderService, TomlFile, Triggered, WatchStrategy,
};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
struct Config {
    name: String,
}

type Service = ReloaderService<TomlFile<Config>, Config, String>;

struct Run {
    rx: ReloaderReceiver<Config, String>,
    task: JoinHandle<()>,
}

impl Run {
    fn new(dir: &TempDir, with: impl FnOnce(Service) -> Service) -> Self {
        Self::with_options(dir, options(WatchStrategy::Hybrid), with)
    }

    fn with_options(
        dir: &TempDir,
        options: ReloaderOptions,
        with: impl FnOnce(Service) -> Service,
    ) -> Self {
        let file = TomlFile::from_path(source(dir)).unwrap();
        let (service, rx) = ReloaderService::from_reloader(file, options);
        let service = with(service.last_good(kept(dir)));
        let task = tokio::spawn(async move { service.start_with_realtime().await.unwrap() });
        Self { rx, task }
    }

    async fn expect(&mut self, name: &str) {
        let arrived = timeout(PATIENCE, self.rx.wait_for(|value| value.name == name)).await;
        assert!(arrived.is_ok(), "{name}: {:?} {:?}", self.rx.get(), self.rx.status());
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn source(dir: &TempDir) -> PathBuf {
    dir.path().join("config.toml")
}

fn kept(dir: &TempDir) -> PathBuf {
    dir.path().join("kept")
}

fn write(dir: &TempDir, name: &str) {
    fs::write(source(dir), format!("name = '{name}'")).unwrap();
}

async fn is_kept(path: &Path, name: &str) {
    let done = timeout(PATIENCE, async {
        while !fs::read_to_string(path).is_ok_and(|text| text.contains(name)) {
            sleep(Duration::from_millis(2)).await;
        }
    });
    assert!(done.await.is_ok(), "{name}");
}

/// A directory in which `name` was kept, and whose source is gone.
async fn after_a_run(name: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    write(&dir, name);
    let mut run = Run::new(&dir, |service| service);
    run.expect(name).await;
    is_kept(&kept(&dir), name).await;
    fs::remove_file(source(&dir)).unwrap();
    dir
}

#[tokio::test]
async fn a_start_without_the_source_is_one_from_the_last_good_value() {
    let dir = after_a_run("one").await;
    let mut run = Run::new(&dir, |service| service);
    run.expect("one").await;
    assert_eq!(run.rx.snapshot().unwrap().reason(), Reason::Restored);
    let status = run.rx.status();
    assert!(status.is_restored && status.is_ready(), "{status:?}");
    assert_eq!(status.health, Health::Retrying);
    assert!(status.last_error.is_some());

    // The source is taken as soon as it is back, though it holds the same.
    write(&dir, "one");
    let mut status = run.rx.watch_status();
    let fresh = within(status.wait_for(|status| !status.is_restored)).await.unwrap();
    assert_eq!((fresh.health, fresh.generation), (Health::Fresh, 1));
    write(&dir, "two");
    run.expect("two").await;
    is_kept(&kept(&dir), "two").await;
}

#[tokio::test]
async fn a_source_that_holds_a_bad_value_is_as_good_as_none() {
    let dir = after_a_run("one").await;
    fs::write(source(&dir), "name = ").unwrap();
    let mut run = Run::new(&dir, |service| service);
    run.expect("one").await;
}

#[tokio::test]
async fn a_source_that_is_there_comes_first() {
    let dir = after_a_run("one").await;
    write(&dir, "two");
    let mut run = Run::new(&dir, |service| service);
    within(run.rx.changed()).await.unwrap();
    assert_eq!(run.rx.get().unwrap().name, "two");
    assert!(!run.rx.status().is_restored);
}

#[tokio::test]
async fn what_is_torn_or_foreign_is_ignored() {
    let dir = after_a_run("one").await;
    let whole = fs::read(kept(&dir)).unwrap();
    let foreign = b"name = 'two'".to_vec();
    for bytes in [&whole[..whole.len() - 1], &whole[..3], &[], &foreign] {
        fs::write(kept(&dir), bytes).unwrap();
        let mut run = Run::new(&dir, |service| service);
        let mut status = run.rx.watch_status();
        let status = within(status.wait_for(|status| status.failures > 1)).await.unwrap();
        assert_eq!((status.generation, status.is_ready()), (0, false));
        write(&dir, "six");
        run.expect("six").await;
        is_kept(&kept(&dir), "six").await;
        drop(run);
        fs::remove_file(source(&dir)).unwrap();
    }
}

#[tokio::test]
async fn what_the_gate_refuses_is_ignored() {
    let dir = after_a_run("one").await;
    let run = Run::new(&dir, |service| {
        service.validate(|new, _| if new.name == "one" { Err("no more") } else { Ok(()) })
    });
    let mut status = run.rx.watch_status();
    let status = within(status.wait_for(|status| status.failures > 1)).await.unwrap();
    assert_eq!(status.generation, 0);
}

/// Shutting down waits for whatever is being written.
#[tokio::test]
async fn a_value_on_probation_is_not_kept() {
    let dir = after_a_run("one").await;
    write(&dir, "one");
    let mut handle = None;
    let mut run = Run::new(&dir, |service| {
        handle = Some(service.handle());
        service.probation(PATIENCE, |value| async move {
            if value.name == "two" {
                std::future::pending::<()>().await;
            }
            Ok::<_, String>(())
        })
    });
    run.expect("one").await;
    write(&dir, "two");
    run.expect("two").await;
    within(handle.unwrap().shutdown()).await;
    assert!(fs::read_to_string(kept(&dir)).unwrap().contains("one"));
}

#[tokio::test]
async fn a_value_that_failed_its_probation_is_not_kept_and_the_next_is() {
    let dir = after_a_run("one").await;
    write(&dir, "one");
    let mut run = Run::new(&dir, |service| {
        service.probation(PATIENCE, |value| async move {
            if value.name == "bad" { Err("it does not work") } else { Ok(()) }
        })
    });
    run.expect("one").await;
    write(&dir, "bad");
    let back = within(run.rx.wait_for_generation(3)).await.unwrap();
    assert_eq!((&*back.name, back.generation()), ("one", 3));
    assert!(fs::read_to_string(kept(&dir)).unwrap().contains("one"));
    write(&dir, "two");
    is_kept(&kept(&dir), "two").await;
}

#[cfg(unix)]
#[tokio::test]
async fn it_is_for_the_owner_alone_and_leaves_nothing_beside() {
    use std::os::unix::fs::PermissionsExt;

    let dir = after_a_run("secret").await;
    assert_eq!(fs::metadata(kept(&dir)).unwrap().permissions().mode() & 0o777, 0o600);
    let names: Vec<_> =
        fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["kept"]);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_disk_that_takes_nothing_keeps_no_value_from_its_receivers() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir, "one");
    // A directory can't be replaced by a file.
    fs::create_dir(kept(&dir)).unwrap();
    let mut run = Run::new(&dir, |service| service);
    for name in ["one", "two", "six"] {
        write(&dir, name);
        run.expect(name).await;
    }
    drop(run);
    // The last try may still be under way.
    let cleared = timeout(PATIENCE, async {
        while fs::read_dir(&dir).unwrap().count() > 2 {
            sleep(Duration::from_millis(2)).await;
        }
    });
    assert!(cleared.await.is_ok(), "temporary files are left");
}

/// How much is left of the disk: nothing, or less than the value needs.
#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_is_full_keeps_the_old_value() {
    const OWN_MOUNTS: &[&str] =
        &["unshare", "--user", "--map-root-user", "--mount", "--propagation", "private"];
    if !common::alone_under("a_disk_that_is_full_keeps_the_old_value", OWN_MOUNTS) {
        return;
    }
    for free in [0, 8 * 1024] {
        common::block_on(keeps_the_old_value_with(free));
    }
}

#[cfg(target_os = "linux")]
async fn keeps_the_old_value_with(free: u64) {
    let (dir, disk) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut mount = Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", "size=256k", "none"]).arg(disk.path());
    assert!(mount.status().unwrap().success());
    let (kept, filler) = (disk.path().join("kept"), disk.path().join("filler"));
    let start = || {
        let mut handle = None;
        let run = Run::new(&dir, |service| {
            handle = Some(service.handle());
            service.last_good(&kept)
        });
        (run, handle.unwrap())
    };
    // Larger than what is left.
    let large = |digit: &str| digit.repeat(16 * 1024);

    write(&dir, &large("1"));
    let (mut run, handle) = start();
    run.expect(&large("1")).await;
    // It ends once what it has to write is written, or can't be.
    within(handle.shutdown()).await;
    let old = fs::read(&kept).unwrap();
    assert!(old.ends_with(b"1\"}"));

    let mut file = File::create(&filler).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    file.set_len(file.metadata().unwrap().len() - free).unwrap();
    drop(file);
    let (mut run, handle) = start();
    for digit in ["2", "3"] {
        write(&dir, &large(digit));
        run.expect(&large(digit)).await;
    }
    within(handle.shutdown()).await;
    assert!(fs::read(&kept).unwrap() == old, "another is kept");
    let left = fs::read_dir(&disk).unwrap().map(|entry| entry.unwrap().file_name());
    let left: BTreeSet<_> = left.collect();
    assert_eq!(left, ["filler", "kept"].map(OsString::from).into());

    // A later run starts from it, on a disk that is as full as before.
    fs::remove_file(source(&dir)).unwrap();
    let (mut run, handle) = start();
    run.expect(&large("1")).await;
    assert!(run.rx.status().is_restored);
    // Once there is room, the next is kept.
    fs::remove_file(&filler).unwrap();
    write(&dir, &large("4"));
    run.expect(&large("4")).await;
    within(handle.shutdown()).await;
    assert!(fs::read(&kept).unwrap().ends_with(b"4\"}"));
    assert!(Command::new("umount").arg(disk.path()).status().unwrap().success());
}

/// Only the newest is written while another is.
#[tokio::test]
async fn a_burst_ends_with_the_last_one_kept() {
    let dir = after_a_run("one").await;
    write(&dir, "one");
    let mut run = Run::new(&dir, |service| service);
    for n in 0..200 {
        write(&dir, &format!("burst {n:03}"));
        tokio::task::yield_now().await;
    }
    run.expect("burst 199").await;
    is_kept(&kept(&dir), "burst 199").await;
}

#[tokio::test]
async fn a_value_that_was_rolled_back_to_is_kept() {
    let dir = after_a_run("one").await;
    write(&dir, "one");
    let mut handle = None;
    let mut run = Run::new(&dir, |service| {
        let service = service.history(2);
        handle = Some(service.handle());
        service
    });
    run.expect("one").await;
    write(&dir, "two");
    run.expect("two").await;
    is_kept(&kept(&dir), "two").await;
    assert_eq!(within(handle.unwrap().rollback(1)).await, Triggered::Published(3));
    is_kept(&kept(&dir), "one").await;
}

/// There is nothing else that has proved itself.
#[tokio::test]
async fn a_bad_value_gives_way_to_the_restored_one() {
    let dir = after_a_run("one").await;
    let mut run = Run::new(&dir, |service| {
        service.probation(PATIENCE, |value| async move {
            if value.name == "bad" { Err("it does not work") } else { Ok(()) }
        })
    });
    run.expect("one").await;
    write(&dir, "bad");
    within(run.rx.wait_for_generation(3)).await.unwrap();
    assert_eq!(run.rx.get().unwrap().name, "one");
    assert_eq!(run.rx.status().health, Health::RolledBack);
}

#[tokio::test]
async fn shutting_down_waits_for_what_is_yet_to_be_written() {
    let dir = after_a_run("one").await;
    for n in 0..20 {
        let name = format!("run {n}");
        write(&dir, &name);
        let mut handle = None;
        let mut run = Run::new(&dir, |service| {
            handle = Some(service.handle());
            service
        });
        run.expect(&name).await;
        within(handle.unwrap().shutdown()).await;
        assert!(fs::read_to_string(kept(&dir)).unwrap().contains(&name));
    }
}

/// As on a disk that does not answer, the file is one that nobody has opened for writing yet.
#[cfg(unix)]
#[tokio::test]
async fn shutting_down_does_not_wait_for_a_disk_that_hangs() {
    let dir = tempfile::tempdir().unwrap();
    assert!(Command::new("mkfifo").arg(kept(&dir)).status().unwrap().success());
    let patient = options(WatchStrategy::Realtime).load_timeout(3 * PATIENCE);
    let mut handle = None;
    let mut run = Run::with_options(&dir, patient, |service| {
        handle = Some(service.handle());
        service
    });
    // There is no source.
    within(run.rx.watch_status().wait_for(|status| status.failures > 0)).await.unwrap();
    let shut_down = timeout(PATIENCE, handle.unwrap().shutdown()).await;
    // The runtime waits for the thread that reads.
    drop(File::options().write(true).open(kept(&dir)).unwrap());
    assert!(shut_down.is_ok(), "{:?}", run.rx.status());
    within(&mut run.task).await.unwrap();
    assert_eq!(run.rx.status().health, Health::Ended);
}

/// Fails once, then has nothing new, as a source does that is asked for changes only.
#[derive(Clone, Default)]
struct Quiet(Arc<AtomicU32>);

#[async_trait]
impl Reload<u32> for Quiet {
    type Source = ();

    async fn new((): &()) -> ReloadResult<Self, u32> {
        Ok(Self::default())
    }

    async fn reload(&self) -> ReloadResult<Option<u32>, u32> {
        match self.0.fetch_add(1, Ordering::SeqCst) {
            0 => Err(ReloaderError::Reload("out of reach")),
            _ => Ok(None),
        }
    }
}

#[tokio::test]
async fn what_was_kept_and_is_refused_is_not_taken_for_what_the_source_holds() {
    let dir = tempfile::tempdir().unwrap();
    let json = "7";
    let sum = crc32fast::hash(json.as_bytes());
    fs::write(kept(&dir), format!("hot_reload last good 1 {sum:08x} {}\n{json}", json.len()))
        .unwrap();
    let options = ReloaderOptions::polling().poll_interval(Duration::from_millis(10));
    let source = Quiet::default();
    let (service, rx) = ReloaderService::<_, u32>::from_reloader(source.clone(), options);
    let refusals = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&refusals);
    let service = service.last_good(kept(&dir)).validate(move |_, _| {
        // Refused once only: whoever tries it again would publish it.
        if counted.fetch_add(1, Ordering::SeqCst) == 0 { Err("not now") } else { Ok(()) }
    });
    let task = tokio::spawn(async move { service.start().await.unwrap() });
    let looked = timeout(PATIENCE, async {
        while source.0.load(Ordering::SeqCst) < 5 {
            sleep(Duration::from_millis(2)).await;
        }
    });
    looked.await.unwrap();
    assert_eq!((rx.get(), refusals.load(Ordering::SeqCst)), (None, 1));
    task.abort();
}

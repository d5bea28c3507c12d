//! File times that advance with the timer tick, as those of every filesystem did before Linux 6.13,
//! and those of ramfs still do: two writes within one tick leave the same times.
#![cfg(all(feature = "toml", target_os = "linux"))]

mod common;

use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use common::{Lab, alone_under, block_on, config, options, text};
use hot_reload::{
    AsyncFileLoad, FileReloader, ReloaderOptions, ReloaderReceiver, ReloaderService, TomlFile,
    WatchStrategy,
};
use serde::Deserialize;
use tokio::time::{sleep, timeout};

const OWN_MOUNTS: &[&str] =
    &["unshare", "--user", "--map-root-user", "--mount", "--propagation", "private"];

const EVERY: [WatchStrategy; 3] =
    [WatchStrategy::Realtime, WatchStrategy::Hybrid, WatchStrategy::Polling];

/// Waits a moment only for a writer that does not close.
fn impatient(strategy: WatchStrategy) -> ReloaderOptions {
    options(strategy).settle_ceiling(Duration::from_millis(300))
}

fn mount_ramfs(at: &Path) {
    let mounted = Command::new("mount").args(["-t", "ramfs", "none"]).arg(at).status().unwrap();
    assert!(mounted.success());
}

/// Busy, since a sleep would outlast the tick.
fn spin(duration: Duration) {
    let start = Instant::now();
    while start.elapsed() < duration {
        std::hint::spin_loop();
    }
}

#[test]
fn an_edit_right_after_another_by_a_writer_that_never_closes_arrives() {
    if !alone_under("an_edit_right_after_another_by_a_writer_that_never_closes_arrives", OWN_MOUNTS)
    {
        return;
    }
    block_on(async {
        for strategy in EVERY {
            let mut lab = Lab::following(impatient(strategy), "ram/config.toml", |dir| {
                fs::create_dir(dir.join("ram")).unwrap();
                mount_ramfs(&dir.join("ram"));
                fs::write(dir.join("ram/config.toml"), text("one")).unwrap();
            })
            .await;
            lab.expect(config("one")).await;
            for n in 0..4 {
                let (closed, open) = (format!("closed {n}"), format!("open {n:03}"));
                fs::write(&lab.path, text(&closed)).unwrap();
                let start = Instant::now();
                while lab.rx.get().unwrap() != config(&closed) {
                    assert!(start.elapsed() < common::PATIENCE, "{strategy:?}: {closed}");
                    std::hint::spin_loop();
                }
                let writer = OpenOptions::new().write(true).open(&lab.path).unwrap();
                writer.write_all_at(text(&open).as_bytes(), 0).unwrap();
                lab.expect(config(&open)).await;
            }
        }
    });
}

/// Says the same at its start and at its end, unless it is of two versions.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
struct Numbered {
    first: u32,
    last: u32,
}

#[async_trait]
impl AsyncFileLoad for Numbered {
    type Error = String;

    async fn async_load_from<T: AsRef<Path> + Send>(path: T) -> Result<Self, String> {
        let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
        toml::from_str(&text).map_err(|error| error.to_string())
    }
}

impl TryFrom<&PathBuf> for Numbered {
    type Error = String;

    fn try_from(path: &PathBuf) -> Result<Self, String> {
        let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
        toml::from_str(&text).map_err(|error| error.to_string())
    }
}

/// Truncates, writes a half that parses, pauses, and writes the rest.
fn rewrite(path: &Path, n: u32) {
    let mut file = fs::File::create(path).unwrap();
    writeln!(file, "first = {n:09}").unwrap();
    spin(Duration::from_micros(15));
    writeln!(file, "last = {n:09}").unwrap();
}

fn rewrite_in_bursts(path: &Path, stop: &AtomicBool) -> u32 {
    let mut n = 100_000_000;
    while !stop.load(Ordering::Relaxed) {
        for _ in 0..fastrand::u32(1..6) {
            n += 1;
            rewrite(path, n);
            spin(Duration::from_micros(fastrand::u64(0..150)));
        }
        thread::sleep(Duration::from_micros(fastrand::u64(0..3000)));
    }
    n
}

async fn none_is_torn(path: &Path, mut rx: ReloaderReceiver<Numbered, String>, what: &str) {
    let stop = Arc::new(AtomicBool::new(false));
    let writer = thread::spawn({
        let (path, stop) = (path.to_owned(), Arc::clone(&stop));
        move || rewrite_in_bursts(&path, &stop)
    });
    let end = sleep(Duration::from_secs(3));
    tokio::pin!(end);
    loop {
        tokio::select! {
            changed = rx.changed() => changed.unwrap(),
            () = &mut end => break,
        }
        let value = rx.get().unwrap();
        assert_eq!(value.first, value.last, "{what}");
    }
    stop.store(true, Ordering::Relaxed);
    let last = writer.join().unwrap();
    let arrived = timeout(common::PATIENCE, async {
        while rx.get().unwrap().last != last {
            rx.changed().await.unwrap();
        }
    });
    assert!(arrived.await.is_ok(), "{what}: {last} {:?}", rx.get());
}

#[test]
fn a_version_of_the_same_size_written_while_another_is_read_tears_nothing() {
    if !alone_under(
        "a_version_of_the_same_size_written_while_another_is_read_tears_nothing",
        OWN_MOUNTS,
    ) {
        return;
    }
    block_on(async {
        for strategy in EVERY {
            let dir = tempfile::tempdir().unwrap();
            mount_ramfs(dir.path());
            let path = dir.path().join("config.toml");
            rewrite(&path, 100_000_000);
            let (service, rx) = ReloaderService::from_reloader(
                TomlFile::<Numbered>::from_path(&path).unwrap(),
                options(strategy),
            );
            let task = tokio::spawn(async move { service.start_with_realtime().await });
            none_is_torn(&path, rx, &format!("by format, {strategy:?}")).await;
            task.abort();
            let (service, rx) = ReloaderService::from_reloader(
                FileReloader::<Numbered>::from_path(&path).unwrap(),
                options(strategy),
            );
            let task = tokio::spawn(async move { service.start_with_realtime().await });
            none_is_torn(&path, rx, &format!("by hand, {strategy:?}")).await;
            task.abort();
        }
    });
}

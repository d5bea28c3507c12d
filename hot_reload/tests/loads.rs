//! How often a file is loaded.
#![cfg(all(feature = "toml", unix))]

mod common;

use std::{
    fmt::Debug,
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use async_trait::async_trait;
use common::within;
use hot_reload::{
    AsyncFileLoad, FileReloader, RealtimeWatch, ReloaderOptions, ReloaderService, TomlFile,
    WatchStrategy,
};
use serde::{Deserialize, Deserializer, de::IgnoredAny};
use tokio::time::sleep;

static LOADS: AtomicU32 = AtomicU32::new(0);
/// Held by the test whose loads are counted, should there be others in the process.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

fn count() {
    LOADS.fetch_add(1, Ordering::SeqCst);
}

/// What is in a file is the same to its readers, and only loads are counted.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Counted;

impl<'de> Deserialize<'de> for Counted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        count();
        IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

#[async_trait]
impl AsyncFileLoad for Counted {
    type Error = io::Error;

    async fn async_load_from<T: AsRef<Path> + Send>(path: T) -> io::Result<Self> {
        count();
        fs::read(path).map(|_| Self)
    }
}

impl TryFrom<&PathBuf> for Counted {
    type Error = io::Error;

    fn try_from(path: &PathBuf) -> io::Result<Self> {
        count();
        fs::read(path).map(|_| Self)
    }
}

/// Options by which no look but what is asked for loads a file.
fn without_polls(strategy: WatchStrategy, force: bool) -> ReloaderOptions {
    ReloaderOptions::polling()
        .strategy(strategy)
        .poll_interval(Duration::from_secs(3600))
        .force_reload(force)
}

fn replace(path: &Path, text: &str) {
    let next = path.with_extension("next");
    fs::write(&next, text).unwrap();
    fs::rename(next, path).unwrap();
}

/// Waits for longer than the rest of a file that was renamed into place.
async fn outlast_rest() {
    sleep(Duration::from_secs(1)).await;
}

/// Renames a file into place, and counts how often that has it loaded.
async fn expect_one_load_a_rename<R>(reloader: R, path: &Path, strategy: WatchStrategy, force: bool)
where
    R: RealtimeWatch<Counted, String> + Clone + Send + Sync + 'static,
{
    let options = without_polls(strategy, force);
    let (service, mut rx) = ReloaderService::from_reloader(reloader, options);
    let task = tokio::spawn(async move { service.start_with_realtime().await.unwrap() });
    within(rx.changed()).await.unwrap();
    outlast_rest().await;
    for n in [1, 2] {
        let (before, loads) = (rx.borrow().generation(), LOADS.load(Ordering::SeqCst));
        replace(path, &format!("n = {n}"));
        within(async {
            while LOADS.load(Ordering::SeqCst) == loads {
                sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
        outlast_rest().await;
        assert_eq!(LOADS.load(Ordering::SeqCst), loads + 1, "rename {n}");
        assert_eq!(rx.borrow().generation(), before + u64::from(force), "rename {n}");
    }
    task.abort();
}

/// A file to follow, that was there for a while.
fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    fs::write(&path, text).unwrap();
    (dir, path)
}

with_events! {
    /// It was loaded again as its rest ended, with `Reason::Poll`, and published again where that is forced.
    async fn a_file_that_is_renamed_into_place_is_loaded_once(strategy) {
        let _alone = ONE_AT_A_TIME.lock().await;
        for force in [false, true] {
            let (_dir, path) = file("n = 0");
            let toml = TomlFile::<Counted>::from_path(&path).unwrap();
            expect_one_load_a_rename(toml, &path, strategy, force).await;
        }
    }

    async fn a_file_that_is_renamed_into_place_is_loaded_once_by_a_loader_of_ones_own(strategy) {
        let _alone = ONE_AT_A_TIME.lock().await;
        for force in [false, true] {
            let (_dir, path) = file("n = 0");
            let file = FileReloader::<Counted>::from_path(&path).unwrap();
            expect_one_load_a_rename(file, &path, strategy, force).await;
        }
    }

    /// Too large to be read, and summed up, without a thread.
    async fn a_large_file_that_is_renamed_into_place_is_loaded_once(strategy) {
        let _alone = ONE_AT_A_TIME.lock().await;
        let large = format!("{}\n", "#".repeat(200_000));
        let (_dir, path) = file(&large);
        let toml = TomlFile::<Counted>::from_path(&path).unwrap();
        let (service, mut rx) =
            ReloaderService::from_reloader(toml, without_polls(strategy, false));
        let task = tokio::spawn(async move { service.start_with_realtime().await.unwrap() });
        within(rx.changed()).await.unwrap();
        outlast_rest().await;
        let loads = LOADS.load(Ordering::SeqCst);
        replace(&path, &format!("{large}n = 1"));
        outlast_rest().await;
        assert_eq!(LOADS.load(Ordering::SeqCst), loads + 1);
        task.abort();
    }
}

with_looks! {
    /// Too new to prove anything by its times, it was loaded at every look until it did.
    async fn a_file_too_new_to_prove_itself_is_loaded_once(strategy) {
        let _alone = ONE_AT_A_TIME.lock().await;
        let (_dir, path) = file("n = 0");
        let toml = TomlFile::<Counted>::from_path(&path).unwrap();
        let options = without_polls(strategy, false).poll_interval(Duration::from_millis(10));
        let loads = LOADS.load(Ordering::SeqCst);
        let (service, mut rx) = ReloaderService::from_reloader(toml, options);
        let task = tokio::spawn(async move { service.start_with_realtime().await.unwrap() });
        within(rx.changed()).await.unwrap();
        outlast_rest().await;
        assert_eq!(LOADS.load(Ordering::SeqCst), loads + 1);
        task.abort();
    }
}

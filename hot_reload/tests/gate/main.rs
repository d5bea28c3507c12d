//! What a value has to pass before it is published, and what may become of it after.
#![cfg(feature = "toml")]

#[path = "../common/mod.rs"]
mod common;
mod drops;
mod hangs;
mod history;
mod interrupted;
mod once;
mod passing;
mod probation;
mod turns;

use std::{fs, path::PathBuf, time::Duration};

use common::{
    Config, PATIENCE, config, options,
    source::{Held, Store},
    text, within,
};
use hot_reload::{
    ReloaderHandle, ReloaderOptions, ReloaderReceiver, ReloaderService, Status, TomlFile,
    Triggered, WatchStrategy,
};
use tempfile::TempDir;
use tokio::{task::JoinHandle, time::timeout};

type Service = ReloaderService<TomlFile<Config>, Config, String>;

pub(crate) struct Lab {
    pub(crate) rx: ReloaderReceiver<Config, String>,
    pub(crate) handle: ReloaderHandle,
    pub(crate) path: PathBuf,
    task: JoinHandle<()>,
    _dir: TempDir,
}

impl Lab {
    /// Follows a file that holds `config("one")`, which has arrived, with a service made by `with`.
    pub(crate) async fn new(
        strategy: WatchStrategy,
        with: impl FnOnce(Service) -> Service,
    ) -> Self {
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

    pub(crate) fn write(&self, name: &str) {
        fs::write(&self.path, text(name)).unwrap();
    }

    pub(crate) async fn expect(&mut self, name: &str) {
        let arrived = self.rx.wait_for(|value| *value == config(name));
        let is_there = timeout(PATIENCE, arrived).await.is_ok_and(|arrived| arrived.is_ok());
        assert!(is_there, "no {name}: {:?}, {:?}", self.rx.get(), self.rx.status());
    }

    pub(crate) async fn status(&self, is_it: impl FnMut(&Status) -> bool) -> Status {
        let status = timeout(PATIENCE, self.rx.watch_status().wait_for(is_it)).await;
        status.unwrap_or_else(|_| panic!("{:?}", self.rx.status())).unwrap()
    }

    /// Waits until the service says that it refuses what the file holds.
    pub(crate) async fn refused_by(&self, by: &str) -> Status {
        self.status(|status| status.refused_by.as_deref() == Some(by)).await
    }

    pub(crate) fn generation(&self) -> u64 {
        self.rx.borrow().generation()
    }

    /// Waits for this generation, or a later one: one that serves for a moment only may be missed.
    pub(crate) async fn until(&mut self, generation: u64) {
        within(self.rx.wait_for_generation(generation)).await.unwrap();
    }

    /// Waits until another service has seen that the file holds this, so that this one might have.
    pub(crate) async fn seen_elsewhere(&self, name: &str) {
        let other = TomlFile::<Config>::watch(&self.path);
        let mut other = within(other).await.unwrap();
        within(other.wait_for(|value| *value == config(name))).await.unwrap();
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A service that follows a source in this process, and looks only when it is told to.
pub(crate) struct Idle {
    pub(crate) store: Store<u32>,
    pub(crate) rx: ReloaderReceiver<u32>,
    pub(crate) handle: ReloaderHandle,
    /// Whoever takes it waits for its end.
    pub(crate) task: Option<JoinHandle<()>>,
}

impl Idle {
    /// One whose source holds 1, which has arrived, with a service made by `with`.
    pub(crate) async fn new(
        options: ReloaderOptions,
        with: impl FnOnce(ReloaderService<Store<u32>, u32>) -> ReloaderService<Store<u32>, u32>,
    ) -> Self {
        let store = Store::of(Held::Value(1));
        let options = options.poll_interval(NEVER);
        let (service, rx) = ReloaderService::from_reloader(store.clone(), options);
        let service = with(service);
        let handle = service.handle();
        let task = tokio::spawn(async move { service.start_with_realtime().await.unwrap() });
        let mut idle = Self { store, rx, handle, task: Some(task) };
        within(idle.rx.changed()).await.unwrap();
        idle
    }

    /// Has the source hold `value`, and be looked at.
    pub(crate) async fn load(&self, value: u32) -> Triggered {
        self.store.holds(Held::Value(value));
        within(self.handle.trigger()).await
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        self.task.as_ref().inspect(|task| task.abort());
    }
}

/// Options of a service that does nothing unless it is told to.
pub(crate) fn never_by_itself() -> ReloaderOptions {
    ReloaderOptions::polling().backoff(NEVER, NEVER)
}

pub(crate) const NEVER: Duration = Duration::from_secs(24 * 60 * 60);

//! Layers of real files, an environment of the test's own, and a store in this process.

#![allow(missing_docs, reason = "a test")]

#[path = "../common/mod.rs"]
mod common;

mod authors;
mod fake;
mod files;
mod last_good;
mod lifetime;
mod line;
mod model;
mod rig;
mod stores;
mod told;

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use hot_reload::{
    ReloaderHandle, ReloaderOptions, ReloaderReceiver, ReloaderService, Status, StatusReceiver,
};
use hot_reload_sources::layers::{Env, Layer, Layers};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tempfile::TempDir;

use crate::common::within;

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    name: String,
    limits: Limits,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Limits {
    rps: u16,
    burst: u16,
}

/// A directory of a test's own.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes as most tools do: beside it, and renamed.
    fn write(&self, name: &str, text: &str) {
        let draft = self.path(&format!(".{name}~"));
        fs::write(&draft, text).unwrap();
        fs::rename(draft, self.path(name)).unwrap();
    }

    fn file(&self, name: &str, text: &str) -> Layer {
        self.write(name, text);
        Layer::file(self.path(name))
    }
}

/// Variables that a test may set.
#[derive(Clone, Default)]
struct Variables(Arc<Mutex<BTreeMap<String, String>>>);

impl Variables {
    fn set(&self, name: &str, value: &str) {
        self.0.lock().unwrap().insert(name.to_owned(), value.to_owned());
    }

    fn env(&self) -> Env {
        let variables = self.clone();
        Env::prefixed("APP_").split("__").with_variables(move || {
            let variables = variables.0.lock().unwrap();
            variables.iter().map(|(name, value)| (name.into(), value.into())).collect()
        })
    }
}

fn defaults() -> Layer {
    constant(json!({ "name": "default", "limits": { "rps": 1, "burst": 2 } }))
}

fn constant(value: impl Serialize) -> Layer {
    Layer::constant("defaults", &value)
}

/// A service that runs until it is dropped.
struct Running {
    receiver: ReloaderReceiver<Config, String>,
    status: StatusReceiver,
    handle: ReloaderHandle,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    fn start(layers: Layers<Config>, options: ReloaderOptions) -> Self {
        let (service, receiver) = ReloaderService::from_reloader(layers, options);
        let handle = service.handle();
        let task = tokio::spawn(async move { service.start_with_realtime().await.unwrap() });
        Self { status: receiver.watch_status(), receiver, handle, task }
    }

    /// By events alone, so that no look finds by chance what an event should have told.
    fn realtime(layers: Layers<Config>) -> Self {
        Self::start(layers, ReloaderOptions::realtime())
    }

    #[track_caller]
    fn holds(&mut self, is_it: impl Fn(&Config) -> bool) -> impl Future<Output = Config> {
        within(async move {
            loop {
                if let Some(config) = self.receiver.get().filter(&is_it) {
                    return config;
                }
                self.receiver.changed().await.unwrap();
            }
        })
    }

    #[track_caller]
    fn status(&mut self, is_it: impl Fn(&Status) -> bool) -> impl Future<Output = Status> {
        within(async move { self.status.wait_for(is_it).await.unwrap() })
    }

    #[track_caller]
    fn says(&mut self, words: &str) -> impl Future<Output = Status> {
        self.status(move |status| status.last_error.as_ref().is_some_and(|e| e.contains(words)))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

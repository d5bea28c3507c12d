//! A live value under test: a directory, a service that follows a file in it, and its receiver.

#![allow(dead_code, unreachable_pub, reason = "each test crate uses its part")]

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use hot_reload::{ReloaderOptions, ReloaderReceiver, ReloaderService, TomlFile, WatchStrategy};
use serde::Deserialize;
use tempfile::TempDir;
use tokio::{task::JoinHandle, time::timeout};

/// Longer than anything here takes, also on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What the files under test hold; every part may be missing, so that half a file parses too.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub name: String,
    pub rest: String,
}

pub fn config(name: &str) -> Config {
    Config { name: name.to_owned(), rest: "whole".to_owned() }
}

/// The file that holds `config(name)`.
pub fn text(name: &str) -> String {
    format!("name = \"{name}\"\nrest = \"whole\"\n")
}

pub fn options(strategy: WatchStrategy) -> ReloaderOptions {
    let interval = match strategy {
        WatchStrategy::Polling => Duration::from_millis(40),
        // Long enough that a test in hybrid is one of events, short enough to back them up.
        WatchStrategy::Hybrid => Duration::from_millis(400),
        // So long that only events can make a test pass.
        WatchStrategy::Realtime => Duration::from_secs(3600),
    };
    ReloaderOptions::polling().strategy(strategy).poll_interval(interval)
}

pub struct Lab {
    pub rx: ReloaderReceiver<Config, String>,
    pub path: PathBuf,
    pub root: PathBuf,
    pub service: JoinHandle<()>,
    _dir: TempDir,
}

impl Lab {
    /// Follows `config.toml` in a fresh directory, after `prepare` has had the directory.
    pub async fn new(strategy: WatchStrategy, prepare: impl FnOnce(&Path)) -> Self {
        Self::following(options(strategy), "config.toml", prepare).await
    }

    /// The same for a file that holds `config("one")`, which has arrived.
    pub async fn with_one(strategy: WatchStrategy) -> Self {
        let mut lab = Self::new(strategy, |dir| {
            std::fs::write(dir.join("config.toml"), text("one")).unwrap();
        })
        .await;
        lab.expect(config("one")).await;
        lab
    }

    pub async fn following(
        options: ReloaderOptions,
        name: impl AsRef<Path>,
        prepare: impl FnOnce(&Path),
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().to_owned();
        prepare(&root);
        let path = root.join(name);
        let reloader = TomlFile::from_path(&path).unwrap();
        let (service, rx) = ReloaderService::from_reloader(reloader, options);
        let service = tokio::spawn(async move { service.start_with_realtime().await.unwrap() });
        Self { rx, path, root, service, _dir: dir }
    }

    /// Waits until the newest value is `want`.
    pub async fn expect(&mut self, want: Config) {
        let arrived = timeout(PATIENCE, async {
            while self.rx.get().as_ref() != Some(&want) {
                self.rx.changed().await.expect("the service has ended");
            }
        });
        if arrived.await.is_err() {
            panic!("{want:?} did not arrive: {:?}, {:?}", self.rx.get(), self.rx.status());
        }
    }

    /// Waits until the service says that it can't load, and returns why.
    pub async fn expect_failure(&mut self) -> String {
        let failed = timeout(PATIENCE, async {
            loop {
                if let Some(error) = self.rx.status().last_error {
                    return error.to_string();
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        failed.await.unwrap_or_else(|_| panic!("no failure: {:?}", self.rx.status()))
    }

    /// Checks that nothing is published for a while.
    pub async fn expect_silence(&mut self, how_long: Duration) {
        self.rx.borrow();
        let _seen = timeout(Duration::ZERO, self.rx.changed()).await;
        if timeout(how_long, self.rx.changed()).await.is_ok() {
            panic!("published {:?}", self.rx.get());
        }
    }

    pub fn write(&self, text: impl AsRef<[u8]>) {
        std::fs::write(&self.path, text).unwrap();
    }

    /// Replaces the file as careful writers do.
    pub fn replace(&self, text: impl AsRef<[u8]>) {
        let next = self.root.join(".next");
        std::fs::write(&next, text).unwrap();
        std::fs::rename(next, &self.path).unwrap();
    }
}

/// Makes three tests of each body, one a strategy.
#[macro_export]
macro_rules! in_every_strategy {
    ($($(#[$meta:meta])* async fn $name:ident($strategy:ident) $body:block)*) => {
        $(mod $name {
            use super::*;

            async fn check($strategy: hot_reload::WatchStrategy) $body

            $(#[$meta])*
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn realtime() {
                check(hot_reload::WatchStrategy::Realtime).await;
            }

            $(#[$meta])*
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn hybrid() {
                check(hot_reload::WatchStrategy::Hybrid).await;
            }

            $(#[$meta])*
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn polling() {
                check(hot_reload::WatchStrategy::Polling).await;
            }
        })*
    };
}

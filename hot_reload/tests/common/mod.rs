//! A live value under test: a directory, a service that follows a file in it, and its receiver.

#![allow(dead_code, unreachable_pub, unused_imports, reason = "each test crate uses its part")]

pub mod book;
#[cfg(all(feature = "toml", target_os = "linux"))]
pub mod map;
pub mod patience;
pub mod source;

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use hot_reload::{
    Health, ReloaderOptions, ReloaderReceiver, ReloaderService, TomlFile, WatchStrategy,
};
pub use patience::{PATIENCE, within};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use tokio::{
    runtime::{Builder, Runtime},
    task::JoinHandle,
    time::timeout,
};

/// What the files under test hold; every part may be missing, so that half a file parses too.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
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

    #[allow(clippy::unused_async, reason = "it needs a runtime")]
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
        assert!(
            arrived.await.is_ok(),
            "{want:?} did not arrive: {:?}, {:?}",
            self.rx.get(),
            self.rx.status()
        );
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
        let published = timeout(how_long, self.rx.changed()).await.is_ok();
        assert!(!published, "published {:?}", self.rx.get());
    }

    /// Number of the newest value.
    pub fn generation(&self) -> u64 {
        self.rx.borrow().generation()
    }

    /// Waits until the service says that its value is what the file holds.
    pub async fn expect_fresh(&mut self) {
        let fresh = timeout(PATIENCE, async {
            while !matches!(self.rx.status().health, Health::Fresh | Health::Degraded) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        fresh.await.unwrap_or_else(|_| panic!("not fresh: {:?}", self.rx.status()));
    }

    /// Checks that `want` is the next value after generation `before`, none in between.
    pub async fn expect_next(&mut self, before: u64, want: Config) {
        self.expect(want).await;
        assert_eq!(self.generation(), before + 1, "something else was published");
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

/// What every thread of this process has spent.
#[cfg(target_os = "linux")]
pub fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap()
}

/// Whether `tool` is there to be run; says so where it is not.
pub fn has_tool(tool: &str) -> bool {
    let found = Command::new(tool).arg("--version").output().is_ok_and(|out| out.status.success());
    if !found {
        eprintln!("skipped: {tool} is not installed");
    }
    found
}

/// Tells a test that it runs in a process of its own.
const ALONE: &str = "HOT_RELOAD_TEST_ALONE";

/// Starts a test as a user for whom permissions and limits hold, as they don't for root.
pub const NOBODY: &[&str] = &["setpriv", "--reuid=65534", "--clear-groups"];

/// Runs the test `name`, which calls this, again in a process of its own; true in that process.
///
/// `wrapper` is the command that starts it there, none if empty. Where that command can't run, the
/// test is skipped, and says why.
pub fn alone_under(name: &str, wrapper: &[&str]) -> bool {
    if std::env::var_os(ALONE).is_some_and(|alone| alone == name) {
        return true;
    }
    if let [tool, args @ ..] = wrapper {
        let works = Command::new(tool).args(args).arg("true").output();
        if !works.as_ref().is_ok_and(|out| out.status.success()) {
            eprintln!("skipped: {wrapper:?} is not to be had here: {works:?}");
            return false;
        }
    }
    let exe = std::env::current_exe().unwrap();
    let mut command = match wrapper {
        [tool, args @ ..] => {
            let mut command = Command::new(tool);
            command.args(args).arg(exe);
            command
        }
        [] => Command::new(exe),
    };
    let status = command.args(["--exact", name, "--nocapture"]).env(ALONE, name).status().unwrap();
    assert!(status.success(), "{name} failed in a process of its own: {status}");
    false
}

pub fn alone(name: &str) -> bool {
    alone_under(name, &[])
}

/// A runtime for a test that makes its own.
pub fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

pub fn block_on<F: Future>(test: F) -> F::Output {
    runtime().block_on(test)
}

/// Makes three tests of each body, one a strategy.
#[macro_export]
macro_rules! in_every_strategy {
    ($($body:tt)*) => {
        $crate::in_strategies! { [realtime Realtime, hybrid Hybrid, polling Polling] $($body)* }
    };
}

/// Makes two tests of each body, one a strategy that has events.
#[macro_export]
macro_rules! with_events {
    ($($body:tt)*) => {
        $crate::in_strategies! { [realtime Realtime, hybrid Hybrid] $($body)* }
    };
}

/// Makes two tests of each body, one a strategy that looks by itself.
#[macro_export]
macro_rules! with_looks {
    ($($body:tt)*) => {
        $crate::in_strategies! { [hybrid Hybrid, polling Polling] $($body)* }
    };
}

/// Makes a test a strategy of each body.
#[macro_export]
macro_rules! in_strategies {
    ($list:tt $($(#[$meta:meta])* async fn $name:ident($strategy:ident) $body:block)*) => {
        $(mod $name {
            use super::*;

            async fn check($strategy: hot_reload::WatchStrategy) $body

            $crate::strategy_tests! { $list $(#[$meta])* }
        })*
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! strategy_tests {
    ([$($test:ident $strategy:ident),*] $(#[$meta:meta])*) => {
        $crate::strategy_tests! { @ [$($test $strategy),*] [$(#[$meta])*] }
    };
    (@ [] $metas:tt) => {};
    (@ [$test:ident $strategy:ident $(, $($rest:tt)*)?] [$($metas:tt)*]) => {
        $($metas)*
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $test() {
            check(hot_reload::WatchStrategy::$strategy).await;
        }

        $crate::strategy_tests! { @ [$($($rest)*)?] [$($metas)*] }
    };
}

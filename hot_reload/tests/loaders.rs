//! Loaders that misbehave.
#![cfg(all(feature = "file-reloader", feature = "toml"))]

mod common;

use std::{
    borrow::Cow,
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use async_trait::async_trait;
use common::{PATIENCE, options};
use hot_reload::{
    AsyncFileLoad, FileReloader, Health, Reload, ReloadResult, ReloaderError, ReloaderOptions,
    ReloaderReceiver, ReloaderService, TomlFile, WatchStrategy,
};
use serde::{Deserialize, Deserializer};
use tempfile::TempDir;
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};

/// The text of a file, which tells its loader what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Order(String);

/// Loads that were begun and never ended.
static GIVEN_UP: AtomicU32 = AtomicU32::new(0);
/// Threads that are held by a load.
static HELD: AtomicU32 = AtomicU32::new(0);

struct CountedIfGivenUp;

impl Drop for CountedIfGivenUp {
    fn drop(&mut self) {
        GIVEN_UP.fetch_add(1, Ordering::SeqCst);
    }
}

impl TryFrom<&PathBuf> for Order {
    type Error = io::Error;

    fn try_from(path: &PathBuf) -> io::Result<Self> {
        let text = fs::read_to_string(path)?;
        match text.as_str() {
            "panic" => panic!("as ordered"),
            "hang" => {
                HELD.fetch_add(1, Ordering::SeqCst);
                while fs::read_to_string(path).is_ok_and(|text| text == "hang") {
                    thread::sleep(Duration::from_millis(20));
                }
                HELD.fetch_sub(1, Ordering::SeqCst);
                Err(io::Error::other("late"))
            }
            _ => Ok(Self(text)),
        }
    }
}

/// As a guard does that finds its work undone.
struct PanicsWhenDropped;

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        assert!(std::thread::panicking(), "dropped");
    }
}

#[async_trait]
impl AsyncFileLoad for Order {
    type Error = io::Error;

    async fn async_load_from<T: AsRef<Path> + Send>(path: T) -> io::Result<Self> {
        let text = fs::read_to_string(path.as_ref())?;
        match text.as_str() {
            "panic" => panic!("as ordered"),
            "hang" => std::future::pending().await,
            "hang and panic" => {
                let _panics = PanicsWhenDropped;
                std::future::pending::<()>().await;
            }
            // As with a stream that always has more.
            "hang busily" => loop {
                tokio::task::consume_budget().await;
            },
            "slow" => {
                let counted = CountedIfGivenUp;
                sleep(Duration::from_millis(2_500)).await;
                std::mem::forget(counted);
            }
            _ => {}
        }
        Ok(Self(text))
    }

    fn dependent_paths(&self) -> Vec<PathBuf> {
        assert_ne!(self.0, "panic late", "as ordered");
        Vec::new()
    }
}

struct Desk {
    rx: ReloaderReceiver<Order, String>,
    path: PathBuf,
    task: JoinHandle<()>,
    _dir: TempDir,
}

impl Desk {
    /// With the asynchronous loader.
    fn new(options: ReloaderOptions, order: &str) -> Self {
        Self::running(options, order, |service| {
            tokio::spawn(async move { service.start_with_realtime().await.unwrap() })
        })
    }

    /// With the synchronous one.
    fn blocking(options: ReloaderOptions, order: &str) -> Self {
        Self::running(options, order, |service| {
            tokio::spawn(async move { service.start().await.unwrap() })
        })
    }

    fn running(
        options: ReloaderOptions,
        order: &str,
        start: impl FnOnce(ReloaderService<FileReloader<Order>, Order, String>) -> JoinHandle<()>,
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("order");
        fs::write(&path, order).unwrap();
        let reloader = FileReloader::<Order>::from_path(&path).unwrap();
        let (service, rx) = ReloaderService::from_reloader(reloader, options);
        Self { rx, path, task: start(service), _dir: dir }
    }

    fn order(&self, order: &str) {
        fs::write(&self.path, order).unwrap();
    }

    async fn expect(&mut self, want: &str) {
        let arrived = timeout(PATIENCE, async {
            while self.rx.borrow().as_ref().is_none_or(|order| order.0 != want) {
                self.rx.changed().await.unwrap();
            }
        });
        assert!(
            arrived.await.is_ok(),
            "{want:?} did not arrive: {:?}, {:?}",
            self.rx.get(),
            self.rx.status()
        );
    }

    async fn expect_fresh(&mut self) {
        let fresh = timeout(PATIENCE, async {
            while self.rx.status().health != Health::Fresh {
                sleep(Duration::from_millis(5)).await;
            }
        });
        fresh.await.unwrap_or_else(|_| panic!("not fresh: {:?}", self.rx.status()));
        assert_eq!(self.rx.status().last_error, None);
    }

    async fn expect_words(&mut self, words: &str) {
        let said = timeout(PATIENCE, async {
            while !self.rx.status().last_error.is_some_and(|error| error.contains(words)) {
                sleep(Duration::from_millis(5)).await;
            }
        });
        said.await.unwrap_or_else(|_| panic!("{words:?} is not said: {:?}", self.rx.status()));
        assert_eq!(self.rx.status().health, Health::Retrying);
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn impatient(strategy: WatchStrategy) -> ReloaderOptions {
    options(strategy).load_timeout(Duration::from_millis(200))
}

in_every_strategy! {
    async fn a_loader_that_panics_has_failed_and_no_more(strategy) {
        let mut desk = Desk::new(options(strategy), "one");
        desk.expect("one").await;
        for bad in ["panic", "panic late"] {
            desk.order(bad);
            desk.expect_words("panic").await;
            assert!(desk.rx.get().is_some());
            desk.order("two");
            desk.expect("two").await;
            desk.expect_fresh().await;
        }
        assert!(!desk.task.is_finished());
    }

    async fn a_loader_that_panics_at_the_start_is_tried_again(strategy) {
        let mut desk = Desk::new(options(strategy), "panic");
        desk.expect_words("panicked: as ordered").await;
        desk.order("one");
        desk.expect("one").await;
    }

    async fn a_loader_that_hangs_is_given_up_on(strategy) {
        let mut desk = Desk::new(impatient(strategy), "one");
        desk.expect("one").await;
        desk.order("hang");
        desk.expect_words("given up on").await;
        assert_eq!(desk.rx.get(), Some(Order("one".to_owned())));
        desk.order("two");
        desk.expect("two").await;
        desk.expect_fresh().await;
    }

    async fn a_loader_that_hangs_busily_is_given_up_on(strategy) {
        let mut desk = Desk::new(impatient(strategy), "one");
        desk.expect("one").await;
        desk.order("hang busily");
        desk.expect_words("given up on").await;
        desk.order("two");
        desk.expect("two").await;
    }

    /// The panic once went through the service, which ended with it.
    async fn a_loader_that_hangs_and_panics_when_it_is_given_up_on_has_failed_and_no_more(strategy) {
        let mut desk = Desk::new(impatient(strategy), "one");
        desk.expect("one").await;
        desk.order("hang and panic");
        desk.expect_words("given up on").await;
        desk.order("two");
        desk.expect("two").await;
        desk.expect_fresh().await;
    }

    async fn a_newer_file_does_not_wait_for_a_hung_load(strategy) {
        let mut desk = Desk::new(options(strategy).load_timeout(Duration::from_secs(3600)), "one");
        desk.expect("one").await;
        desk.order("hang");
        // Nothing tells from outside that the load hangs by now; that it does not is no failure.
        sleep(Duration::from_millis(200)).await;
        desk.order("two");
        desk.expect("two").await;
    }
}

/// Fails, or hangs, at its second load, in a way that panics.
#[derive(Clone, Default)]
struct Panics {
    loads: Arc<AtomicU32>,
    hangs: bool,
}

#[derive(Debug)]
struct Mute;

impl fmt::Display for Mute {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("no words")
    }
}

impl From<Mute> for Cow<'static, str> {
    fn from(_: Mute) -> Self {
        "mute".into()
    }
}

#[async_trait]
impl Reload<u32, Mute> for Panics {
    type Source = ();

    async fn new((): &()) -> ReloadResult<Self, u32, Mute> {
        Ok(Self::default())
    }

    async fn reload(&self) -> ReloadResult<Option<u32>, u32, Mute> {
        match self.loads.fetch_add(1, Ordering::SeqCst) {
            1 if self.hangs => {
                let _panics = PanicsWhenDropped;
                std::future::pending().await
            }
            1 => Err(ReloaderError::Reload(Mute)),
            load => Ok(Some(load)),
        }
    }
}

/// As does one that panics when it is given up on.
#[tokio::test(start_paused = true)]
async fn an_error_that_panics_when_it_is_told_is_a_failure_and_no_more() {
    for hangs in [false, true] {
        let source = Panics { hangs, ..Panics::default() };
        let options = impatient(WatchStrategy::Polling);
        let (service, mut rx) = ReloaderService::from_reloader(source, options);
        let task = tokio::spawn(async move { service.start().await.is_ok() });
        let mut status = rx.watch_status();
        let failed = timeout(PATIENCE, status.wait_for(|status| status.failures == 1)).await;
        let words = failed.unwrap().unwrap().last_error.unwrap();
        assert!(
            words.contains(if hangs { "given up on" } else { "panicked: no words" }),
            "{words}"
        );
        assert!(timeout(PATIENCE, rx.wait_for(|load| *load == 2)).await.unwrap().is_ok());
        task.abort();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blocking_loader_that_panics_has_failed_and_no_more() {
    let mut desk = Desk::blocking(options(WatchStrategy::Polling), "one");
    desk.expect("one").await;
    desk.order("panic");
    desk.expect_words("panicked: as ordered").await;
    desk.order("two");
    desk.expect("two").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blocking_loader_that_hangs_is_given_up_on() {
    let mut desk = Desk::blocking(impatient(WatchStrategy::Polling), "one");
    desk.expect("one").await;
    desk.order("hang");
    desk.expect_words("given up on").await;
    desk.order("two");
    desk.expect("two").await;
}

/// Every retry once took another thread of the blocking pool, until tokio had none to give.
#[test]
fn a_blocking_loader_that_hangs_does_not_eat_up_the_threads() {
    if !common::alone("a_blocking_loader_that_hangs_does_not_eat_up_the_threads") {
        return;
    }
    common::block_on(async {
        let mut desk = Desk::blocking(impatient(WatchStrategy::Polling), "one");
        desk.expect("one").await;
        desk.order("hang");
        let tried = timeout(PATIENCE, async {
            while desk.rx.status().failures < 20 {
                sleep(Duration::from_millis(5)).await;
            }
        });
        tried.await.expect("it is tried again and again");
        let held = HELD.load(Ordering::SeqCst);
        // Before any assertion: the runtime waits for its blocking threads.
        desk.order("two");
        desk.expect("two").await;
        assert!(held <= 4, "{held} threads are held by one file");
    });
}

/// A look that found nothing new once counted as a new version of the file.
#[test]
fn a_slow_load_is_not_given_up_while_its_file_stays() {
    if !common::alone("a_slow_load_is_not_given_up_while_its_file_stays") {
        return;
    }
    common::block_on(async {
        for strategy in [WatchStrategy::Realtime, WatchStrategy::Hybrid, WatchStrategy::Polling] {
            let mut desk = Desk::new(options(strategy), "slow");
            desk.expect("slow").await;
            assert_eq!(GIVEN_UP.load(Ordering::SeqCst), 0, "{strategy:?}");
            // The file may just be read once more, which ends with the service.
            desk.task.abort();
            assert!((&mut desk.task).await.unwrap_err().is_cancelled());
            GIVEN_UP.store(0, Ordering::SeqCst);
        }
    });
}

/// How often `Counted` was made.
static PARSED: AtomicU32 = AtomicU32::new(0);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Counted(String);

impl<'de> Deserialize<'de> for Counted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        PARSED.fetch_add(1, Ordering::SeqCst);
        common::Config::deserialize(deserializer).map(|config| Self(config.name))
    }
}

/// A file that was looked at right after a write was once read again at every look for ever.
#[test]
fn a_file_that_rests_is_not_read_again_and_again() {
    if !common::alone("a_file_that_rests_is_not_read_again_and_again") {
        return;
    }
    common::block_on(async {
        for strategy in [WatchStrategy::Hybrid, WatchStrategy::Polling] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("config.toml");
            fs::write(&path, common::text("one")).unwrap();
            let reloader = TomlFile::<Counted>::from_path(&path).unwrap();
            let options = options(strategy).poll_interval(Duration::from_millis(20));
            let (service, mut rx) = ReloaderService::from_reloader(reloader, options);
            let task = tokio::spawn(async move { service.start_with_realtime().await.unwrap() });
            for name in ["one", "two", "six"] {
                fs::write(&path, common::text(name)).unwrap();
                while rx.get() != Some(Counted(name.to_owned())) {
                    timeout(PATIENCE, rx.changed()).await.unwrap().unwrap();
                }
            }
            // Some twenty looks, of which one or two may doubt what they see.
            sleep(Duration::from_millis(100)).await;
            let before = PARSED.load(Ordering::SeqCst);
            sleep(Duration::from_millis(400)).await;
            let read = PARSED.load(Ordering::SeqCst) - before;
            assert!(read <= 1, "{strategy:?}: read {read} times in twenty looks");
            task.abort();
        }
    });
}

/// One that stays was once read hundreds of times a second, up to the ceiling.
#[cfg(target_os = "linux")]
#[test]
fn a_file_that_a_writer_keeps_open_is_not_loaded_again_and_again() {
    use std::{fs::OpenOptions, io::Write};

    if !common::alone("a_file_that_a_writer_keeps_open_is_not_loaded_again_and_again") {
        return;
    }
    common::block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        fs::write(&path, common::text("one")).unwrap();
        let file = TomlFile::<Counted>::from_path(&path).unwrap();
        let (service, mut values) =
            ReloaderService::from_reloader(file, options(WatchStrategy::Realtime));
        tokio::spawn(async move { service.start_with_realtime().await.unwrap() });
        timeout(PATIENCE, values.changed()).await.unwrap().unwrap();
        let before = PARSED.load(Ordering::SeqCst);
        let mut writer = OpenOptions::new().write(true).open(&path).unwrap();
        writer.write_all(common::text("two").as_bytes()).unwrap();
        // Another comes and goes, so that something is finished.
        drop(OpenOptions::new().append(true).open(&path).unwrap());
        timeout(PATIENCE, values.changed()).await.unwrap().unwrap();
        let loads = PARSED.load(Ordering::SeqCst) - before;
        assert!(loads < 10, "{loads}");
    });
}

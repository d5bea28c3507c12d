//! A writer that never rests, or the loader itself.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use hot_reload::{AsyncFileLoad, FileReloader, ReloaderService, WatchStrategy};
use tokio::time::sleep;

use crate::common::{Lab, config, options, text, within};

const CEILING: Duration = Duration::from_secs(1);

/// Another was once at the file that was removed, and its time was taken from that of the next.
#[tokio::test(flavor = "multi_thread")]
async fn the_next_has_all_its_time_where_one_has_left() {
    let options = options(WatchStrategy::Realtime).settle_ceiling(CEILING);
    let mut lab = Lab::following(options, "config.toml", |dir| {
        std::fs::write(dir.join("config.toml"), text("one")).unwrap();
    })
    .await;
    lab.expect(config("one")).await;
    let mut writer = OpenOptions::new().append(true).open(&lab.path).unwrap();
    writer.write_all(b"# more\n").unwrap();
    sleep(CEILING / 4).await;
    std::fs::remove_file(&lab.path).unwrap();
    drop(writer);
    lab.expect_failure().await;
    sleep(2 * CEILING).await;
    let path = lab.path.clone();
    let restless = thread::spawn(move || {
        let (mut writer, begun) = (File::create(path).unwrap(), Instant::now());
        writer.write_all(b"name = \"slow\"\n").unwrap();
        while begun.elapsed() < 3 * CEILING / 2 {
            writer.write_all(b"# another line\n").unwrap();
            thread::sleep(Duration::from_millis(10));
        }
        writer.write_all(b"rest = \"whole\"\n").unwrap();
    });
    let before = lab.generation();
    lab.expect_next(before, config("slow")).await;
    restless.join().unwrap();
}

/// How often `Locked` was loaded.
static LOADS: AtomicU32 = AtomicU32::new(0);

/// The text of a file that is opened for writing as well, as for a lock on it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Locked(String);

impl TryFrom<&PathBuf> for Locked {
    type Error = io::Error;

    fn try_from(path: &PathBuf) -> io::Result<Self> {
        LOADS.fetch_add(1, Ordering::SeqCst);
        let text = io::read_to_string(OpenOptions::new().read(true).write(true).open(path)?)?;
        if text == "bad" { Err(io::Error::other("bad")) } else { Ok(Self(text)) }
    }
}

#[async_trait]
impl AsyncFileLoad for Locked {
    type Error = io::Error;

    async fn async_load_from<T: AsRef<Path> + Send>(path: T) -> io::Result<Self> {
        Self::try_from(&path.as_ref().to_owned())
    }
}

/// Each load once told of a writer that was done, and was followed by the next.
#[tokio::test(flavor = "multi_thread")]
async fn a_loader_that_opens_its_file_for_writing_does_not_wake_itself_without_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    std::fs::write(&path, "one").unwrap();
    let file = FileReloader::<Locked>::from_path(&path).unwrap();
    let minute = Duration::from_secs(60);
    let options = options(WatchStrategy::Realtime).backoff(minute, minute);
    let (service, mut values) = ReloaderService::from_reloader(file, options);
    tokio::spawn(async move { service.start_with_realtime().await.unwrap() });
    within(values.changed()).await.unwrap();
    for text in ["two", "bad", "six"] {
        let before = LOADS.load(Ordering::SeqCst);
        std::fs::write(&path, text).unwrap();
        let is_read = || match text {
            "bad" => values.status().last_error.is_some(),
            _ => values.get().is_some_and(|value| value.0 == text),
        };
        within(async {
            while !is_read() {
                sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
        sleep(Duration::from_secs(1)).await;
        let loads = LOADS.load(Ordering::SeqCst) - before;
        assert!(loads < 30, "{text}: {loads}");
    }
}

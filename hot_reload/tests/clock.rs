//! File times that no clock of now agrees with: they tell that a file is another, and never when.
#![cfg(feature = "toml")]

mod common;

use std::{
    collections::BTreeMap,
    fs::{self, File, FileTimes},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Mutex,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use common::{Lab, config, options, text, within};
use hot_reload::{AsyncFileLoad, FileReloader, Health, ReloaderService};
use tokio::time::{Instant, sleep};

const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// 1970 and 2100: what archives, images and clocks that were set leave behind.
fn far_away() -> [SystemTime; 2] {
    [SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH + 130 * YEAR]
}

/// Gives the file at `path` these times, as `touch -d` does (`utimensat(2)`).
fn touch(path: &Path, time: SystemTime) {
    let file = File::options().append(true).open(path).unwrap();
    file.set_times(FileTimes::new().set_modified(time).set_accessed(time)).unwrap();
}

in_every_strategy! {
    async fn edits_are_followed(strategy) {
        for time in far_away() {
            let mut lab = Lab::new(strategy, |dir| {
                fs::write(dir.join("config.toml"), text("one")).unwrap();
                touch(&dir.join("config.toml"), time);
            })
            .await;
            lab.expect(config("one")).await;
            // The same size, and always the same time.
            for name in ["two", "six", "ten"] {
                lab.write(text(name));
                touch(&lab.path, time);
                lab.expect(config(name)).await;
                let next = lab.root.join(".next");
                fs::write(&next, text("new")).unwrap();
                touch(&next, time);
                fs::rename(next, &lab.path).unwrap();
                lab.expect(config("new")).await;
            }
            assert_eq!(lab.generation(), 7);
        }
    }

    async fn half_a_file_is_waited_for(strategy) {
        for time in far_away() {
            let mut lab = Lab::with_one(strategy).await;
            let before = lab.generation();
            let mut writer = File::create(&lab.path).unwrap();
            writer.write_all(b"name = \"two\"\n").unwrap();
            touch(&lab.path, time);
            lab.expect_silence(Duration::from_millis(500)).await;
            writer.write_all(b"rest = \"whole\"\n").unwrap();
            drop(writer);
            touch(&lab.path, time);
            lab.expect_next(before, config("two")).await;
        }
    }

    async fn a_bad_file_makes_the_value_stale_on_time(strategy) {
        let limit = Duration::from_millis(300);
        for time in far_away() {
            let options = options(strategy).max_staleness(limit);
            let mut lab = Lab::following(options, "config.toml", |dir| {
                fs::write(dir.join("config.toml"), text("one")).unwrap();
                touch(&dir.join("config.toml"), time);
            })
            .await;
            lab.expect(config("one")).await;
            // Good it is for as long as it stays as it is.
            sleep(2 * limit).await;
            assert_eq!(lab.rx.status().health, Health::Fresh);
            let begun = Instant::now();
            lab.write("name = ");
            touch(&lab.path, time);
            let mut status = lab.rx.watch_status();
            within(status.wait_for(|status| status.health == Health::Stale)).await.unwrap();
            assert!(begun.elapsed() >= limit, "{:?}", begun.elapsed());
        }
    }

    /// One that is dated in the future is, at every look: it can't prove that it is the same.
    async fn a_file_of_the_past_that_stays_as_it_is_is_not_loaded_again(strategy) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("motd");
        fs::write(&path, "one").unwrap();
        touch(&path, SystemTime::UNIX_EPOCH);
        let file = FileReloader::<Counted>::from_path(&path).unwrap();
        let (service, mut rx) = ReloaderService::from_reloader(file, options(strategy));
        let task = tokio::spawn(async move { service.start_with_realtime().await.unwrap() });
        within(rx.changed()).await.unwrap();
        // By the clock of the kernel it is new, and for a moment as good as any other file.
        sleep(Duration::from_millis(200)).await;
        let loads = LOADS.lock().unwrap()[&path];
        sleep(Duration::from_millis(800)).await;
        assert!(LOADS.lock().unwrap()[&path] <= loads + 1, "{:?}", LOADS.lock().unwrap());
        task.abort();
    }
}

/// How often each file was loaded.
static LOADS: Mutex<BTreeMap<PathBuf, u32>> = Mutex::new(BTreeMap::new());

#[derive(Debug, Clone, PartialEq, Eq)]
struct Counted(String);

impl TryFrom<&PathBuf> for Counted {
    type Error = io::Error;

    fn try_from(path: &PathBuf) -> io::Result<Self> {
        *LOADS.lock().unwrap().entry(path.clone()).or_default() += 1;
        fs::read_to_string(path).map(Self)
    }
}

#[async_trait]
impl AsyncFileLoad for Counted {
    type Error = io::Error;

    async fn async_load_from<T: AsRef<Path> + Send>(path: T) -> io::Result<Self> {
        Self::try_from(&path.as_ref().to_owned())
    }
}

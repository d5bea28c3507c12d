//! A writer that never rests is held up while a file is read, and for nothing else.

use std::{
    fs::OpenOptions,
    io::ErrorKind,
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use hot_reload::{ReloaderService, TomlFile, WatchStrategy};
use rustix::fs::OFlags;
use serde::{Deserialize, Deserializer};

use crate::common::{options, text, within};

static IS_OVER: AtomicBool = AtomicBool::new(false);
static PATH: OnceLock<PathBuf> = OnceLock::new();
/// How often a value was made, and a writer had to wait meanwhile.
static HELD_UP: AtomicU32 = AtomicU32::new(0);

/// A value that somebody wants to write while it is made.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Contested(String);

impl<'de> Deserialize<'de> for Contested {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let config = crate::common::Config::deserialize(deserializer)?;
        let at_once = OFlags::NONBLOCK.bits().cast_signed();
        let opened = OpenOptions::new().append(true).custom_flags(at_once).open(PATH.wait());
        if opened.is_err_and(|error| error.kind() == ErrorKind::WouldBlock) {
            HELD_UP.fetch_add(1, Ordering::SeqCst);
        }
        Ok(Self(config.name))
    }
}

/// A value that took long to make once held it up for as long, and one that waited for the writer for as
/// long as the kernel let it.
#[tokio::test(flavor = "multi_thread")]
async fn a_writer_is_not_held_up_while_a_value_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let path = PATH.get_or_init(|| dir.path().join("config.toml"));
    std::fs::write(path, text("one")).unwrap();
    let file = TomlFile::<Contested>::from_path(path).unwrap();
    let options = options(WatchStrategy::Polling).settle_ceiling(Duration::from_millis(200));
    let (service, mut values) = ReloaderService::from_reloader(file, options);
    tokio::spawn(async move { service.start_with_realtime().await });
    within(values.changed()).await.unwrap();
    let storm = thread::spawn(|| {
        for n in 0.. {
            std::fs::write(PATH.wait(), text(&n.to_string())).unwrap();
            if IS_OVER.load(Ordering::SeqCst) {
                break;
            }
        }
    });
    for _ in 0..5 {
        within(values.changed()).await.unwrap();
    }
    IS_OVER.store(true, Ordering::SeqCst);
    storm.join().unwrap();
    assert_eq!(HELD_UP.load(Ordering::SeqCst), 0);
}

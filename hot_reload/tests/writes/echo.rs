//! A loader that opens its file for writing, as whoever locks it may, and so tells of it itself.

use std::{
    fs::{self, OpenOptions},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use async_trait::async_trait;
use hot_reload::{AsyncFileLoad, FileReloader, ReloaderService, WatchStrategy};
use tokio::time::{sleep, timeout};

use crate::common::{PATIENCE, alone, block_on, options};

static LOADS: AtomicU32 = AtomicU32::new(0);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Locked(String);

impl TryFrom<&PathBuf> for Locked {
    type Error = io::Error;

    fn try_from(path: &PathBuf) -> io::Result<Self> {
        LOADS.fetch_add(1, Ordering::SeqCst);
        let mut text = String::new();
        let mut file = OpenOptions::new().read(true).write(true).open(path)?;
        file.read_to_string(&mut text)?;
        assert_ne!(text, "worse");
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

/// Each load once had the next one follow it at once, of thousands in a second.
#[test]
fn a_loader_that_opens_its_file_for_writing_does_not_wake_itself_without_a_rest() {
    let test = "echo::a_loader_that_opens_its_file_for_writing_does_not_wake_itself_without_a_rest";
    if !alone(test) {
        return;
    }
    block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config");
        fs::write(&path, "one").unwrap();
        let file = FileReloader::<Locked>::from_path(&path).unwrap();
        let (service, mut values) =
            ReloaderService::from_reloader(file, options(WatchStrategy::Realtime));
        tokio::spawn(async move { service.start_with_realtime().await.unwrap() });
        timeout(PATIENCE, values.changed()).await.unwrap().unwrap();
        for text in ["two", "bad", "worse"] {
            fs::write(&path, text).unwrap();
            sleep(Duration::from_millis(500)).await;
            let before = LOADS.load(Ordering::SeqCst);
            sleep(Duration::from_secs(1)).await;
            let loads = LOADS.load(Ordering::SeqCst) - before;
            assert!(loads < 200, "{text}: {loads}");
            assert_eq!(values.status().last_error.is_some(), text != "two");
        }
        for n in 0..20 {
            fs::write(&path, n.to_string()).unwrap();
            while values.get() != Some(Locked(n.to_string())) {
                timeout(PATIENCE, values.changed()).await.unwrap().unwrap();
            }
        }
    });
}

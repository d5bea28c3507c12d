//! Writers whose end is not what it seems, or who have none.

use std::{
    convert::Infallible,
    fs::{self, OpenOptions},
    io,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use async_trait::async_trait;
use hot_reload::{AsyncFileLoad, FileReloader, ReloaderService, WatchStrategy};
use tokio::time::{sleep, timeout};

use crate::{
    PAUSE, SOMEBODY, WITHOUT_LEASES,
    common::{PATIENCE, alone_under, block_on, config, map::Mapping, options, text},
    expect_no_half, replace, with_one, with_one_by,
};

/// It was once waited for as long as somebody touched it, and nobody was told.
#[test]
fn an_empty_file_that_is_touched_again_and_again_is_told_of() {
    if !alone_under(
        "endless::an_empty_file_that_is_touched_again_and_again_is_told_of",
        WITHOUT_LEASES,
    ) {
        return;
    }
    for strategy in [WatchStrategy::Realtime, WatchStrategy::Hybrid, WatchStrategy::Polling] {
        block_on(async {
            let options = options(strategy).settle_ceiling(Duration::from_millis(500));
            let mut lab = with_one_by(options).await;
            lab.write("");
            let mut toucher = Command::new("sh")
                .args(["-c", "while sleep 0.1 && [ -e \"$0\" ]; do touch \"$0\"; done"])
                .arg(&lab.path)
                .spawn()
                .unwrap();
            let why = lab.expect_failure().await;
            toucher.kill().unwrap();
            toucher.wait().unwrap();
            assert!(why.contains("empty"), "{why}");
            lab.write(text("two"));
            lab.expect(config("two")).await;
        });
    }
}

/// The text of a file, unless it makes its loader misbehave.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Text(String);

#[async_trait]
impl AsyncFileLoad for Text {
    type Error = io::Error;

    async fn async_load_from<T: AsRef<Path> + Send>(path: T) -> io::Result<Self> {
        let text = fs::read_to_string(path)?;
        assert!(!text.starts_with("panic"), "as ordered");
        if text.starts_with("hang") {
            std::future::pending::<Infallible>().await;
        }
        Ok(Self(text))
    }
}

impl TryFrom<&PathBuf> for Text {
    type Error = io::Error;

    fn try_from(path: &PathBuf) -> io::Result<Self> {
        fs::read_to_string(path).map(Self)
    }
}

/// As after one that fails: what was written next, unheard, was once read without a quiet window.
#[test]
fn a_file_is_not_read_before_it_was_quiet_after_a_load_that_came_to_no_end() {
    if !alone_under(
        "endless::a_file_is_not_read_before_it_was_quiet_after_a_load_that_came_to_no_end",
        WITHOUT_LEASES,
    ) {
        return;
    }
    for bad in ["panic", "hang"] {
        block_on(async {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("file");
            fs::write(&path, "one").unwrap();
            chown(&path, Some(SOMEBODY), None).unwrap();
            // Longer than any pause of the writer.
            let options = options(WatchStrategy::Realtime)
                .settle_window(PAUSE)
                .load_timeout(Duration::from_millis(100))
                .backoff(Duration::from_millis(50), Duration::from_millis(50));
            let file = FileReloader::<Text>::from_path(&path).unwrap();
            let (service, mut values) = ReloaderService::from_reloader(file, options);
            tokio::spawn(async move { service.start_with_realtime().await.unwrap() });
            timeout(PATIENCE, values.changed()).await.unwrap().unwrap();
            let (half, whole) = ("half      ", "both halves");
            fs::write(&path, format!("{bad:<0$}", whole.len())).unwrap();
            let failed = values.watch_status().wait_for(|status| status.last_error.is_some()).await;
            failed.unwrap();
            let file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
            let mut mapping = Mapping::new(&file, whole.len());
            mapping.bytes()[..half.len()].copy_from_slice(half.as_bytes());
            sleep(PAUSE / 4).await;
            mapping.bytes().copy_from_slice(whole.as_bytes());
            timeout(PATIENCE, values.changed()).await.unwrap().unwrap();
            assert_eq!(values.get(), Some(Text(whole.to_owned())), "{bad}");
        });
    }
}

/// As a daemon that starts as root and is somebody from then on: what leases told of once, they were taken to
/// tell of for ever.
#[test]
fn half_a_file_is_not_published_once_leases_are_no_longer_had() {
    // Root may have them all.
    let root = ["setpriv", "--reuid=0", "--clear-groups"];
    if !alone_under("endless::half_a_file_is_not_published_once_leases_are_no_longer_had", &root) {
        return;
    }
    block_on(async {
        let mut lab = with_one(WatchStrategy::Realtime).await;
        replace(&lab, &text("two"));
        lab.expect(config("two")).await;
        let next = lab.root.join("next");
        fs::write(&next, text("three")).unwrap();
        chown(&next, Some(SOMEBODY), None).unwrap();
        for (path, mode) in [(&lab.root, 0o777), (&next, 0o666)] {
            fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
        }
        sleep(Duration::from_millis(500)).await;
        become_somebody_else();
        fs::rename(next, &lab.path).unwrap();
        lab.expect(config("three")).await;
        sleep(Duration::from_millis(50)).await;
        expect_no_half(&mut lab).await;
    });
}

#[allow(unsafe_code, reason = "what changes all threads can be had of the C library alone")]
fn become_somebody_else() {
    let other = SOMEBODY + 1;
    // SAFETY: it takes numbers only.
    assert_eq!(unsafe { libc::setresuid(other, other, other) }, 0);
}

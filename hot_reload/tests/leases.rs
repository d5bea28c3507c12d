//! Where the kernel does not tell this process who writes: the file is somebody else's.
#![cfg(all(feature = "toml", target_os = "linux"))]

mod common;

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    os::unix::fs::chown,
    time::Duration,
};

use common::{Lab, alone_under, block_on, config, text};
use hot_reload::WatchStrategy;

/// A process that gets no lease on a file that it does not own (`fcntl(2)`), as any service that
/// runs as another user than its deployment.
const WITHOUT_LEASES: &[&str] = &["setpriv", "--bounding-set=-lease"];
const SOMEBODY: u32 = 12_345;
const PAUSE: Duration = Duration::from_secs(2);

async fn with_one(strategy: WatchStrategy) -> Lab {
    let mut lab = Lab::new(strategy, |dir| {
        let path = dir.join("config.toml");
        fs::write(&path, text("one")).unwrap();
        chown(path, Some(SOMEBODY), None).unwrap();
    })
    .await;
    lab.expect(config("one")).await;
    lab
}

#[test]
fn half_a_file_is_never_published() {
    if !alone_under("half_a_file_is_never_published", WITHOUT_LEASES) {
        return;
    }
    for strategy in [WatchStrategy::Realtime, WatchStrategy::Hybrid] {
        block_on(async {
            let mut lab = with_one(strategy).await;
            let before = lab.generation();
            let mut writer = OpenOptions::new().write(true).truncate(true).open(&lab.path).unwrap();
            writer.write_all(b"name = \"two\"\n").unwrap();
            lab.expect_silence(PAUSE).await;
            writer.write_all(b"rest = \"whole\"\n").unwrap();
            drop(writer);
            lab.expect_next(before, config("two")).await;
        });
    }
}

#[test]
fn half_of_a_new_file_is_never_published() {
    if !alone_under("half_of_a_new_file_is_never_published", WITHOUT_LEASES) {
        return;
    }
    for strategy in [WatchStrategy::Realtime, WatchStrategy::Hybrid] {
        block_on(async {
            let mut lab = with_one(strategy).await;
            let before = lab.generation();
            fs::remove_file(&lab.path).unwrap();
            lab.expect_failure().await;
            let mut writer = File::create(&lab.path).unwrap();
            chown(&lab.path, Some(SOMEBODY), None).unwrap();
            writer.write_all(b"name = \"two\"\n").unwrap();
            lab.expect_silence(PAUSE).await;
            writer.write_all(b"rest = \"whole\"\n").unwrap();
            drop(writer);
            lab.expect_next(before, config("two")).await;
        });
    }
}

/// Nothing tells a looker that the writer is not done, so all that can be asked for is the last
/// value, and a pause that is longer than a writer needs between two calls.
#[test]
fn a_file_that_is_looked_at_waits_for_quiet() {
    if !alone_under("a_file_that_is_looked_at_waits_for_quiet", WITHOUT_LEASES) {
        return;
    }
    block_on(async {
        let mut lab = with_one(WatchStrategy::Polling).await;
        for n in 0..20 {
            let before = lab.generation();
            let mut writer = OpenOptions::new().write(true).truncate(true).open(&lab.path).unwrap();
            writer.write_all(format!("name = \"{n}\"\n").as_bytes()).unwrap();
            tokio::time::sleep(Duration::from_millis(10)).await;
            writer.write_all(b"rest = \"whole\"\n").unwrap();
            drop(writer);
            lab.expect_next(before, config(&n.to_string())).await;
        }
    });
}

#[test]
fn edits_and_renames_are_published() {
    if !alone_under("edits_and_renames_are_published", WITHOUT_LEASES) {
        return;
    }
    for strategy in [WatchStrategy::Realtime, WatchStrategy::Hybrid, WatchStrategy::Polling] {
        block_on(async {
            let mut lab = with_one(strategy).await;
            for n in 0..5 {
                lab.write(text(&format!("edit {n}")));
                lab.expect(config(&format!("edit {n}"))).await;
                let next = lab.root.join(".next");
                fs::write(&next, text(&format!("rename {n}"))).unwrap();
                chown(&next, Some(SOMEBODY), None).unwrap();
                fs::rename(next, &lab.path).unwrap();
                lab.expect(config(&format!("rename {n}"))).await;
            }
        });
    }
}

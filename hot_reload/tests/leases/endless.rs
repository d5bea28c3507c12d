//! Writers whose end is not what it seems, or who have none.

use std::{fs, os::unix::fs::chown, process::Command, time::Duration};

use hot_reload::WatchStrategy;

use crate::{
    SOMEBODY, WITHOUT_LEASES,
    common::{Lab, alone_under, block_on, config, options, text},
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
            let mut lab = Lab::following(options, "config.toml", |dir| {
                let path = dir.join("config.toml");
                fs::write(&path, text("one")).unwrap();
                chown(path, Some(SOMEBODY), None).unwrap();
            })
            .await;
            lab.expect(config("one")).await;
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

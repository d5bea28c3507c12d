//! Mounts over and below the file, in a mount namespace that nobody else sees.
#![cfg(all(feature = "toml", target_os = "linux"))]

mod common;

use std::{fs, path::Path, process::Command, time::Duration};

use common::{Lab, alone_under, block_on, config, options, text};
use hot_reload::WatchStrategy;

const OWN_MOUNTS: &[&str] =
    &["unshare", "--user", "--map-root-user", "--mount", "--propagation", "private"];

fn run(command: &str, args: &[&Path]) {
    let mut words = command.split(' ');
    let done = Command::new(words.next().unwrap()).args(words).args(args).output().unwrap();
    assert!(done.status.success(), "{command} {args:?}: {done:?}");
}

const EVERY: [WatchStrategy; 3] =
    [WatchStrategy::Realtime, WatchStrategy::Hybrid, WatchStrategy::Polling];
const LOOKING: [WatchStrategy; 2] = [WatchStrategy::Hybrid, WatchStrategy::Polling];

/// As container engines mount a single file: its name can't be renamed over, its content changes.
#[test]
fn a_file_that_is_a_bind_mount_is_followed() {
    if !alone_under("a_file_that_is_a_bind_mount_is_followed", OWN_MOUNTS) {
        return;
    }
    for strategy in EVERY {
        block_on(async {
            let mut lab = Lab::new(strategy, |dir| {
                fs::write(dir.join("source"), text("one")).unwrap();
                fs::write(dir.join("config.toml"), "").unwrap();
                run("mount --bind", &[&dir.join("source"), &dir.join("config.toml")]);
            })
            .await;
            lab.expect(config("one")).await;
            let source = lab.root.join("source");
            fs::write(&source, text("two")).unwrap();
            lab.expect(config("two")).await;
            fs::write(&lab.path, text("six")).unwrap();
            lab.expect(config("six")).await;
            // The mount stays with the file that it was made of.
            fs::write(lab.root.join("next"), text("none of ours")).unwrap();
            fs::rename(lab.root.join("next"), &source).unwrap();
            lab.expect_silence(Duration::from_millis(500)).await;
            fs::write(&lab.path, text("ten")).unwrap();
            lab.expect(config("ten")).await;
            run("umount --lazy", &[&lab.path]);
        });
    }
}

/// No event tells of a mount.
#[test]
fn a_mount_over_the_file_is_found_by_looking() {
    if !alone_under("a_mount_over_the_file_is_found_by_looking", OWN_MOUNTS) {
        return;
    }
    for strategy in LOOKING {
        block_on(async {
            let mut lab = Lab::with_one(strategy).await;
            let other = lab.root.join("other");
            fs::write(&other, text("two")).unwrap();
            run("mount --bind", &[&other, &lab.path]);
            lab.expect(config("two")).await;
            fs::write(&other, text("six")).unwrap();
            lab.expect(config("six")).await;
            run("umount --lazy", &[&lab.path]);
            lab.expect(config("one")).await;
            lab.write(text("ten"));
            lab.expect(config("ten")).await;
        });
    }
}

#[test]
fn a_tmpfs_over_the_directory_is_found_by_looking() {
    if !alone_under("a_tmpfs_over_the_directory_is_found_by_looking", OWN_MOUNTS) {
        return;
    }
    for strategy in LOOKING {
        block_on(async {
            let mut lab = Lab::following(options(strategy), "a/config.toml", |dir| {
                fs::create_dir(dir.join("a")).unwrap();
                fs::write(dir.join("a/config.toml"), text("one")).unwrap();
            })
            .await;
            lab.expect(config("one")).await;
            let dir = lab.root.join("a");
            run("mount -t tmpfs none", &[&dir]);
            lab.expect_failure().await;
            lab.write(text("two"));
            lab.expect(config("two")).await;
            run("umount --lazy", &[&dir]);
            lab.expect(config("one")).await;
            lab.write(text("six"));
            lab.expect(config("six")).await;
        });
    }
}

#[test]
fn a_file_on_tmpfs_is_followed_until_it_is_unmounted_and_after() {
    if !alone_under("a_file_on_tmpfs_is_followed_until_it_is_unmounted_and_after", OWN_MOUNTS) {
        return;
    }
    for strategy in EVERY {
        block_on(async {
            let mut lab = Lab::following(options(strategy), "a/config.toml", |dir| {
                fs::create_dir(dir.join("a")).unwrap();
                fs::write(dir.join("a/config.toml"), text("below")).unwrap();
                run("mount -t tmpfs none", &[&dir.join("a")]);
                fs::write(dir.join("a/config.toml"), text("one")).unwrap();
            })
            .await;
            lab.expect(config("one")).await;
            for name in ["two", "six"] {
                lab.write(text(name));
                lab.expect(config(name)).await;
                fs::write(lab.root.join("a/next"), text("renamed")).unwrap();
                fs::rename(lab.root.join("a/next"), &lab.path).unwrap();
                lab.expect(config("renamed")).await;
            }
            run("umount --lazy", &[&lab.root.join("a")]);
            lab.expect(config("below")).await;
            lab.write(text("ten"));
            lab.expect(config("ten")).await;
        });
    }
}

//! What happens to the directories above the file.
#![cfg(all(feature = "toml", unix))]

mod common;

use std::{
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt, fs::symlink},
    path::Path,
    time::Duration,
};

use common::{Lab, PATIENCE, config, options, text};
use hot_reload::WatchStrategy;
use rustix::fs::{CWD, RenameFlags, renameat_with};

const NAME: &str = "a/b/config.toml";

/// A file two directories down that holds `config("one")`, which has arrived.
async fn deep(strategy: WatchStrategy) -> Lab {
    let mut lab = Lab::following(options(strategy), NAME, |dir| with(dir, NAME, "one")).await;
    lab.expect(config("one")).await;
    lab
}

/// Puts a file with its directories there.
fn with(root: &Path, path: &str, name: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text(name)).unwrap();
}

in_every_strategy! {
    async fn deleted_and_recreated_after_50_ms(strategy) {
        recreate(strategy, Duration::from_millis(50)).await;
    }

    async fn deleted_and_recreated_after_1_s(strategy) {
        recreate(strategy, Duration::from_secs(1)).await;
    }

    async fn deleted_and_recreated_after_5_s(strategy) {
        recreate(strategy, Duration::from_secs(5)).await;
    }

    async fn deleted_and_recreated_at_once_many_times(strategy) {
        let mut lab = Lab::with_one(strategy).await;
        for n in 0..20 {
            fs::remove_file(&lab.path).unwrap();
            lab.write(text(&n.to_string()));
            lab.expect(config(&n.to_string())).await;
        }
    }

    async fn a_parent_is_removed_and_recreated(strategy) {
        let mut lab = deep(strategy).await;
        for (n, parent) in ["a/b", "a", "a/b", "a"].into_iter().enumerate() {
            fs::remove_dir_all(lab.root.join(parent)).unwrap();
            let why = lab.expect_failure().await;
            assert!(why.contains("not there"), "{why}");
            with(&lab.root, NAME, &n.to_string());
            lab.expect(config(&n.to_string())).await;
            lab.write(text("edited"));
            lab.expect(config("edited")).await;
        }
    }

    async fn a_parent_is_removed_and_recreated_at_once(strategy) {
        let mut lab = deep(strategy).await;
        for (n, parent) in ["a/b", "a", "a/b", "a"].into_iter().enumerate() {
            fs::remove_dir_all(lab.root.join(parent)).unwrap();
            with(&lab.root, NAME, &n.to_string());
            lab.expect(config(&n.to_string())).await;
            lab.write(text("edited"));
            lab.expect(config("edited")).await;
        }
    }

    async fn a_parent_is_renamed_away_and_back(strategy) {
        let mut lab = deep(strategy).await;
        for (n, parent) in ["a/b", "a", "a/b", "a"].into_iter().enumerate() {
            let (here, away) = (lab.root.join(parent), lab.root.join("away"));
            fs::rename(&here, &away).unwrap();
            lab.expect_failure().await;
            let rest = Path::new(NAME).strip_prefix(parent).unwrap();
            fs::write(away.join(rest), text(&n.to_string())).unwrap();
            fs::rename(&away, &here).unwrap();
            lab.expect(config(&n.to_string())).await;
            lab.write(text("edited"));
            lab.expect(config("edited")).await;
        }
    }

    async fn a_directory_that_was_renamed_away_is_no_longer_followed(strategy) {
        let mut lab = deep(strategy).await;
        let away = lab.root.join("away");
        fs::rename(lab.root.join("a"), &away).unwrap();
        lab.expect_failure().await;
        with(&lab.root, NAME, "two");
        lab.expect(config("two")).await;
        fs::write(away.join("b/config.toml"), text("none of ours")).unwrap();
        lab.expect_silence(Duration::from_millis(500)).await;
    }

    async fn a_parent_is_replaced(strategy) {
        let mut lab = deep(strategy).await;
        for (n, parent) in ["a/b", "a", "a/b", "a"].into_iter().enumerate() {
            let name = n.to_string();
            let rest = Path::new(NAME).strip_prefix(parent).unwrap();
            with(&lab.root.join("next"), rest.to_str().unwrap(), &name);
            let (here, next) = (lab.root.join(parent), lab.root.join("next"));
            renameat_with(CWD, &next, CWD, &here, RenameFlags::EXCHANGE).unwrap();
            lab.expect(config(&name)).await;
            fs::remove_dir_all(&next).unwrap();
            lab.write(text("edited"));
            lab.expect(config("edited")).await;
        }
    }

    async fn a_parent_becomes_a_link_and_a_directory_again(strategy) {
        let mut lab = deep(strategy).await;
        with(&lab.root, "other/b/config.toml", "two");
        fs::rename(lab.root.join("a"), lab.root.join("kept")).unwrap();
        symlink("other", lab.root.join("a")).unwrap();
        lab.expect(config("two")).await;
        lab.write(text("six"));
        lab.expect(config("six")).await;
        fs::remove_file(lab.root.join("a")).unwrap();
        fs::rename(lab.root.join("kept"), lab.root.join("a")).unwrap();
        lab.expect(config("one")).await;
    }

    async fn a_parent_becomes_a_file_and_a_directory_again(strategy) {
        let mut lab = deep(strategy).await;
        fs::remove_dir_all(lab.root.join("a")).unwrap();
        fs::write(lab.root.join("a"), "in the way").unwrap();
        lab.expect_failure().await;
        fs::remove_file(lab.root.join("a")).unwrap();
        with(&lab.root, NAME, "two");
        lab.expect(config("two")).await;
    }

    async fn missing_at_the_start(strategy) {
        let mut lab = Lab::new(strategy, |_dir| {}).await;
        let why = lab.expect_failure().await;
        assert!(why.contains("config.toml: not there"), "{why}");
        assert_eq!(lab.rx.get(), None);
        lab.write(text("one"));
        lab.expect_next(0, config("one")).await;
    }

    async fn missing_at_the_start_with_its_directories(strategy) {
        let mut lab = Lab::following(options(strategy), NAME, |_dir| {}).await;
        lab.expect_failure().await;
        fs::create_dir(lab.root.join("a")).unwrap();
        lab.expect_silence(Duration::from_millis(200)).await;
        fs::create_dir(lab.root.join("a/b")).unwrap();
        lab.expect_silence(Duration::from_millis(200)).await;
        lab.write(text("one"));
        lab.expect_next(0, config("one")).await;
    }

    async fn missing_at_the_start_then_all_at_once(strategy) {
        let mut lab = Lab::following(options(strategy), NAME, |_dir| {}).await;
        lab.expect_failure().await;
        with(&lab.root, NAME, "one");
        lab.expect_next(0, config("one")).await;
    }

    async fn a_tree_that_is_renamed_into_place(strategy) {
        let mut lab = Lab::following(options(strategy), NAME, |_dir| {}).await;
        lab.expect_failure().await;
        with(&lab.root, "next/b/config.toml", "one");
        fs::rename(lab.root.join("next"), lab.root.join("a")).unwrap();
        lab.expect_next(0, config("one")).await;
    }

    async fn odd_names_are_followed(strategy) {
        for odd in [&b"with a space"[..], b"with a\nnewline", b"not \xff\xfe utf-8", b"-rf", b"\xf0\x9f\xa6\x80", b"..."] {
            let odd = Path::new(OsStr::from_bytes(odd));
            let name = odd.join(odd);
            let mut lab = Lab::following(options(strategy), &name, |dir| {
                fs::create_dir(dir.join(odd)).unwrap();
            })
            .await;
            lab.expect_failure().await;
            lab.write(text("one"));
            lab.expect(config("one")).await;
            lab.replace(text("two"));
            lab.expect(config("two")).await;
            lab.write(text("six"));
            lab.expect(config("six")).await;
        }
    }

    async fn a_path_with_dots_and_slashes_is_followed(strategy) {
        let name = "a//./b/../b/./config.toml";
        let mut lab = Lab::following(options(strategy), name, |dir| with(dir, NAME, "one")).await;
        lab.expect(config("one")).await;
        lab.replace(text("two"));
        lab.expect(config("two")).await;
        fs::rename(lab.root.join("a"), lab.root.join("away")).unwrap();
        lab.expect_failure().await;
        with(&lab.root, NAME, "six");
        lab.expect(config("six")).await;
    }

    async fn a_name_that_is_too_long_is_an_error(strategy) {
        let name = "n".repeat(300);
        let mut lab = Lab::following(options(strategy), &name, |_dir| {}).await;
        let why = lab.expect_failure().await;
        assert!(why.contains(&name), "{why}");
    }
}

/// Nobody writes it, so there is nothing to wait for.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_directory_that_is_made_is_looked_into_at_once() {
    let options =
        options(WatchStrategy::Realtime).settle_window(2 * PATIENCE).settle_ceiling(2 * PATIENCE);
    let mut lab = Lab::following(options, NAME, |_| {}).await;
    lab.expect_failure().await;
    with(&lab.root, NAME, "one");
    lab.expect(config("one")).await;
}

/// What can't be watched was once taken for a way that changes, and looked at twenty times a second.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_file_in_the_place_of_a_directory_is_looked_at_no_more_often_than_is_due() {
    let options = options(WatchStrategy::Realtime).backoff(2 * PATIENCE, 2 * PATIENCE);
    let mut lab = Lab::following(options, NAME, |dir| fs::write(dir.join("a"), "").unwrap()).await;
    lab.expect_failure().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(lab.rx.status().failures, 1);
    fs::remove_file(lab.root.join("a")).unwrap();
    with(&lab.root, NAME, "one");
    lab.expect(config("one")).await;
}

async fn recreate(strategy: WatchStrategy, pause: Duration) {
    let mut lab = Lab::with_one(strategy).await;
    for name in ["two", "six"] {
        let before = lab.generation();
        fs::remove_file(&lab.path).unwrap();
        // Not a wait for anything: how long the file stays away is what is tested.
        tokio::time::sleep(pause).await;
        lab.write(text(name));
        lab.expect_next(before, config(name)).await;
        lab.write(text("edited"));
        lab.expect(config("edited")).await;
    }
}

/// A relative path is meant from the directory at the start, wherever the process goes then.
#[test]
fn a_relative_path_survives_a_chdir() {
    if !common::alone("a_relative_path_survives_a_chdir") {
        return;
    }
    for strategy in [WatchStrategy::Realtime, WatchStrategy::Hybrid, WatchStrategy::Polling] {
        common::block_on(async {
            let dir = tempfile::tempdir().unwrap();
            std::env::set_current_dir(&dir).unwrap();
            fs::write("config.toml", text("one")).unwrap();
            // `following` joins the name to the root, which an absolute name replaces: so no `Lab`.
            let reloader =
                hot_reload::TomlFile::<common::Config>::from_path("config.toml").unwrap();
            let (service, mut rx) =
                hot_reload::ReloaderService::from_reloader(reloader, options(strategy));
            let task = tokio::spawn(async move { service.start_with_realtime().await.unwrap() });
            common::within(rx.changed()).await.unwrap();
            std::env::set_current_dir("/").unwrap();
            for name in ["two", "six"] {
                fs::write(dir.path().join(".next"), text(name)).unwrap();
                fs::rename(dir.path().join(".next"), dir.path().join("config.toml")).unwrap();
                tokio::time::timeout(common::PATIENCE, rx.changed()).await.unwrap().unwrap();
                assert_eq!(rx.get(), Some(config(name)));
            }
            task.abort();
        });
    }
}

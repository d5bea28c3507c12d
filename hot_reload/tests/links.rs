//! Symbolic and hard links on the way to the file, as deployments use them.
#![cfg(all(feature = "toml", unix))]

mod common;

use std::{fs, os::unix::fs::symlink, path::Path, time::Duration};

use common::{Lab, config, options, text};
use hot_reload::WatchStrategy;

/// Swaps a link as `ln -sfn` should, and as the kubelet does: by a rename.
fn swap(to: impl AsRef<Path>, link: &Path) {
    let next = link.with_file_name(".link");
    symlink(to, &next).unwrap();
    fs::rename(next, link).unwrap();
}

/// A version of a `ConfigMap`'s volume, as `AtomicWriter` of the kubelet lays it out.
fn version(volume: &Path, n: u32, name: &str) {
    let data = format!("..2026_{n}");
    fs::create_dir(volume.join(&data)).unwrap();
    fs::write(volume.join(&data).join("config.toml"), text(name)).unwrap();
    swap(&data, &volume.join("..data"));
    if n > 0 {
        fs::remove_dir_all(volume.join(format!("..2026_{}", n - 1))).unwrap();
    } else {
        symlink("..data/config.toml", volume.join("config.toml")).unwrap();
    }
}

in_every_strategy! {
    async fn twenty_swaps_of_a_config_map_in_a_row(strategy) {
        let mut lab = Lab::new(strategy, |dir| version(dir, 0, "v0")).await;
        lab.expect(config("v0")).await;
        for n in 1..=20 {
            version(&lab.root, n, &format!("v{n}"));
            lab.expect_next(n.into(), config(&format!("v{n}"))).await;
        }
    }

    async fn twenty_swaps_of_a_config_map_without_a_pause(strategy) {
        let mut lab = Lab::new(strategy, |dir| version(dir, 0, "v0")).await;
        lab.expect(config("v0")).await;
        for n in 1..=20 {
            version(&lab.root, n, &format!("v{n}"));
        }
        lab.expect(config("v20")).await;
        version(&lab.root, 21, "v21");
        lab.expect(config("v21")).await;
    }

    async fn a_swap_at_the_grandparent(strategy) {
        let mut lab = Lab::following(options(strategy), "current/etc/config.toml", |dir| {
            for release in ["one", "two", "six"] {
                fs::create_dir_all(dir.join(release).join("etc")).unwrap();
                fs::write(dir.join(release).join("etc/config.toml"), text(release)).unwrap();
            }
            symlink("one", dir.join("current")).unwrap();
        })
        .await;
        for release in ["one", "two", "six", "one", "two"] {
            swap(release, &lab.root.join("current"));
            lab.expect(config(release)).await;
        }
        fs::write(lab.root.join("two/etc/config.toml"), text("ten")).unwrap();
        lab.expect(config("ten")).await;
    }

    async fn a_link_that_is_removed_and_made_anew(strategy) {
        let mut lab = Lab::new(strategy, |dir| {
            for name in ["one", "two"] {
                fs::write(dir.join(name), text(name)).unwrap();
            }
            symlink("one", dir.join("config.toml")).unwrap();
        })
        .await;
        for name in ["one", "two", "one", "two"] {
            // As `ln -sf` does.
            fs::remove_file(&lab.path).unwrap();
            symlink(name, &lab.path).unwrap();
            lab.expect(config(name)).await;
        }
    }

    async fn a_link_through_absolute_and_relative_links(strategy) {
        let mut lab = Lab::new(strategy, |dir| {
            fs::create_dir_all(dir.join("a/b")).unwrap();
            fs::write(dir.join("a/real"), text("one")).unwrap();
            symlink("../real", dir.join("a/b/third")).unwrap();
            symlink(dir.join("a/b/third"), dir.join("second")).unwrap();
            symlink("./a/../second", dir.join("config.toml")).unwrap();
        })
        .await;
        lab.expect(config("one")).await;
        fs::write(lab.root.join("a/real"), text("two")).unwrap();
        lab.expect(config("two")).await;
        fs::write(lab.root.join("a/other"), text("six")).unwrap();
        swap("../other", &lab.root.join("a/b/third"));
        lab.expect(config("six")).await;
        swap("a/real", &lab.root.join("second"));
        lab.expect(config("two")).await;
    }

    async fn the_target_of_a_link_is_edited(strategy) {
        let mut lab = Lab::new(strategy, |dir| {
            fs::create_dir(dir.join("elsewhere")).unwrap();
            fs::write(dir.join("elsewhere/real"), text("one")).unwrap();
            symlink("elsewhere/real", dir.join("config.toml")).unwrap();
        })
        .await;
        lab.expect(config("one")).await;
        let real = lab.root.join("elsewhere/real");
        fs::write(&real, text("two")).unwrap();
        lab.expect(config("two")).await;
        fs::write(lab.root.join("next"), text("six")).unwrap();
        fs::rename(lab.root.join("next"), &real).unwrap();
        lab.expect(config("six")).await;
        fs::write(&real, text("ten")).unwrap();
        lab.expect(config("ten")).await;
    }

    async fn a_link_becomes_a_file_and_a_link_again(strategy) {
        let mut lab = Lab::new(strategy, |dir| {
            fs::write(dir.join("real"), text("one")).unwrap();
            symlink("real", dir.join("config.toml")).unwrap();
        })
        .await;
        lab.expect(config("one")).await;
        lab.replace(text("two"));
        lab.expect(config("two")).await;
        lab.write(text("six"));
        lab.expect(config("six")).await;
        swap("real", &lab.path);
        lab.expect(config("one")).await;
        fs::write(lab.root.join("real"), text("ten")).unwrap();
        lab.expect(config("ten")).await;
    }

    async fn a_dangling_link_and_back(strategy) {
        let mut lab = Lab::new(strategy, |dir| {
            fs::write(dir.join("real"), text("one")).unwrap();
            symlink("real", dir.join("config.toml")).unwrap();
        })
        .await;
        lab.expect(config("one")).await;
        for name in ["two", "six"] {
            swap("nowhere/at/all", &lab.path);
            let why = lab.expect_failure().await;
            assert!(why.contains("not there"), "{why}");
            assert!(lab.rx.get().is_some());
            fs::create_dir_all(lab.root.join("nowhere/at")).unwrap();
            fs::write(lab.root.join("nowhere/at/all"), text(name)).unwrap();
            lab.expect(config(name)).await;
            fs::remove_dir_all(lab.root.join("nowhere")).unwrap();
            lab.expect_failure().await;
            swap("real", &lab.path);
            lab.expect(config("one")).await;
            lab.expect_fresh().await;
        }
    }

    async fn a_link_to_itself_and_back(strategy) {
        let mut lab = Lab::with_one(strategy).await;
        swap("config.toml", &lab.path);
        let why = lab.expect_failure().await;
        assert!(why.contains("config.toml"), "{why}");
        lab.replace(text("two"));
        lab.expect(config("two")).await;
    }

    async fn an_edit_through_another_hard_link(strategy) {
        let mut lab = Lab::with_one(strategy).await;
        let other = lab.root.join("other.toml");
        fs::hard_link(&lab.path, &other).unwrap();
        fs::write(&other, text("two")).unwrap();
        lab.expect(config("two")).await;
        // From here on they are two files.
        lab.replace(text("six"));
        lab.expect(config("six")).await;
        fs::write(&other, text("none of ours")).unwrap();
        lab.expect_silence(Duration::from_millis(500)).await;
        fs::remove_file(&lab.path).unwrap();
        fs::hard_link(&other, &lab.path).unwrap();
        lab.expect(config("none of ours")).await;
        fs::write(&other, text("ten")).unwrap();
        lab.expect(config("ten")).await;
    }
    async fn an_edit_through_another_hard_link_of_a_file_just_renamed_there(strategy) {
        let mut lab = Lab::with_one(strategy).await;
        lab.replace(text("two"));
        lab.expect(config("two")).await;
        let other = lab.root.join("other.toml");
        fs::hard_link(&lab.path, &other).unwrap();
        fs::write(&other, text("six")).unwrap();
        lab.expect(config("six")).await;
    }
}

/// The rest of a file that was renamed there ends while the pause after a failure is long.
#[test]
fn a_bad_file_is_mended_through_another_hard_link() {
    common::block_on(async {
        let options = options(WatchStrategy::Realtime)
            .backoff(Duration::from_secs(3600), Duration::from_secs(3600));
        let put = |dir: &Path| fs::write(dir.join("config.toml"), text("one")).unwrap();
        let mut lab = Lab::following(options, "config.toml", put).await;
        lab.expect(config("one")).await;
        lab.replace("broken = = =");
        lab.expect_failure().await;
        // Longer than the rest.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let other = lab.root.join("other.toml");
        fs::hard_link(&lab.path, &other).unwrap();
        fs::write(&other, text("mended")).unwrap();
        lab.expect(config("mended")).await;
    });
}

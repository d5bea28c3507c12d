//! Values of several services that are seen together or not at all.
#![cfg(feature = "toml")]

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use common::{Config, PATIENCE, config, options, text};
use hot_reload::{
    Group, Health, ReloaderReceiver, ReloaderService, Snapshot, Status, TomlFile, WatchStrategy,
};
use tempfile::TempDir;
use tokio::{task::JoinHandle, time::timeout};

type Pair = (Snapshot<Config>, Snapshot<Config>);

struct Lab {
    both: ReloaderReceiver<Pair>,
    tasks: Vec<JoinHandle<()>>,
    left: PathBuf,
    right: PathBuf,
    _dir: TempDir,
}

fn follow(
    path: &Path,
    strategy: WatchStrategy,
) -> (ReloaderReceiver<Config, String>, JoinHandle<()>) {
    let file = TomlFile::from_path(path).unwrap();
    let (service, rx) = ReloaderService::from_reloader(file, options(strategy));
    let task = tokio::spawn(async move { service.start_with_realtime().await.unwrap() });
    (rx, task)
}

impl Lab {
    async fn new(strategy: WatchStrategy) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let [left, right] = ["left", "right"].map(|name| dir.path().join(name));
        for path in [&left, &right] {
            fs::write(path, text("one")).unwrap();
        }
        let (one, first) = follow(&left, strategy);
        let (other, second) = follow(&right, strategy);
        let (group, both) = Group::of((one, other));
        let tasks = vec![first, second, tokio::spawn(group.run())];
        let mut lab = Self { both, tasks, left, right, _dir: dir };
        lab.expect("one", "one").await;
        lab
    }

    async fn expect(&mut self, left: &str, right: &str) {
        let want = |pair: &Pair| *pair.0 == config(left) && *pair.1 == config(right);
        let arrived = timeout(PATIENCE, self.both.wait_for(want)).await;
        assert!(arrived.is_ok(), "{:?} {:?}", self.both.get(), self.both.status());
    }

    async fn status(&self, is_it: impl FnMut(&Status) -> bool) -> Status {
        let status = timeout(PATIENCE, self.both.watch_status().wait_for(is_it)).await;
        status.unwrap_or_else(|_| panic!("{:?}", self.both.status()))
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

with_events! {
    async fn edits_made_together_are_seen_together(strategy) {
        let mut lab = Lab::new(strategy).await;
        for n in 0..20 {
            let name = n.to_string();
            fs::write(&lab.left, text(&name)).unwrap();
            tokio::time::sleep(Duration::from_millis(n % 10)).await;
            fs::write(&lab.right, text(&name)).unwrap();
            timeout(PATIENCE, lab.both.changed()).await.unwrap().unwrap();
            let pair = lab.both.snapshot().unwrap();
            assert_eq!((&*pair.0, &*pair.1), (&config(&name), &config(&name)));
        }
        assert_eq!(lab.both.borrow().generation(), 21);
    }

    async fn a_bad_half_holds_the_other_back(strategy) {
        let mut lab = Lab::new(strategy).await;
        fs::write(&lab.right, "name = ").unwrap();
        let status = lab.status(|status| status.health == Health::Retrying).await;
        assert!(status.unapplied_since.is_some() && status.is_ready());
        assert!(status.last_error.unwrap().contains("right"));
        fs::write(&lab.left, text("two")).unwrap();
        let changed = timeout(Duration::from_millis(500), lab.both.changed()).await;
        assert!(changed.is_err(), "{:?}", lab.both.get());
        fs::write(&lab.right, text("two")).unwrap();
        lab.expect("two", "two").await;
        assert_eq!(lab.both.borrow().generation(), 2);
        lab.status(|status| status.health == Health::Fresh).await;
    }
}

in_every_strategy! {
    async fn an_edit_of_one_is_enough(strategy) {
        let mut lab = Lab::new(strategy).await;
        fs::write(&lab.left, text("two")).unwrap();
        lab.expect("two", "one").await;
        fs::write(&lab.right, text("six")).unwrap();
        lab.expect("two", "six").await;
    }
}

#[tokio::test]
async fn an_edit_that_is_taken_back_publishes_nothing() {
    let mut lab = Lab::new(WatchStrategy::Realtime).await;
    fs::write(&lab.left, text("two")).unwrap();
    fs::write(&lab.left, text("one")).unwrap();
    let changed = timeout(Duration::from_millis(300), lab.both.changed()).await;
    assert!(changed.is_err(), "{:?}", lab.both.get());
}

#[tokio::test]
async fn a_storm_of_one_does_not_starve_the_readers_of_both() {
    let mut lab = Lab::new(WatchStrategy::Realtime).await;
    let left = lab.left.clone();
    let storm = tokio::spawn(async move {
        for n in 0.. {
            fs::write(&left, text(&n.to_string())).unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    for _ in 0..2 {
        timeout(PATIENCE, lab.both.changed()).await.unwrap().unwrap();
    }
    storm.abort();
    let _ended = storm.await;
    fs::write(&lab.left, text("rest")).unwrap();
    lab.expect("rest", "one").await;
}

#[tokio::test]
async fn a_group_ends_with_its_last_receiver() {
    let dir = tempfile::tempdir().unwrap();
    let (one, first) = follow(&dir.path().join("one"), WatchStrategy::Realtime);
    let (other, second) = follow(&dir.path().join("other"), WatchStrategy::Realtime);
    let (group, both) = Group::of((one, other));
    let group = tokio::spawn(group.run());
    drop(both);
    // And the services of its members with it, since nobody else receives.
    for task in [group, first, second] {
        timeout(PATIENCE, task).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_group_ends_with_the_service_of_a_member() {
    let mut lab = Lab::new(WatchStrategy::Realtime).await;
    lab.tasks[0].abort();
    let ended = timeout(PATIENCE, async { while lab.both.changed().await.is_ok() {} });
    ended.await.unwrap();
    assert_eq!(lab.both.status().health, Health::Ended);
    assert_eq!(*lab.both.snapshot().unwrap().1, config("one"));
}

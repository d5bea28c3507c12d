//! Values of several services that are seen together or not at all.
#![cfg(feature = "toml")]

mod common;

use std::{fs, sync::Arc, thread, time::Duration};

use common::{
    Config, Lab as Member, PATIENCE, config,
    source::{Held, Store},
    text, within,
};
use hot_reload::{
    Group, Health, ReloaderOptions, ReloaderReceiver, ReloaderService, Snapshot, WatchEvent,
};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

const MILLISECOND: Duration = Duration::from_millis(1);
/// How long all members have to be quiet.
const QUIET: Duration = Duration::from_millis(50);
/// How long a storm of changes may hold a group up.
const CEILING: Duration = Duration::from_secs(3);

/// A group of two sources in this process, which has published what they hold.
struct Lab {
    both: ReloaderReceiver<(Snapshot<u32>, Snapshot<u32>)>,
    left: Store<u32>,
    right: Store<u32>,
    tasks: Vec<JoinHandle<()>>,
}

impl Lab {
    async fn new() -> Self {
        let (left, one, first) = follow(1);
        let (right, other, second) = follow(1);
        let (group, both) = Group::of((one, other));
        let tasks = vec![first, second, tokio::spawn(group.run())];
        let mut lab = Self { both, left, right, tasks };
        within(lab.both.changed()).await.unwrap();
        assert_eq!(lab.pair(), (1, 1));
        lab
    }

    fn pair(&self) -> (u32, u32) {
        let pair = self.both.snapshot().unwrap();
        (*pair.0, *pair.1)
    }

    /// Checks that `pair` is published after exactly this long, and nothing before.
    async fn expect_after(&mut self, wait: Duration, pair: (u32, u32)) {
        let begun = Instant::now();
        let before = timeout(wait.saturating_sub(MILLISECOND), self.both.changed()).await;
        assert!(before.is_err(), "{:?} after {:?}", self.pair(), begun.elapsed());
        within(self.both.changed()).await.unwrap();
        assert_eq!((self.pair(), begun.elapsed()), (pair, wait));
    }
}

fn follow(value: u32) -> (Store<u32>, ReloaderReceiver<u32>, JoinHandle<()>) {
    let source = Store::of(Held::Value(value));
    let (service, rx) = ReloaderService::from_reloader(source.clone(), ReloaderOptions::realtime());
    let task = tokio::spawn(async move { service.start_with_realtime().await.unwrap() });
    (source, rx, task)
}

/// Has a source hold another value, and say so.
async fn push(source: &Store<u32>, value: u32) {
    source.holds(Held::Value(value));
    within(source.push(WatchEvent::Changed(value))).await;
}

#[tokio::test(start_paused = true)]
async fn edits_within_the_quiet_period_are_seen_together() {
    let mut lab = Lab::new().await;
    push(&lab.left, 2).await;
    sleep(QUIET.saturating_sub(MILLISECOND)).await;
    push(&lab.right, 2).await;
    lab.expect_after(QUIET, (2, 2)).await;
    push(&lab.right, 3).await;
    push(&lab.left, 3).await;
    lab.expect_after(QUIET, (3, 3)).await;
    assert_eq!(lab.both.borrow().generation(), 3);
}

/// Two parts of one value, of which the second is compared for a while before it is put in place: should the
/// members have been quiet for long enough by then, the new one of the first was published with the old one.
#[tokio::test(flavor = "multi_thread")]
async fn parts_of_one_value_are_seen_together() {
    const COMPARED: Duration = Duration::from_millis(10);

    #[derive(Debug, Clone)]
    struct Slow(u32);

    impl PartialEq for Slow {
        fn eq(&self, other: &Self) -> bool {
            thread::sleep(COMPARED);
            self.0 == other.0
        }
    }

    impl Eq for Slow {}

    #[derive(Debug, Clone, PartialEq, Eq)]
    struct Whole(u32, Slow);

    let source = Store::of(Held::Value(Whole(1, Slow(1))));
    let (service, rx) = ReloaderService::from_reloader(source.clone(), ReloaderOptions::realtime());
    let _task = tokio::spawn(async move { service.start_with_realtime().await });
    let (group, mut both) = Group::of((rx.project(|whole| &whole.0), rx.project(|whole| &whole.1)));
    let _group = tokio::spawn(group.run());
    within(both.changed()).await.unwrap();
    for n in 2..30 {
        // In step with the quiet period, so that its end falls within the comparison.
        within(source.push(WatchEvent::Changed(Whole(n, Slow(n))))).await;
        sleep(QUIET + COMPARED / 2 * (n % 4)).await;
        let pair = both.snapshot().unwrap();
        assert_eq!(*pair.0, pair.1.0, "{n}");
    }
}

#[tokio::test(start_paused = true)]
async fn edits_further_apart_are_seen_one_after_the_other() {
    let mut lab = Lab::new().await;
    push(&lab.left, 2).await;
    lab.expect_after(QUIET, (2, 1)).await;
    sleep(MILLISECOND).await;
    push(&lab.right, 2).await;
    lab.expect_after(QUIET, (2, 2)).await;
}

#[tokio::test(start_paused = true)]
async fn an_edit_that_is_taken_back_publishes_nothing() {
    let mut lab = Lab::new().await;
    push(&lab.left, 2).await;
    sleep(QUIET.saturating_sub(MILLISECOND)).await;
    push(&lab.left, 1).await;
    assert!(timeout(2 * CEILING, lab.both.changed()).await.is_err(), "{:?}", lab.pair());
}

/// Whatever is the newest by then is published.
#[tokio::test(start_paused = true)]
async fn a_storm_of_one_does_not_starve_the_readers_of_both() {
    let mut lab = Lab::new().await;
    let left = lab.left.clone();
    let begun = Instant::now();
    let storm = tokio::spawn(async move {
        for n in 2.. {
            push(&left, n).await;
            sleep(QUIET / 2).await;
        }
    });
    let before = timeout(CEILING.saturating_sub(MILLISECOND), lab.both.changed()).await;
    assert!(before.is_err(), "{:?} after {:?}", lab.pair(), begun.elapsed());
    within(lab.both.changed()).await.unwrap();
    assert_eq!(begun.elapsed(), CEILING);
    within(lab.both.changed()).await.unwrap();
    assert!(begun.elapsed() >= 2 * CEILING, "{:?}", begun.elapsed());
    storm.abort();
    let _ended = within(storm).await;
    push(&lab.left, 0).await;
    within(lab.both.wait_for(|both| *both.0 == 0)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_bad_half_holds_the_other_back() {
    let mut lab = Lab::new().await;
    lab.right.holds(Held::Nothing);
    within(lab.right.push(WatchEvent::Error("it is bad".into()))).await;
    let mut status = lab.both.watch_status();
    let bad = within(status.wait_for(|status| status.health == Health::Retrying)).await.unwrap();
    assert!(bad.unapplied_since.is_some() && bad.is_ready());
    push(&lab.left, 2).await;
    let changed = timeout(100 * CEILING, lab.both.changed()).await;
    assert!(changed.is_err(), "{:?}", lab.pair());
    push(&lab.right, 2).await;
    let mended = within(lab.both.changed()).await;
    assert!(mended.is_ok() && lab.pair() == (2, 2), "{:?}", lab.pair());
    within(status.wait_for(|status| status.health == Health::Fresh)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_group_ends_with_its_last_receiver() {
    let Lab { both, tasks, .. } = Lab::new().await;
    drop(both);
    // And the services of its members with it, since nobody else receives.
    for task in tasks {
        within(task).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_ends_with_the_service_of_a_member() {
    let mut lab = Lab::new().await;
    lab.tasks[0].abort();
    within(async { while lab.both.changed().await.is_ok() {} }).await;
    assert_eq!((lab.both.status().health, lab.pair()), (Health::Ended, (1, 1)));
}

/// What a member published less than the quiet period before its end was never seen.
#[tokio::test(start_paused = true)]
async fn a_group_ends_with_the_last_values_of_its_members() {
    for bad in [false, true] {
        let mut lab = Lab::new().await;
        if bad {
            lab.right.holds(Held::Nothing);
            within(lab.right.push(WatchEvent::Error("it is bad".into()))).await;
            sleep(CEILING).await;
        }
        push(&lab.left, 2).await;
        if !bad {
            push(&lab.right, 3).await;
        }
        sleep(QUIET / 2).await;
        lab.tasks[0].abort();
        within(async { while lab.both.changed().await.is_ok() {} }).await;
        // Where none is held up, that is.
        assert_eq!(lab.pair(), if bad { (1, 1) } else { (2, 3) });
    }
}

/// It was once told of the end without a pause.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_group_rests_beside_a_member_that_was_shut_down() {
    let source = Store::of(Held::Value(1));
    let (service, one) = ReloaderService::from_reloader(source, ReloaderOptions::realtime());
    let service = Arc::new(service);
    let running = Arc::clone(&service);
    tokio::spawn(async move { running.start_with_realtime().await.unwrap() });
    let (right, other, _running) = follow(1);
    let (group, mut both) = Group::of((one, other));
    tokio::spawn(group.run());
    within(both.changed()).await.unwrap();
    within(service.handle().shutdown()).await;
    within(both.watch_status().wait_for(|status| status.health == Health::Ended)).await.unwrap();
    let before = common::processor_time();
    sleep(Duration::from_millis(500)).await;
    let spent = common::processor_time().saturating_sub(before);
    assert!(spent < Duration::from_millis(100), "{spent:?}");
    push(&right, 2).await;
    within(both.wait_for(|both| (*both.0, *both.1) == (1, 2))).await.unwrap();
}

in_every_strategy! {
    async fn files_are_followed_together(strategy) {
        let left = Member::with_one(strategy).await;
        let mut right = Member::with_one(strategy).await;
        let (group, mut both) = Group::of((left.rx.clone(), right.rx.clone()));
        let group = tokio::spawn(group.run());
        let mut expect = async |one: &str, other: &str| {
            let want = (config(one), config(other));
            let is_it = |both: &(Snapshot<Config>, Snapshot<Config>)| {
                (&*both.0, &*both.1) == (&want.0, &want.1)
            };
            let arrived = timeout(PATIENCE, both.wait_for(is_it)).await;
            assert!(arrived.is_ok(), "{:?} {:?}", both.get(), both.status());
            arrived.unwrap().unwrap().generation()
        };
        expect("one", "one").await;
        left.write(text("two"));
        let before = expect("two", "one").await;
        // What one of them holds is not seen while the other is bad.
        right.write("name = ");
        assert!(right.expect_failure().await.contains("config.toml"));
        fs::write(&left.path, text("six")).unwrap();
        within(left.rx.clone().wait_for(|value| *value == config("six"))).await.unwrap();
        right.write(text("six"));
        assert_eq!(expect("six", "six").await, before + 1);
        group.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn edits_made_together_after_a_bad_spell_are_seen_together() {
    let mut lab = Lab::new().await;
    lab.right.holds(Held::Nothing);
    within(lab.right.push(WatchEvent::Error("it is bad".into()))).await;
    push(&lab.left, 2).await;
    assert!(timeout(2 * CEILING, lab.both.changed()).await.is_err());
    push(&lab.right, 3).await;
    sleep(QUIET.saturating_sub(MILLISECOND)).await;
    push(&lab.left, 3).await;
    lab.expect_after(QUIET, (3, 3)).await;
}

//! Values of the past.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use hot_reload::{Health, ReloaderHandle, ReloaderService, TomlFile, Triggered, WatchStrategy};
use tracing::{
    Event, Metadata, Subscriber,
    span::{Attributes, Id, Record},
};

use crate::{
    Idle, Lab,
    common::{Config, PATIENCE, config, options, text, within},
    never_by_itself,
};

fn is_refused(answer: &Triggered) -> bool {
    matches!(answer, Triggered::Failed(why) if why.contains("pinned"))
}

#[tokio::test]
async fn a_value_of_the_history_is_pinned_until_told_otherwise() {
    let mut lab = Lab::new(WatchStrategy::Hybrid, |service| service.history(3)).await;
    for name in ["two", "six", "ten"] {
        lab.write(name);
        lab.expect(name).await;
    }
    let kept: Vec<_> = lab.handle.history().iter().map(|past| past.generation).collect();
    assert_eq!(kept, [2, 3, 4]);
    match within(lab.handle.rollback(1)).await {
        Triggered::Failed(why) => assert!(why.contains("generation 1 is not kept"), "{why}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(lab.rx.status().pinned, None);
    assert_eq!(within(lab.handle.rollback(2)).await, Triggered::Published(5));
    assert_eq!(lab.rx.get(), Some(config("two")));
    let status = lab.status(|status| status.is_paused).await;
    assert_eq!((status.pinned, status.health), (Some(2), Health::RolledBack));

    lab.write("new");
    lab.seen_elsewhere("new").await;
    for _ in 0..5 {
        assert!(is_refused(&within(lab.handle.trigger()).await));
    }
    assert_eq!(lab.rx.get(), Some(config("two")));

    lab.handle.resume();
    lab.expect("new").await;
    assert_eq!(lab.generation(), 6);
    let status = lab.status(|status| status.health == Health::Fresh).await;
    assert_eq!((status.pinned, status.is_paused), (None, false));
}

/// As it may be after an edit that turned out wrong, and that nobody has mended.
#[tokio::test]
async fn resuming_takes_what_the_source_has_held_all_the_time() {
    let mut lab = Lab::new(WatchStrategy::Realtime, |service| service.history(2)).await;
    lab.write("two");
    lab.expect("two").await;
    assert_eq!(within(lab.handle.rollback(1)).await, Triggered::Published(3));
    assert_eq!(lab.rx.get(), Some(config("one")));
    lab.handle.resume();
    lab.expect("two").await;
}

/// The service was once paused then, without a word of what it was pinned to.
#[tokio::test]
async fn a_rollback_at_the_time_of_a_resume_holds() {
    let mut lab = Lab::new(WatchStrategy::Realtime, |service| service.history(3)).await;
    lab.write("two");
    lab.expect("two").await;
    lab.handle.pause();
    lab.status(|status| status.is_paused).await;
    let resume = async { lab.handle.resume() };
    let (rolled_back, ()) = within(async { tokio::join!(lab.handle.rollback(1), resume) }).await;
    assert_eq!(rolled_back, Triggered::Published(3));
    assert!(is_refused(&within(lab.handle.trigger()).await));
    let status = lab.rx.status();
    assert_eq!((status.pinned, status.is_paused), (Some(1), true));
}

#[tokio::test]
async fn a_rollback_passes_the_gate() {
    let is_closed = Arc::new(AtomicBool::new(false));
    let closed = Arc::clone(&is_closed);
    let mut lab = Lab::new(WatchStrategy::Realtime, |service| {
        service.history(2).validate(move |_, _| {
            if closed.load(Ordering::SeqCst) { Err("closed") } else { Ok(()) }
        })
    })
    .await;
    lab.write("two");
    lab.expect("two").await;
    is_closed.store(true, Ordering::SeqCst);
    let failed = Triggered::Failed("refused by validation: closed".into());
    assert_eq!(within(lab.handle.rollback(1)).await, failed);
    assert_eq!((lab.rx.get(), lab.rx.status().pinned), (Some(config("two")), None));
}

#[tokio::test]
async fn the_history_is_bounded_in_bytes() {
    let mut lab = Lab::new(WatchStrategy::Realtime, |service| {
        service.history(100).history_bytes(10, |value| value.name.len())
    })
    .await;
    for name in ["two", "six", "ten", "seven"] {
        lab.write(name);
        lab.expect(name).await;
    }
    let kept =
        |lab: &Lab| -> Vec<_> { lab.handle.history().iter().map(|past| past.generation).collect() };
    assert_eq!(kept(&lab), [4, 5]);
    // One that is too large by itself is not kept, and serves all the same.
    lab.write("twelve or more");
    lab.expect("twelve or more").await;
    assert_eq!(kept(&lab), [0_u64; 0]);
}

#[tokio::test]
async fn the_status_counts_the_generations_that_are_alive() {
    let mut lab = Lab::new(WatchStrategy::Realtime, |service| service).await;
    assert_eq!(lab.rx.status().alive, 1);
    let held = lab.rx.snapshot();
    for name in ["two", "six", "ten"] {
        lab.write(name);
        lab.expect(name).await;
    }
    assert_eq!(lab.rx.status().alive, 2);
    drop(held);
    assert_eq!(lab.rx.status().alive, 1);
}

#[tokio::test]
async fn a_value_stays_pinned_when_the_service_is_started_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    fs::write(&path, text("one")).unwrap();
    let file = TomlFile::<Config>::from_path(&path).unwrap();
    let (service, mut rx) = ReloaderService::from_reloader(file, options(WatchStrategy::Hybrid));
    let service = Arc::new(service.history(3));
    let handle = service.handle();
    let start = || {
        let service = Arc::clone(&service);
        tokio::spawn(async move { service.start_with_realtime().await.unwrap() })
    };
    let first = start();
    within(rx.changed()).await.unwrap();
    fs::write(&path, text("two")).unwrap();
    within(rx.wait_for_generation(2)).await.unwrap();
    assert_eq!(within(handle.rollback(1)).await, Triggered::Published(3));
    first.abort();
    let _stopped = first.await;
    let second = start();
    let mut status = rx.watch_status();
    within(status.wait_for(|status| status.health == Health::RolledBack)).await.unwrap();
    for _ in 0..5 {
        assert!(is_refused(&within(handle.trigger()).await));
    }
    let status = rx.status();
    assert_eq!((rx.get(), status.pinned), (Some(config("one")), Some(1)));
    assert_eq!((status.health, status.is_paused), (Health::RolledBack, true));
    handle.resume();
    let resumed = within(rx.wait_for(|value| *value == config("two"))).await.unwrap();
    assert_eq!(resumed.generation(), 4);
    second.abort();
}

#[tokio::test]
async fn resuming_right_after_a_roll_back_takes_what_the_source_holds() {
    let mut lab = Lab::new(WatchStrategy::Realtime, |service| service.history(100)).await;
    lab.write("two");
    lab.expect("two").await;
    for _ in 0..30 {
        assert!(matches!(within(lab.handle.rollback(1)).await, Triggered::Published(_)));
        lab.handle.resume();
        lab.expect("two").await;
        lab.status(|status| status.pinned.is_none() && !status.is_paused).await;
    }
}

/// What is published anew takes no second place.
#[tokio::test]
async fn a_history_holds_each_value_once_and_says_which_are_bad() {
    let mut lab = Lab::new(WatchStrategy::Realtime, |service| {
        service.history(3).probation(PATIENCE, |value| async move {
            if value.name == "bad" { Err("it answers 503") } else { Ok(()) }
        })
    })
    .await;
    lab.write("two");
    lab.expect("two").await;
    lab.status(|status| status.probation_until.is_none()).await;
    lab.write("bad");
    lab.until(4).await;
    let told = |lab: &Lab| -> Vec<_> {
        let history = lab.handle.history();
        history.iter().map(|past| (past.generation, past.of, past.is_bad)).collect()
    };
    assert_eq!(told(&lab), [(1, None, false), (3, None, true), (4, Some(2), false)]);
    assert_eq!(within(lab.handle.rollback(1)).await, Triggered::Published(5));
    assert_eq!(told(&lab), [(3, None, true), (4, Some(2), false), (5, Some(1), false)]);
    // By the number that it had first.
    assert_eq!(within(lab.handle.rollback(2)).await, Triggered::Published(6));
    assert_eq!(within(lab.handle.rollback(1)).await, Triggered::Published(7));
    assert_eq!(lab.rx.get(), Some(config("one")));
    assert_eq!(told(&lab), [(3, None, true), (6, Some(2), false), (7, Some(1), false)]);
}

#[tokio::test]
async fn a_history_bounded_in_bytes_alone_keeps_what_there_is_room_for() {
    let mut lab = Lab::new(WatchStrategy::Realtime, |service| {
        service.history_bytes(9, |value| value.name.len())
    })
    .await;
    for name in ["two", "six", "ten"] {
        lab.write(name);
        lab.expect(name).await;
    }
    let kept: Vec<_> = lab.handle.history().iter().map(|past| past.generation).collect();
    assert_eq!(kept, [2, 3, 4]);
}

/// Resumes a service as soon as its log says that it was rolled back.
struct ResumesAtOnce(ReloaderHandle);

impl Subscriber for ResumesAtOnce {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "hot_reload::rolled_back"
    }

    fn new_span(&self, _span: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _span: &Id, _values: &Record<'_>) {}

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn event(&self, _event: &Event<'_>) {
        self.0.resume();
    }

    fn enter(&self, _span: &Id) {}

    fn exit(&self, _span: &Id) {}
}

/// The service was pinned only after it had said so.
#[tokio::test(start_paused = true)]
async fn resuming_as_soon_as_a_value_is_seen_to_be_pinned_is_not_lost() {
    let mut idle = Idle::new(never_by_itself(), |service| service.history(5)).await;
    assert_eq!(idle.load(2).await, Triggered::Published(2));
    let _log = tracing::subscriber::set_default(ResumesAtOnce(idle.handle.clone()));
    assert_eq!(within(idle.handle.rollback(1)).await, Triggered::Published(3));
    within(idle.rx.wait_for(|value| *value == 2)).await.unwrap();
    let mut status = idle.rx.watch_status();
    let status = within(status.wait_for(|status| !status.is_paused)).await.unwrap();
    assert_eq!((status.pinned, idle.handle.is_paused()), (None, false));
}

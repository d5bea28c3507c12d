//! Values that turn out bad after they were published.

use std::{
    future::pending,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use hot_reload::{
    Group, Health, Reason, ReloaderHandle, ReloaderOptions, ReloaderService, Triggered,
    WatchStrategy,
};
use tokio::{
    task::yield_now,
    time::{Instant, sleep, timeout},
};

use crate::{
    Idle, Lab, NEVER,
    common::{
        PATIENCE, config,
        source::{Held, Store},
        within,
    },
    in_every_strategy, never_by_itself,
};

const MILLISECOND: Duration = Duration::from_millis(1);
const WINDOW: Duration = Duration::from_secs(10);

/// A check of a value that is good unless it says otherwise. A good one passes before the service
/// looks at anything again; a bad one serves for a moment.
async fn is_well(name: &str) -> Result<(), &'static str> {
    if name == "bad" {
        yield_now().await;
        return Err("it answers 503");
    }
    Ok(())
}

in_every_strategy! {
    async fn a_value_that_fails_its_probation_gives_way_to_the_last_good_one(strategy) {
        let checks = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&checks);
        let mut lab = Lab::new(strategy, |service| {
            service.probation(PATIENCE, move |value| {
                counted.fetch_add(1, Ordering::SeqCst);
                async move { is_well(&value.name).await }
            })
        })
        .await;
        lab.write("bad");
        // The second was the bad one.
        lab.until(3).await;
        let status = lab.rx.status();
        assert_eq!((lab.rx.get(), lab.generation()), (Some(config("one")), 3));
        assert_eq!((status.health, status.generation), (Health::RolledBack, 3));
        assert_eq!(status.refused_by.as_deref(), Some("probation"));
        let why = "refused by probation: it answers 503";
        assert_eq!(status.last_error.as_deref(), Some(why));
        assert!(status.is_ready());
        assert_eq!(lab.rx.snapshot().unwrap().reason(), Reason::Rollback);

        // It is not tried again while the source holds it, however often that is looked at.
        lab.write("bad");
        for _ in 0..5 {
            let failed = Triggered::Failed(why.into());
            assert_eq!(within(lab.handle.trigger()).await, failed);
        }
        assert_eq!((lab.generation(), checks.load(Ordering::SeqCst)), (3, 2));
        assert_eq!(lab.rx.status().health, Health::RolledBack);

        // Back to what serves: all is well.
        lab.write("one");
        lab.status(|status| status.health == Health::Fresh).await;
        assert_eq!(lab.generation(), 3);
        // And from then on it is as good as any other.
        lab.write("bad");
        lab.until(5).await;
        assert_eq!((lab.rx.get(), lab.generation()), (Some(config("one")), 5));
        lab.write("two");
        lab.expect("two").await;
        lab.status(|status| status.health == Health::Fresh).await;
        assert_eq!(lab.generation(), 6);
    }
}

#[tokio::test]
async fn a_first_value_that_fails_its_probation_stays() {
    let lab = Lab::new(WatchStrategy::Realtime, |service| {
        service.probation(PATIENCE, |_| async { Err("nothing works") })
    })
    .await;
    lab.refused_by("probation").await;
    // Looking again makes it no better.
    assert!(matches!(within(lab.handle.trigger()).await, Triggered::Failed(_)));
    let status = lab.refused_by("probation").await;
    assert_eq!((status.generation, lab.rx.get()), (1, Some(config("one"))));
}

#[tokio::test(start_paused = true)]
async fn a_value_may_be_on_probation_for_as_good_as_ever() {
    let idle = Idle::new(never_by_itself(), |service| {
        service.probation(Duration::MAX, |value| async move {
            if *value == 1 {
                return Ok(());
            }
            std::future::pending::<Result<(), String>>().await
        })
    })
    .await;
    assert_eq!(idle.load(2).await, Triggered::Published(2));
    assert!(idle.rx.status().probation_until.is_some());
}

/// One millisecond either side of the end of its window.
#[tokio::test(start_paused = true)]
async fn a_health_check_that_is_not_over_in_time_has_passed() {
    for (takes, is_in_time) in
        [(WINDOW.saturating_sub(MILLISECOND), true), (WINDOW + MILLISECOND, false)]
    {
        let mut idle = Idle::new(never_by_itself(), |service| {
            service.probation(WINDOW, move |value| async move {
                if *value == 1 {
                    std::future::pending::<()>().await;
                }
                sleep(takes).await;
                Err("it answers 503")
            })
        })
        .await;
        sleep(WINDOW + MILLISECOND).await;
        let begun = Instant::now();
        assert_eq!(idle.load(2).await, Triggered::Published(2));
        if is_in_time {
            within(idle.rx.wait_for_generation(3)).await.unwrap();
            assert_eq!((begun.elapsed(), idle.rx.get()), (takes, Some(1)));
        } else {
            sleep(NEVER).await;
            assert_eq!((idle.rx.borrow().generation(), idle.rx.get()), (2, Some(2)));
        }
    }
}

/// A good value that has not passed yet is none to go back to.
#[tokio::test(start_paused = true)]
async fn a_value_has_to_pass_before_it_is_gone_back_to() {
    for (passes_after, goes_back_to) in [(9, 3), (11, 1)] {
        let mut idle = Idle::new(never_by_itself(), move |service| {
            service.probation(NEVER, move |value| async move {
                match *value {
                    1 => return Ok(()),
                    3 => sleep(passes_after * MILLISECOND).await,
                    _ => return Err("it answers 503"),
                }
                Ok(())
            })
        })
        .await;
        assert_eq!(idle.load(3).await, Triggered::Published(2));
        sleep(10 * MILLISECOND).await;
        assert_eq!(idle.load(4).await, Triggered::Published(3));
        within(idle.rx.wait_for_generation(4)).await.unwrap();
        assert_eq!(idle.rx.get(), Some(goes_back_to));
    }
}

#[tokio::test(start_paused = true)]
async fn a_roll_back_that_is_refused_is_tried_again() {
    let refusals = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&refusals);
    let mut lab = Idle::new(never_by_itself(), |service| {
        service
            .probation(WINDOW, |value| async move {
                if *value == 2 { Err("it answers 503") } else { Ok(()) }
            })
            .prepare("listener", move |candidate| {
                let is_back = candidate.current.is_some_and(|current| *current == 2);
                let is_taken = is_back && counted.fetch_add(1, Ordering::SeqCst) < 3;
                let outcome = if is_taken { Err("the port is not free yet") } else { Ok(|| {}) };
                async move { outcome }
            })
    })
    .await;
    assert_eq!(lab.load(2).await, Triggered::Published(2));
    timeout(10 * NEVER, lab.rx.wait_for_generation(3)).await.unwrap().unwrap();
    assert_eq!((lab.rx.get(), refusals.load(Ordering::SeqCst)), (Some(1), 4));
    assert_eq!(lab.rx.status().health, Health::RolledBack);
}

#[tokio::test(start_paused = true)]
async fn a_group_follows_a_member_that_takes_a_value_back() {
    let member = || {
        Idle::new(never_by_itself(), |service| {
            service.probation(WINDOW, |value| async move {
                if *value == 2 {
                    sleep(WINDOW / 2).await;
                    return Err("it answers 503");
                }
                Ok(())
            })
        })
    };
    let (one, other) = (member().await, member().await);
    let (group, mut both) = Group::of((one.rx.clone(), other.rx.clone()));
    let group = tokio::spawn(group.run());
    assert_eq!(one.load(2).await, Triggered::Published(2));
    for want in [2, 1] {
        let seen = within(both.wait_for(|both| *both.0 == want)).await;
        assert!(seen.is_ok(), "{want}: {:?}", both.status());
    }
    assert_eq!(other.load(3).await, Triggered::Published(2));
    within(both.wait_for(|both| *both.1 == 3)).await.unwrap();
    group.abort();
}

#[tokio::test(start_paused = true)]
async fn what_is_stale_stays_so_however_often_it_is_looked_at() {
    let options = never_by_itself().force_reload(true).max_staleness(WINDOW);
    let lab = Idle::new(options, |service| {
        service.probation(WINDOW, |value| async move {
            if *value == 2 { Err("it answers 503") } else { Ok(()) }
        })
    })
    .await;
    assert_eq!(lab.load(2).await, Triggered::Published(2));
    let begun = Instant::now();
    let mut status = lab.rx.watch_status();
    within(status.wait_for(|status| status.health == Health::Stale)).await.unwrap();
    assert_eq!(begun.elapsed(), WINDOW);
    for _ in 0..5 {
        assert!(matches!(lab.load(2).await, Triggered::Failed(_)));
        assert_eq!(lab.rx.status().health, Health::Stale);
    }
    lab.store.holds(Held::Value(3));
    assert!(matches!(within(lab.handle.trigger()).await, Triggered::Published(_)));
    assert_eq!(lab.rx.status().health, Health::Fresh);
}

/// However often the roll-back is tried, which is more often than it takes to be stale.
#[tokio::test(start_paused = true)]
async fn a_bad_value_that_can_not_be_taken_back_gets_stale_on_time() {
    let options = ReloaderOptions::polling().max_staleness(WINDOW).backoff(WINDOW / 8, WINDOW / 8);
    let lab = Idle::new(options, |service| {
        service
            .probation(WINDOW, |value| async move {
                if *value == 2 { Err("it answers 503") } else { Ok(()) }
            })
            .prepare("listener", |candidate| {
                let is_back = candidate.current.is_some_and(|current| *current == 2);
                let outcome = if is_back { Err("the port is not free") } else { Ok(|| {}) };
                async move { outcome }
            })
    })
    .await;
    assert_eq!(lab.load(2).await, Triggered::Published(2));
    let begun = Instant::now();
    let mut status = lab.rx.watch_status();
    let stale = within(status.wait_for(|status| status.health == Health::Stale)).await.unwrap();
    assert_eq!(begun.elapsed(), WINDOW);
    assert_eq!((stale.generation, stale.refused_by.as_deref()), (2, Some("probation")));
}

/// It was rolled back, no more, once that could be done.
#[tokio::test(start_paused = true)]
async fn what_is_stale_stays_so_when_a_bad_value_is_taken_back_at_last() {
    let is_taken = Arc::new(AtomicBool::new(true));
    let taken = Arc::clone(&is_taken);
    let options = ReloaderOptions::polling().max_staleness(WINDOW).backoff(WINDOW / 8, WINDOW / 8);
    let mut lab = Idle::new(options, |service| {
        service
            .probation(WINDOW, |value| async move {
                if *value == 2 { Err("it answers 503") } else { Ok(()) }
            })
            .prepare("listener", move |candidate| {
                let is_back = candidate.current.is_some_and(|current| *current == 2);
                let is_refused = is_back && taken.load(Ordering::SeqCst);
                let outcome = if is_refused { Err("the port is not free") } else { Ok(|| {}) };
                async move { outcome }
            })
    })
    .await;
    assert_eq!(lab.load(2).await, Triggered::Published(2));
    let mut status = lab.rx.watch_status();
    within(status.wait_for(|status| status.health == Health::Stale)).await.unwrap();
    is_taken.store(false, Ordering::SeqCst);
    within(lab.rx.wait_for_generation(3)).await.unwrap();
    let status = lab.rx.status();
    assert_eq!((lab.rx.get(), status.health), (Some(1), Health::Stale));
    assert_eq!(status.refused_by.as_deref(), Some("probation"));
}

/// It was stale as much later as the value had served.
#[tokio::test(start_paused = true)]
async fn a_source_out_of_reach_makes_a_value_stale_on_time_though_that_is_found_bad_meanwhile() {
    let lab = Idle::new(never_by_itself().max_staleness(WINDOW), |service| {
        service.probation(NEVER, |value| async move {
            sleep(WINDOW / 2).await;
            if *value == 2 { Err("it answers 503") } else { Ok(()) }
        })
    })
    .await;
    sleep(WINDOW).await;
    assert_eq!(lab.load(2).await, Triggered::Published(2));
    lab.store.holds(Held::Nothing);
    assert!(matches!(within(lab.handle.trigger()).await, Triggered::Failed(_)));
    let begun = Instant::now();
    let mut status = lab.rx.watch_status();
    let back = within(status.wait_for(|status| status.generation == 3)).await.unwrap();
    assert_eq!((begun.elapsed(), back.unapplied_since), (WINDOW / 2, Some(begun)));
    within(status.wait_for(|status| status.health == Health::Stale)).await.unwrap();
    assert_eq!(begun.elapsed(), WINDOW);
}

/// It was bad for as long as the service lived.
#[tokio::test(start_paused = true)]
async fn a_bad_value_that_passes_in_a_later_start_is_good() {
    let store = Store::of(Held::Value(1));
    let options = never_by_itself().poll_interval(NEVER).max_staleness(WINDOW);
    let (service, mut rx) = ReloaderService::from_reloader(store.clone(), options);
    let is_well = Arc::new(AtomicBool::new(false));
    let well = Arc::clone(&is_well);
    let service = service.history(3).probation(WINDOW / 2, move |_| {
        let outcome = if well.load(Ordering::SeqCst) { Ok(()) } else { Err("it answers 503") };
        async move { outcome }
    });
    let (handle, service) = (service.handle(), Arc::new(service));
    let start = || {
        let service = Arc::clone(&service);
        tokio::spawn(async move { service.start().await.unwrap() })
    };
    let first = start();
    within(rx.changed()).await.unwrap();
    let mut status = rx.watch_status();
    within(status.wait_for(|status| status.health == Health::Stale)).await.unwrap();
    first.abort();
    let _stopped = first.await;
    is_well.store(true, Ordering::SeqCst);
    let second = start();
    // By itself, though nothing looks at the source again.
    let fresh = within(status.wait_for(|status| status.health == Health::Fresh)).await.unwrap();
    assert_eq!((fresh.refused_by, fresh.unapplied_since), (None, None));
    assert!(!handle.history()[0].is_bad);
    assert_eq!(within(handle.trigger()).await, Triggered::Unchanged);
    second.abort();
}

#[tokio::test(start_paused = true)]
async fn the_status_says_until_when_a_value_is_on_probation() {
    let lab = Idle::new(never_by_itself(), |service| {
        service.probation(WINDOW, |_| std::future::pending::<Result<(), String>>())
    })
    .await;
    assert_eq!(lab.load(2).await, Triggered::Published(2));
    let until = Instant::now() + WINDOW;
    assert_eq!(lab.rx.status().probation_until, Some(until));
    let mut status = lab.rx.watch_status();
    within(status.wait_for(|status| status.probation_until.is_none())).await.unwrap();
    assert_eq!(Instant::now(), until);
}

/// A roll-back waits for its turn for an hour, and is refused then.
#[tokio::test(start_paused = true)]
async fn a_time_in_which_nobody_attended_to_a_check_prolongs_it_by_its_window_at_most() {
    let turn = Arc::new(tokio::sync::Mutex::new(()));
    let idle = Idle::new(never_by_itself(), |service| {
        let service = service.history(5).in_turn(Arc::clone(&turn));
        let service = service.prepare("listener", |candidate| async move {
            let refuses = *candidate.new == 1 && candidate.current.is_some();
            if refuses { Err("not free yet") } else { Ok(|| ()) }
        });
        service.probation(WINDOW, |value| async move {
            if *value == 2 {
                std::future::pending::<()>().await;
            }
            Ok::<_, &str>(())
        })
    })
    .await;
    assert_eq!(idle.load(2).await, Triggered::Published(2));
    let held = turn.lock().await;
    let handle = idle.handle.clone();
    let asked = tokio::spawn(async move { handle.rollback(1).await });
    sleep(360 * WINDOW).await;
    drop(held);
    assert!(matches!(asked.await.unwrap(), Triggered::Failed(_)));
    let begun = Instant::now();
    let mut status = idle.rx.watch_status();
    within(status.wait_for(|status| status.probation_until.is_none())).await.unwrap();
    assert_eq!(begun.elapsed(), WINDOW);
}

/// The service was paused and said that it starts, for as long as that took.
#[tokio::test(start_paused = true)]
async fn a_check_that_pauses_a_service_that_starts_is_seen_to_have() {
    let store = Store::of(Held::Value(1));
    let options = never_by_itself().poll_interval(NEVER);
    let (service, mut rx) = ReloaderService::<_, u32>::from_reloader(store.clone(), options);
    let control = Arc::new(OnceLock::<ReloaderHandle>::new());
    let pausing = Arc::clone(&control);
    let service = service.probation(NEVER, move |_| {
        pausing.get().inspect(|handle| handle.pause());
        pending::<Result<(), String>>()
    });
    assert!(timeout(WINDOW, service.start()).await.is_err());
    within(rx.changed()).await.unwrap();
    control.set(service.handle()).unwrap();
    let _running = tokio::spawn(async move { service.start().await.unwrap() });
    sleep(WINDOW).await;
    let status = rx.status();
    assert!(status.is_paused && status.probation_until.is_some(), "{status:?}");
    assert_eq!(store.loads(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_value_that_is_bad_at_once_is_shown_to_nobody() {
    let idle = Idle::new(never_by_itself(), |service| {
        service.probation(WINDOW, |value| async move {
            if *value == 2 { Err("bad at once") } else { Ok(()) }
        })
    })
    .await;
    let (mut values, seen) = (idle.rx.clone(), Arc::<Mutex<Vec<_>>>::default());
    let kept = Arc::clone(&seen);
    let _reader = tokio::spawn(async move {
        while values.changed().await.is_ok() {
            kept.lock().unwrap().push(values.get());
        }
    });
    idle.load(2).await;
    sleep(MILLISECOND).await;
    assert!(!seen.lock().unwrap().contains(&Some(2)), "{seen:?}");
}

//! Values that turn out bad after they were published.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use hot_reload::{Group, Health, Reason, ReloaderService, TomlFile, Triggered, WatchStrategy};
use tokio::{
    net::TcpStream,
    time::{sleep, timeout},
};

use crate::{
    Lab,
    common::{Config, PATIENCE, config, options, text},
    in_every_strategy,
};

in_every_strategy! {
    async fn a_value_that_fails_its_probation_gives_way_to_the_last_good_one(strategy) {
        let checks = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&checks);
        let mut lab = Lab::new(strategy, |service| {
            service.probation(Duration::from_millis(200), move |value| {
                counted.fetch_add(1, Ordering::SeqCst);
                async move {
                    sleep(Duration::from_millis(20)).await;
                    if value.name == "bad" { Err("it answers 503") } else { Ok(()) }
                }
            })
        })
        .await;
        sleep(Duration::from_millis(60)).await;
        lab.write("bad");
        lab.expect("bad").await;
        lab.expect("one").await;
        let status = lab.rx.status();
        assert_eq!((status.health, status.generation), (Health::RolledBack, 3));
        assert_eq!(status.refused_by.as_deref(), Some("probation"));
        let why = "refused by probation: it answers 503";
        assert_eq!(status.last_error.as_deref(), Some(why));
        assert!(status.is_ready());
        assert_eq!(lab.rx.snapshot().unwrap().reason(), Reason::Rollback);

        // It is not tried again while the source holds it, however often that is looked at.
        lab.write("bad");
        let failed = Triggered::Failed(why.into());
        assert_eq!(timeout(PATIENCE, lab.handle.trigger()).await.unwrap(), failed);
        sleep(Duration::from_millis(600)).await;
        assert_eq!((lab.generation(), checks.load(Ordering::SeqCst)), (3, 2));
        assert_eq!(lab.rx.status().health, Health::RolledBack);

        // Back to what serves: all is well.
        lab.write("one");
        lab.status(|status| status.health == Health::Fresh).await;
        assert_eq!(lab.generation(), 3);
        // And from then on it is as good as any other.
        lab.write("bad");
        lab.expect("bad").await;
        lab.expect("one").await;
        lab.write("two");
        lab.expect("two").await;
        lab.status(|status| status.health == Health::Fresh).await;
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
    assert!(matches!(lab.handle.trigger().await, Triggered::Failed(_)));
    let status = lab.refused_by("probation").await;
    assert_eq!((status.generation, lab.rx.get()), (1, Some(config("one"))));
}

#[tokio::test]
async fn a_health_check_that_is_not_over_in_time_has_passed() {
    let mut lab = Lab::new(WatchStrategy::Realtime, |service| {
        service.probation(Duration::from_millis(50), |value| async move {
            if value.name != "bad" {
                std::future::pending::<()>().await;
            }
            // Long enough to be in the window of nothing but this value.
            TcpStream::connect("127.0.0.1:1").await.map(drop)
        })
    })
    .await;
    sleep(Duration::from_millis(100)).await;
    lab.write("two");
    lab.expect("two").await;
    sleep(Duration::from_millis(100)).await;
    lab.write("bad");
    lab.expect("bad").await;
    lab.expect("two").await;
}

#[tokio::test]
async fn a_roll_back_that_is_refused_is_tried_again() {
    let refusals = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&refusals);
    let mut lab = Lab::new(WatchStrategy::Realtime, |service| {
        service
            .probation(Duration::from_millis(50), |value| async move {
                if value.name == "bad" { Err("it answers 503") } else { Ok(()) }
            })
            .validate(move |new, current| match current {
                Some(current) if current.name == "bad" && new.name == "one" => {
                    let n = counted.fetch_add(1, Ordering::SeqCst);
                    if n < 3 { Err("the port is not free yet") } else { Ok(()) }
                }
                _ => Ok(()),
            })
    })
    .await;
    sleep(Duration::from_millis(100)).await;
    lab.write("bad");
    lab.expect("bad").await;
    lab.expect("one").await;
    assert_eq!(refusals.load(Ordering::SeqCst), 4);
    lab.status(|status| status.health == Health::RolledBack).await;
}

#[tokio::test]
async fn a_group_follows_a_member_that_takes_a_value_back() {
    let lab = Lab::new(WatchStrategy::Realtime, |service| {
        service.probation(Duration::from_secs(1), |value| async move {
            sleep(Duration::from_millis(200)).await;
            if value.name == "bad" { Err("it answers 503") } else { Ok(()) }
        })
    })
    .await;
    let other = Lab::new(WatchStrategy::Realtime, |service| service).await;
    let (group, mut both) = Group::of((lab.rx.clone(), other.rx.clone()));
    let group = tokio::spawn(group.run());
    sleep(Duration::from_millis(300)).await;
    lab.write("bad");
    for name in ["bad", "one"] {
        let seen = timeout(PATIENCE, both.wait_for(|both| both.0.name == name)).await;
        assert!(seen.is_ok_and(|seen| seen.is_ok()), "{name}: {:?}", both.status());
    }
    other.write("two");
    timeout(PATIENCE, both.wait_for(|both| both.1.name == "two")).await.unwrap().unwrap();
    group.abort();
}

#[tokio::test]
async fn what_is_stale_stays_so_however_often_it_is_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    fs::write(&path, text("one")).unwrap();
    let file = TomlFile::<Config>::from_path(&path).unwrap();
    let options = options(WatchStrategy::Polling).max_staleness(Duration::from_millis(300));
    let (service, mut rx) = ReloaderService::from_reloader(file, options.force_reload(true));
    let service = service.probation(Duration::from_millis(50), |value| async move {
        if value.name == "bad" { Err("it answers 503") } else { Ok(()) }
    });
    let task = tokio::spawn(async move { service.start_with_realtime().await.unwrap() });
    timeout(PATIENCE, rx.changed()).await.unwrap().unwrap();
    sleep(Duration::from_millis(100)).await;
    fs::write(&path, text("bad")).unwrap();
    let mut status = rx.watch_status();
    let stale = status.wait_for(|status| status.health == Health::Stale);
    timeout(PATIENCE, stale).await.unwrap();
    sleep(Duration::from_millis(300)).await;
    assert_eq!(rx.status().health, Health::Stale);
    task.abort();
}

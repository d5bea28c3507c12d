//! Values that wait for their turn.

use std::{sync::Arc, time::Duration};

use hot_reload::{Health, ReloaderService, Triggered};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep, timeout},
};

use crate::{Idle, common::within, never_by_itself};

const LOAD_TIMEOUT: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_value_waits_for_its_turn_longer_than_a_load_may_take() {
    let turn = Arc::new(Mutex::new(()));
    let held = Arc::clone(&turn).lock_owned().await;
    tokio::spawn(async move {
        sleep(2 * LOAD_TIMEOUT).await;
        drop(held);
    });
    let options = never_by_itself().load_timeout(LOAD_TIMEOUT);
    // The first waits already.
    let idle = Idle::new(options, |service| service.in_turn(Arc::clone(&turn))).await;

    let held = turn.lock().await;
    let mut load = Box::pin(idle.load(2));
    assert!(timeout(2 * LOAD_TIMEOUT, load.as_mut()).await.is_err());
    assert_eq!(idle.rx.get(), Some(1));
    drop(held);
    assert_eq!(within(load).await, Triggered::Published(2));
}

#[tokio::test(start_paused = true)]
async fn nobody_else_has_a_turn_while_a_value_is_prepared_and_refused() {
    let turn = Arc::new(Mutex::new(()));
    let options = never_by_itself().load_timeout(LOAD_TIMEOUT);
    let idle = Idle::new(options, |service| {
        service.in_turn(Arc::clone(&turn)).prepare("part", |candidate| async move {
            sleep(LOAD_TIMEOUT / 2).await;
            if *candidate.new == 3 { Err("no") } else { Ok(|| ()) }
        })
    })
    .await;
    for (value, answer) in
        [(2, Triggered::Published(2)), (3, Triggered::Failed("refused by part: no".into()))]
    {
        let mut load = Box::pin(idle.load(value));
        assert!(timeout(LOAD_TIMEOUT / 4, load.as_mut()).await.is_err());
        let (_turn, loaded) = tokio::join!(turn.lock(), load);
        assert_eq!(loaded, answer);
        // What was published can be seen by whoever has the next turn.
        assert_eq!(idle.rx.get(), Some(2));
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_waits_for_its_turn_keeps_no_service_from_its_end() {
    let turn = Arc::new(Mutex::new(()));
    let idle = Idle::new(never_by_itself(), |service| service.in_turn(Arc::clone(&turn))).await;
    let _held = turn.lock().await;
    let mut load = Box::pin(idle.load(2));
    assert!(timeout(LOAD_TIMEOUT, load.as_mut()).await.is_err());
    within(idle.handle.shutdown()).await;
    assert_eq!(within(load).await, Triggered::Stopped);
}

/// It heard neither of the time nor of its last receiver.
#[tokio::test(start_paused = true)]
async fn a_withdrawal_that_waits_for_its_turn_gets_stale_and_keeps_no_service_from_its_end() {
    let turn = Arc::new(Mutex::new(()));
    let options = never_by_itself().max_staleness(LOAD_TIMEOUT);
    let mut idle = Idle::new(options, |service| {
        service.in_turn(Arc::clone(&turn)).probation(LOAD_TIMEOUT, |value| async move {
            sleep(LOAD_TIMEOUT / 2).await;
            if *value == 2 { Err("it answers 503") } else { Ok(()) }
        })
    })
    .await;
    sleep(LOAD_TIMEOUT).await;
    assert_eq!(idle.load(2).await, Triggered::Published(2));
    let begun = Instant::now();
    let _held = turn.lock().await;
    let mut status = idle.rx.watch_status();
    within(status.wait_for(|status| status.health == Health::Stale)).await.unwrap();
    assert_eq!((begun.elapsed(), idle.rx.get()), (LOAD_TIMEOUT / 2 + LOAD_TIMEOUT, Some(2)));
    let task = idle.task.take().unwrap();
    drop(idle);
    within(task).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_rollback_that_waits_for_its_turn_keeps_no_service_from_its_end() {
    let turn = Arc::new(Mutex::new(()));
    let with = |service: ReloaderService<_, _>| service.in_turn(Arc::clone(&turn)).history(3);
    let mut idle = Idle::new(never_by_itself(), with).await;
    assert_eq!(idle.load(2).await, Triggered::Published(2));
    let _held = turn.lock().await;
    let handle = idle.handle.clone();
    let asked = tokio::spawn(async move { handle.rollback(1).await });
    sleep(LOAD_TIMEOUT).await;
    let task = idle.task.take().unwrap();
    drop(idle);
    within(task).await.unwrap();
    assert_eq!(within(asked).await.unwrap(), Triggered::Stopped);
}

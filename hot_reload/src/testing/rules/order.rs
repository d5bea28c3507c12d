//! That values come in order, and that none is lost.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::sleep;

use super::case::{Case, text};
use crate::{config::WatchStrategy, testing::Rig};

/// Enough for looks, events and reconnects to meet in every way.
const ROUNDS: usize = 40;
const CHANGES_PER_ROUND: u64 = 25;
/// As often as a service may look, so that looks and events race.
const POLL_INTERVAL: Duration = Duration::from_millis(10);
/// Time for what was on its way to land.
const LATE: Duration = Duration::from_millis(500);
/// How often a value is refused.
const REFUSALS: u64 = 12;
const DELAYS: [Duration; 4] = [
    Duration::ZERO,
    Duration::from_millis(40),
    Duration::from_millis(5),
    Duration::from_millis(20),
];

/// While looks, events and reconnects overtake each other on a network whose delay varies, no value is
/// ever followed by an older one.
pub async fn an_older_value_never_lands_on_a_newer<R: Rig>(strategy: WatchStrategy) {
    let rule = "an older value never lands on a newer";
    let case = Case::<R>::begin(rule, strategy).await;
    case.put(1).await;
    let source = case.rig.source(case.proxy.address());
    let mut live = case.follow_as(source, case.options().poll_interval(POLL_INTERVAL));
    live.sees(1, "the first value").await;
    let mut last = 1;
    for (round, delay) in DELAYS.into_iter().cycle().take(ROUNDS).enumerate() {
        case.proxy.delay(delay);
        if round % 10 == 9 {
            case.proxy.cut();
        }
        case.rig.put_all((last + 1..=last + CHANGES_PER_ROUND).map(text).collect()).await;
        last += CHANGES_PER_ROUND;
        sleep(delay / 2).await;
    }
    live.sees(last, "the last of all").await;
    sleep(LATE).await;
    live.never_goes_back();
    live.serves(last, "nothing older comes late");
}

/// A value that is refused, and whose connection is lost, is not taken up again once there is a newer
/// one, however the two meet.
pub async fn what_was_refused_never_lands_on_a_newer<R: Rig>(strategy: WatchStrategy) {
    let rule = "what was refused never lands on a newer";
    let case = Case::<R>::begin(rule, strategy).await;
    case.put(1).await;
    let is_open = Arc::new(AtomicBool::new(true));
    let gate = Arc::clone(&is_open);
    let source = case.rig.source(case.proxy.address());
    let mut follow = case.service(source, case.options());
    follow.service = follow.service.validate(move |new, _| {
        // Nothing else is read by it.
        let is_accepted = new.n % 2 == 1 || gate.load(Ordering::Relaxed);
        is_accepted.then_some(()).ok_or("not yet")
    });
    let mut live = follow.start();
    live.sees(1, "the first value").await;
    for (round, delay) in (1..=REFUSALS).zip(DELAYS.into_iter().cycle()) {
        let [refused, on_its_way, good] = [4 * round, 4 * round + 2, 4 * round + 3];
        is_open.store(false, Ordering::Relaxed);
        case.put(refused).await;
        live.says("who refuses it", |status| status.refused_by.is_some()).await;
        case.proxy.delay(delay);
        case.put(on_its_way).await;
        sleep(delay).await;
        case.proxy.cut();
        case.put(good).await;
        is_open.store(true, Ordering::Relaxed);
        live.sees(good, "what was put last").await;
        live.says_fresh("that it is fresh").await;
    }
    sleep(LATE).await;
    live.never_goes_back();
    live.serves(4 * REFUSALS + 3, "nothing that was refused comes late");
}

/// A value that the service refuses for now, and a connection that is lost meanwhile, lose nothing: it
/// is published once it is accepted.
pub async fn no_value_is_lost_while_one_is_refused<R: Rig>(strategy: WatchStrategy) {
    let rule = "no value is lost while one is refused";
    let case = Case::<R>::begin(rule, strategy).await;
    case.put(1).await;
    let is_open = Arc::new(AtomicBool::new(false));
    let gate = Arc::clone(&is_open);
    let source = case.rig.source(case.proxy.address());
    let mut follow = case.service(source, case.options());
    follow.service = follow.service.validate(move |new, _| {
        // Nothing else is read by it.
        let is_accepted = new.n == 1 || gate.load(Ordering::Relaxed);
        is_accepted.then_some(()).ok_or("not yet")
    });
    let mut live = follow.start();
    live.sees(1, "the first value").await;
    case.put(2).await;
    live.says("who refuses it", |status| status.refused_by.is_some()).await;
    case.proxy.cut();
    sleep(Duration::from_secs(1)).await;
    live.serves(1, "the last good value, while the next is refused");
    is_open.store(true, Ordering::Relaxed);
    live.sees(2, "what was refused, once it is accepted").await;
    live.says_fresh("that it is fresh").await;
    case.put(3).await;
    live.sees(3, "a change after that").await;
    live.has_published(&[1, 2, 3], "each change once");
}

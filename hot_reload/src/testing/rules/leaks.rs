//! That nothing is left behind.

use std::{env, fs, time::Duration};

use tokio::time::{sleep, timeout};

use super::{
    case::{A_DAY, Case, Counts},
    live::Live,
};
use crate::{config::WatchStrategy, reload::Reload, testing::Rig};

/// A connection is closed when a task has ended, which is not at once.
const CLOSED_WITHIN: Duration = Duration::from_secs(5);
const IDLE: Duration = Duration::from_secs(3);
/// What may be asked and sent meanwhile, that the connection is known to live.
const HEARTBEATS: u64 = 15;
const BYTES_OF_HEARTBEATS: u64 = 2048;
/// A poll interval that is many times as long as the longest pause after a failure, how many of them go
/// by, and how often as long as `IDLE` that is.
const POLL_INTERVAL: Duration = Duration::from_secs(2);
const BACKOFF: Duration = Duration::from_millis(50);
const INTERVALS: u32 = 3;
const TIMES_IDLE: u64 = INTERVALS as u64 * POLL_INTERVAL.as_secs() / IDLE.as_secs();
/// Of requests, connections and moments: to log in, to find the place, and to read.
const MOST_A_READ: u64 = 3;
const STOPS: usize = 5;
/// What a client keeps for the process, and opens when it comes to it.
const FEW_DESCRIPTORS: usize = 3;

/// Once the future of the service is dropped there is no connection, though the service and the source
/// live on; started again, it goes on.
pub async fn a_stopped_service_has_no_connection<R: Rig>(strategy: WatchStrategy) {
    let rule = "a stopped service has no connection";
    let case = Case::<R>::begin(rule, strategy).await;
    case.put(1).await;
    let source = case.rig.source(case.proxy.address());
    let (mut live, service) = case.service(source.clone(), case.options()).start_and_keep();
    live.sees(1, "the first value").await;
    live.stop().await;
    has_no_connection(&case, &live, "after the service was stopped").await;

    case.put(2).await;
    live.start_again(&service);
    live.sees(2, "a change, after it was started again").await;
    live.stop().await;
    has_no_connection(&case, &live, "after it was stopped once more").await;

    if let Err(error) = source.reload().await {
        live.fail(&format!("a value to be loaded, not `{error}`"));
    }
    has_no_connection(&case, &live, "after a load without a service").await;

    // In the middle of whatever a start does.
    case.proxy.black_hole();
    live.start_again(&service);
    sleep(Duration::from_millis(300)).await;
    live.stop().await;
    case.proxy.pass();
    has_no_connection(&case, &live, "after a start was stopped half way").await;

    let before = descriptors();
    for _ in 0..STOPS {
        live.start_again(&service);
        live.says_fresh("that it is fresh").await;
        live.stop().await;
        has_no_connection(&case, &live, "after one of many stops").await;
    }
    let is_enough = || descriptors() <= before.map(|before| before + FEW_DESCRIPTORS);
    let closed = timeout(CLOSED_WITHIN, async {
        while !is_enough() {
            sleep(Duration::from_millis(10)).await;
        }
    });
    let want = "as many descriptors after many stops as before";
    live.check(closed.await.is_ok(), &format!("{want}: {before:?}, not {:?}", descriptors()));
}

/// While nothing changes, nobody connects anew, and nobody asks.
pub async fn who_waits_connects_no_more<R: Rig>(strategy: WatchStrategy) {
    let rule = "who waits connects no more";
    let (case, live) = Case::<R>::settled(rule, strategy, Case::usual_options).await;
    is_idle(&case, &live).await;
}

/// Who polls reads no more often than the poll interval says, also where the longest pause after a failure
/// is shorter.
pub async fn a_poll_interval_is_kept<R: Rig>(strategy: WatchStrategy) {
    let rule = "a poll interval is kept";
    let patient = |case: &Case<R>| case.usual_options().poll_interval(A_DAY);
    let (case, live) = Case::<R>::settled(rule, strategy, patient).await;
    let idle = is_idle(&case, &live).await;
    drop(live);

    let options = case.usual_options().poll_interval(POLL_INTERVAL).backoff(BACKOFF, BACKOFF);
    let mut live = case.settles(options).await;
    let then = case.counts().await;
    let moments = case.moments(INTERVALS * POLL_INTERVAL).await;
    let now = case.counts().await.since(then);
    for (what, in_idle, count) in [
        ("requests", idle.counts.asked, now.asked),
        ("connections", idle.counts.connected, now.connected),
        ("moments at which something is sent", idle.moments, moments),
    ] {
        let most = MOST_A_READ * u64::from(INTERVALS + 1) + TIMES_IDLE * in_idle;
        let want = format!("at most {most} {what} in {INTERVALS} poll intervals, not {count}");
        live.check(count <= most, &want);
    }
    case.put(2).await;
    live.sees(2, "a change").await;
}

/// What there is where nothing changes and it is not time to look: that the connection is known to live.
struct Idle {
    counts: Counts,
    moments: u64,
}

async fn is_idle<R: Rig>(case: &Case<R>, live: &Live) -> Idle {
    let then = case.counts().await;
    let moments = case.moments(IDLE).await;
    let counts = case.counts().await.since(then);
    for (what, most, count) in [
        ("connections", 0, counts.connected),
        ("requests", HEARTBEATS, counts.asked),
        ("moments at which something is sent", HEARTBEATS, moments),
        ("bytes to be sent", BYTES_OF_HEARTBEATS, counts.sent),
    ] {
        let want = format!("at most {most} {what} while nothing changes, not {count}");
        live.check(count <= most, &want);
    }
    Idle { counts, moments }
}

async fn has_no_connection<R: Rig>(case: &Case<R>, live: &Live, when: &str) {
    let closed = timeout(CLOSED_WITHIN, async {
        while case.proxy.connections() > 0 {
            sleep(Duration::from_millis(10)).await;
        }
    });
    if closed.await.is_err() {
        let left = case.proxy.connections();
        live.fail(&format!("no connection {when}, within {CLOSED_WITHIN:?}, not {left}"));
    }
}

/// How many descriptors the process has open, where it is the rule's own, as under nextest.
fn descriptors() -> Option<usize> {
    env::var_os("NEXTEST")?;
    fs::read_dir("/proc/self/fd").ok().map(Iterator::count)
}

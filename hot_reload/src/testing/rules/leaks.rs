//! That nothing is left behind.

use std::{env, fs, time::Duration};

use tokio::time::{sleep, timeout};

use super::{case::Case, live::Live};
use crate::{config::WatchStrategy, reload::Reload, testing::Rig};

/// A connection is closed when a task has ended, which is not at once.
const CLOSED_WITHIN: Duration = Duration::from_secs(5);
const IDLE: Duration = Duration::from_secs(3);
/// What may be asked and sent meanwhile, that the connection is known to live.
const HEARTBEATS: u64 = 15;
const BYTES_OF_HEARTBEATS: u64 = 2048;
/// A poll interval that is many times as long as the longest pause after a failure, how many of them go
/// by, and how many requests may come in that time, heartbeats and all.
const POLL_INTERVAL: Duration = Duration::from_secs(2);
const BACKOFF: Duration = Duration::from_millis(50);
const INTERVALS: u32 = 3;
const REQUESTS: u64 = 20;
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
    let case = Case::<R>::begin(rule, strategy).await;
    case.put(1).await;
    let source = case.rig.source(case.proxy.address());
    let mut live = case.follow_as(source, case.usual_options());
    live.sees(1, "the first value").await;
    live.says_fresh("that it is fresh").await;
    let (accepted, sent) = (case.proxy.accepted(), case.proxy.sent());
    let asked = case.rig.requests().await;
    sleep(IDLE).await;
    let more = case.proxy.accepted() - accepted;
    live.check(more == 0, &format!("no connections while nothing changes, not {more}"));
    let asked = case.rig.requests().await.zip(asked).map_or(0, |(now, then)| now - then);
    let want = format!("at most {HEARTBEATS} requests while nothing changes, not {asked}");
    live.check(asked <= HEARTBEATS, &want);
    let sent = case.proxy.sent() - sent;
    let want = format!("at most {BYTES_OF_HEARTBEATS} bytes to be sent meanwhile, not {sent}");
    live.check(sent <= BYTES_OF_HEARTBEATS, &want);
}

/// Who polls reads no more often than the poll interval says, also where the longest pause after a failure
/// is shorter.
pub async fn a_poll_interval_is_kept<R: Rig>(strategy: WatchStrategy) {
    let rule = "a poll interval is kept";
    let case = Case::<R>::begin(rule, strategy).await;
    case.put(1).await;
    let source = case.rig.source(case.proxy.address());
    let options = case.usual_options().poll_interval(POLL_INTERVAL).backoff(BACKOFF, BACKOFF);
    let mut live = case.follow_as(source, options);
    live.sees(1, "the first value").await;
    live.says_fresh("that it is fresh").await;
    let (accepted, asked) = (case.proxy.accepted(), case.rig.requests().await);
    sleep(INTERVALS * POLL_INTERVAL).await;
    let asked = case.rig.requests().await.zip(asked).map_or(0, |(now, then)| now - then);
    let connected = case.proxy.accepted() - accepted;
    let want = format!(
        "at most {REQUESTS} requests in {INTERVALS} poll intervals, not {asked} by {connected} \
         connections"
    );
    live.check(asked.max(connected as u64) <= REQUESTS, &want);
    case.put(2).await;
    live.sees(2, "a change").await;
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

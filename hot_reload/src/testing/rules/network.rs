//! What becomes of a source when the network fails it.

use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::case::{COUNTED, Case, FEW};
use crate::{config::WatchStrategy, status::Health, testing::Rig};

const HANG: Duration = Duration::from_secs(30);
const PARTITION: Duration = Duration::from_secs(60);
/// What a busy machine adds to a deadline.
const SLACK: Duration = Duration::from_secs(2);
/// Long enough for a connection to be set up, and for what is asked first.
const LASTS: Duration = Duration::from_millis(10);
/// Of who polls as well, and how often that may connect while attempts are counted: a look comes sooner
/// than it has to, twice as often in the mean, and may connect to read and to watch.
const POLLS_A_SECOND: u64 = 2;
const POLL_INTERVAL: Duration = Duration::from_millis(1000 / POLLS_A_SECOND);
const BY_POLLS: u64 = 4 * POLLS_A_SECOND * COUNTED.as_secs();
/// A connection to the other side of the world.
const DELAY: Duration = Duration::from_millis(150);
/// A modem.
const BYTES_PER_SECOND: u32 = 8 * 1024;

/// A network that swallows everything for 30 s, though all connections stay open, has what was put
/// meanwhile there a second after it is well again.
pub async fn a_hang_of_30_s_heals_within_a_second<R: Rig>(strategy: WatchStrategy) {
    let rule = "a hang of 30 s heals within a second";
    let (case, mut live) = Case::<R>::with_value(rule, strategy).await;
    case.proxy.black_hole();
    case.put(2).await;
    sleep(HANG).await;
    live.serves(1, "the last good value, while nothing gets through");
    if 2 * case.rig.read_deadline() + SLACK < HANG {
        let is_told = live.status().health != Health::Fresh;
        live.check(is_told, "a status that says that nothing gets through");
    }
    case.proxy.pass();
    live.sees_within(2, case.rig.healing(), "what was put meanwhile, after healing").await;
    live.says_fresh("that it is fresh").await;
    case.put(3).await;
    live.sees(3, "a change after healing").await;
}

/// A connection that has gone silent, though it is open, is found within the read deadline: the status
/// says so then, and what was put meanwhile is there after healing.
pub async fn a_silent_connection_is_found<R: Rig>(strategy: WatchStrategy) {
    let rule = "a silent connection is found";
    let (case, mut live) = Case::<R>::with_value(rule, strategy).await;
    live.says_fresh("that it is fresh").await;
    let deadline = case.rig.read_deadline();
    let begun = Instant::now();
    case.proxy.black_hole();
    case.put(2).await;
    live.says_within(deadline + SLACK, "that something is amiss", |status| {
        status.health != Health::Fresh || status.unapplied_since.is_some()
    })
    .await;
    // Whatever is tried in its place hangs as well, and has the same time.
    let left = (2 * deadline + SLACK).saturating_sub(begun.elapsed());
    live.says_within(left, "that the server can't be reached", |status| {
        status.health != Health::Fresh
    })
    .await;
    live.serves(1, "the last good value, while nothing gets through");
    case.proxy.pass();
    live.sees_within(2, case.rig.healing(), "what was put meanwhile, after healing").await;
    live.says_fresh("that it is fresh").await;
}

/// A network that is gone for a minute, while values change, has the latest there a second after it is
/// back.
pub async fn a_partition_of_a_minute_heals_within_a_second<R: Rig>(strategy: WatchStrategy) {
    let rule = "a partition of a minute heals within a second";
    let (case, mut live) = Case::<R>::with_value(rule, strategy).await;
    let healed_at = Instant::now() + PARTITION;
    case.proxy.refuse();
    for n in 2..=7 {
        case.put(n).await;
        sleep(PARTITION / 10).await;
    }
    live.says_trouble("that the server can't be reached").await;
    live.serves(1, "the last good value, while nothing gets through");
    sleep_until(healed_at).await;
    case.proxy.pass();
    live.sees_within(7, case.rig.healing(), "the latest, after healing").await;
    live.says_fresh("that it is fresh").await;
    live.has_published(&[1, 7], "the latest alone");
    case.put(8).await;
    live.sees(8, "a change after healing").await;
}

/// A connection that the server's side has closed, and the client's has not, is given up for another;
/// so is one that was reset.
pub async fn a_connection_closed_by_one_side_is_replaced<R: Rig>(strategy: WatchStrategy) {
    let rule = "a connection closed by one side is replaced";
    let (case, mut live) = Case::<R>::with_value(rule, strategy).await;
    for (n, how) in [(2, "half closed"), (3, "reset")] {
        let accepted = case.proxy.accepted();
        if n == 2 {
            case.proxy.half_close();
        } else {
            case.proxy.cut();
        }
        let connected = timeout(case.rig.patience(), async {
            while case.proxy.accepted() == accepted {
                sleep(Duration::from_millis(5)).await;
            }
        });
        let want = format!("another connection after one was {how}, in time");
        live.check(connected.await.is_ok(), &want);
        case.put(n).await;
        live.sees(n, &format!("a change, after a connection was {how}")).await;
        live.says_fresh("that it is fresh").await;
    }
}

/// A connection that is cut as soon as it stands, each time, is not tried in a busy loop; once it lasts,
/// the source is followed as before.
pub async fn a_connection_that_never_lasts_is_no_busy_loop<R: Rig>(strategy: WatchStrategy) {
    let rule = "a connection that never lasts is no busy loop";
    let (options, most): (fn(&Case<R>) -> _, _) = match strategy {
        WatchStrategy::Realtime => (Case::usual_options, FEW),
        _ => (|case| case.usual_options().poll_interval(POLL_INTERVAL), FEW + BY_POLLS),
    };
    let (case, mut live) = Case::<R>::settled(rule, strategy, options).await;
    let (begun, then) = (Instant::now(), case.counts().await);
    while begun.elapsed() < COUNTED {
        case.proxy.cut();
        sleep(LASTS).await;
    }
    let tried = case.counts().await.since(then).connected;
    live.check(tried <= most, &format!("at most {most} connections in {COUNTED:?}, not {tried}"));
    case.put(2).await;
    live.sees(2, "a change, once connections last").await;
    live.says_fresh("that it is fresh").await;
}

/// A network that is far or narrow delays values, and does no more.
pub async fn a_slow_network_only_delays<R: Rig>(strategy: WatchStrategy) {
    let rule = "a slow network only delays";
    let case = Case::<R>::begin(rule, strategy).await;
    case.put(1).await;
    case.proxy.delay(DELAY);
    let mut live = case.follow();
    live.sees(1, "the first value, from far away").await;
    case.put(2).await;
    live.sees(2, "a change, from far away").await;
    case.proxy.throttle(BYTES_PER_SECOND);
    case.proxy.cut();
    case.put(3).await;
    live.sees_within(3, 2 * case.rig.patience(), "a change, by a narrow network").await;
    live.has_published(&[1, 2, 3], "each change once");
}

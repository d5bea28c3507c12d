//! What becomes of a source whose server comes, goes and has enough.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{
    case::{A_DAY, COUNTED, Case, Counts, FEW},
    live::{Live, has_trouble},
};
use crate::{
    config::WatchStrategy,
    status::{Health, Status},
    testing::Rig,
};

/// Long enough for a retry that is ill-advised.
const A_WHILE: Duration = Duration::from_secs(2);
/// How many lose a server together, and what is the same moment.
const MANY: usize = 20;
const MOMENT: Duration = Duration::from_millis(25);
/// Of so many times, and in most of them: no more than these come in the same moment.
const ROUNDS: usize = 5;
const HERD: usize = 2 * MANY / 5;
const LOOK: Duration = Duration::from_millis(5);

/// A service that is started before its server waits, says so, and takes the value once it is there.
pub async fn a_server_that_comes_later_is_waited_for<R: Rig>(strategy: WatchStrategy) {
    let rule = "a server that comes later is waited for";
    let case = Case::<R>::begin(rule, strategy).await;
    case.put(1).await;
    case.rig.kill().await;
    let mut live = case.follow();
    live.says_trouble("that there is no server").await;
    live.check(!live.status().is_ready(), "not to be ready without a value");
    case.rig.restart().await;
    live.sees(1, "the value of a server that came later").await;
    live.says_fresh("that it is fresh").await;
    case.put(2).await;
    live.sees(2, "a change, once the server is there").await;
}

/// A server that was killed is missed, and followed again once it is back.
pub async fn a_killed_server_is_followed_again<R: Rig>(strategy: WatchStrategy) {
    let rule = "a killed server is followed again";
    let (case, mut live) = Case::<R>::with_value(rule, strategy).await;
    for n in [2, 4] {
        case.rig.kill().await;
        live.says_trouble("that the server is gone").await;
        live.serves(n - 1, "the last good value");
        case.rig.restart().await;
        live.says_fresh("that it is back").await;
        for n in [n, n + 1] {
            case.put(n).await;
            live.sees(n, "a change, once the server is back").await;
        }
    }
    live.has_published(&[1, 2, 3, 4, 5], "each change once");
}

/// A server that is back with nothing in it has not meant it: the last good value serves on, the status
/// says why, and what is put then is taken.
pub async fn a_server_that_lost_everything_takes_nothing_away<R: Rig>(strategy: WatchStrategy) {
    let rule = "a server that lost everything takes nothing away";
    let (case, mut live) = Case::<R>::with_value(rule, strategy).await;
    // More revisions than the empty server is going to have.
    for n in 2..10 {
        case.put(n).await;
    }
    live.sees(9, "a change").await;
    case.rig.restart_empty().await;
    live.says_trouble("that there is nothing").await;
    live.stays(9, A_WHILE, "the last good value").await;
    live.says_trouble("that there is nothing, still").await;
    // Older, were it compared with those of the server that was lost.
    case.put(3).await;
    live.sees(3, "what was put into the new server").await;
    live.says_fresh("that it is good again").await;
}

/// A server that says that it has too much to do is asked ever more seldom; the status says so, and the
/// value is taken once it answers.
///
/// Passes where the rig's server can't say so.
pub async fn a_throttled_server_is_left_in_peace<R: Rig>(strategy: WatchStrategy) {
    let rule = "a throttled server is left in peace";
    let case = Case::<R>::begin(rule, strategy).await;
    case.put(1).await;
    if !case.rig.throttle(true).await {
        return;
    }
    let mut live = case.follow_as(case.rig.source(case.proxy.address()), case.usual_options());
    live.says_trouble("that the server has too much to do").await;
    let then = case.counts().await;
    sleep(COUNTED).await;
    let Counts { asked, connected, .. } = case.counts().await.since(then);
    live.check(
        asked.max(connected) <= FEW,
        &format!("at most {FEW} requests in {COUNTED:?}, not {asked} by {connected} connections"),
    );
    case.rig.throttle(false).await;
    live.sees(1, "the value, once the server answers").await;
    live.says_fresh("that it answers").await;
}

/// A server that tells no events, though it can be read, keeps no value away: not from one who begins then
/// either. Once it tells them again they are heard, without a poll.
///
/// Passes where the rig's server can't be such.
pub async fn a_broken_channel_keeps_no_value_away<R: Rig>(strategy: WatchStrategy) {
    let rule = "a broken channel keeps no value away";
    let (case, mut live) = Case::<R>::with_value(rule, strategy).await;
    if !case.rig.break_channel(true).await {
        return;
    }
    case.put(2).await;
    live.sees(2, "a change, by a poll").await;
    drop(live);

    let source = case.rig.source(case.proxy.address());
    let mut live = case.follow_as(source, case.options().poll_interval(A_DAY));
    live.sees(2, "the first value of one who begins without events").await;
    // In any case a watch was tried.
    sleep(A_WHILE).await;
    case.rig.break_channel(false).await;
    // The longest pause is over by then, and a deadline.
    let limit = A_WHILE + case.rig.read_deadline();
    live.says_within(limit, "that events are told again", |now| now.health == Health::Fresh).await;
    case.put(3).await;
    live.sees_within(3, case.rig.healing(), "a change, by events").await;
}

/// Many that lost their server together do not all come back at the same moment.
pub async fn many_come_back_one_by_one<R: Rig>(strategy: WatchStrategy) {
    let rule = "many come back one by one";
    let (case, live) = Case::<R>::with_value(rule, strategy).await;
    let mut others: Vec<_> = (0..MANY).map(|_| case.follow()).collect();
    for other in &mut others {
        other.sees(1, "the first value").await;
    }
    let mut herds = Vec::new();
    let mut good = 0;
    // A machine that was busy for a moment makes a herd of any crowd, though not again and again.
    for _ in 0..ROUNDS {
        case.proxy.refuse();
        // Until all of them pause for as long as they ever do.
        sleep(A_WHILE).await;
        let most = many_at_once(&case, &others).await;
        for other in others.iter().chain([&live]) {
            other.says_fresh("that it is back").await;
        }
        if most > HERD {
            herds.push(most);
        } else {
            good += 1;
        }
        if good > ROUNDS / 2 {
            return;
        }
        if herds.len() > ROUNDS / 2 {
            break;
        }
    }
    live.fail(&format!("at most {HERD} of {MANY} to come back within a moment, not {herds:?}"));
}

/// Has the network heal, and returns how many of the services were back within the same moment.
///
/// Connections would not do: one service may make several.
async fn many_at_once<R: Rig>(case: &Case<R>, services: &[Live]) -> usize {
    // What is tried meanwhile may hang, and is not told as a failure then.
    let is_away = |status: &Status| has_trouble(status) || status.unapplied_since.is_some();
    for service in services {
        service.says("that the server can't be reached", is_away).await;
    }
    let healed = Instant::now();
    case.proxy.pass();
    let mut away: Vec<_> = services.iter().collect();
    let mut times: Vec<Duration> = Vec::new();
    while !away.is_empty() && healed.elapsed() < case.rig.patience() {
        sleep(LOOK).await;
        away.retain(|service| is_away(&service.status()));
        times.resize(services.len() - away.len(), healed.elapsed());
    }
    if let Some(service) = away.first() {
        service.fail("to be back in time");
    }
    let near = |at: &Duration| times.iter().filter(|&time| time.abs_diff(*at) <= MOMENT).count();
    times.iter().map(near).max().unwrap_or_default()
}

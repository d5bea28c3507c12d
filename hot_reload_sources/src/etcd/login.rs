//! Logging in, by a whole fleet at once.
//!
//! etcd checks a password by bcrypt, some twenty a second for each core, all that are asked for at once beside each
//! other and beside everything else that it has to do, and to the end, whether or not somebody still waits for
//! it. So a login is asked for only where the member has time for one, and once it is asked for it is waited
//! for. What that does for a fleet is in the test `a_fleet_that_comes_back_at_once_is_let_in`.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use etcd_client::{Client, Error};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout, timeout_at},
};
use zeroize::Zeroizing;

use super::{
    address::Members,
    connect::{agrees, connect},
    fault::{is_open_to_all, told_at_entrance},
    heart::BEAT,
};
use crate::{access::Access, error::StoreError, in_time::panicked, lock::lock};

/// A member that takes longer to answer has enough logins to do. Others who are logged in wait as long, and
/// members take their leader for lost after a second.
const BUSY: Duration = Duration::from_millis(500);
/// Who has waited for so long takes one for busy that is slower by one of these parts, as there are members that
/// are never faster.
const PATIENCE: u32 = 60;
/// Between two looks whether it has time. A fleet of 5,000 that looks every 5 s on average is a tenth of a
/// core.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How long an answer may take from a member that is connected: more than what is let in at once takes, as
/// whoever gives up has had it compute for nobody; not more, as a connection may be dead.
const LONGEST_ANSWER: Duration = Duration::from_secs(30);
/// What part of the read deadline there is for a member to answer, so that what another has said is told.
const ENTRANCE: f64 = 0.8;
/// How long a login that nobody waits for is kept: longer than the pauses of who comes again.
const KEPT: Duration = Duration::from_secs(15);

/// Who comes, and by which word.
pub(super) struct Login {
    pub(super) user: String,
    pub(super) password: Zeroizing<String>,
}

/// Where one enters; a login that takes longer than an attempt is taken up by the next.
#[derive(Clone, Default)]
pub(super) struct Entrance(Arc<Mutex<Option<Left>>>);

/// In a task, so that the time it takes is the member's, whether or not somebody waits.
type Entering = JoinSet<Result<Client, StoreError>>;

/// What waits for somebody to come again.
struct Left {
    entering: Entering,
    at: Instant,
}

impl Entrance {
    /// Connects to one of the members, and logs in, as far as the read deadline allows.
    ///
    /// # Cancel safety
    ///
    /// The attempt is given up.
    pub(super) async fn enter(
        &self,
        members: &Members,
        access: &Access,
        deadline: Duration,
    ) -> Result<Client, StoreError> {
        let limit = deadline.mul_f64(ENTRANCE);
        let until = Instant::now() + limit;
        let left = self.left().take();
        let mut entering = match left {
            Some(left) => left.entering,
            None => match connect(members, access, limit).await? {
                (client, None) => return Ok(client),
                (client, Some(login)) => {
                    let mut entering = JoinSet::new();
                    entering.spawn(log_in(client, login, deadline.mul_f64(BEAT)));
                    entering
                }
            },
        };
        if let Ok(entered) = timeout_at(until, entering.join_next()).await {
            return entered.and_then(Result::ok).unwrap_or_else(|| Err(panicked()));
        }
        self.leave(entering);
        Err(StoreError::throttled("the member has many logins to do; waiting for this one", None))
    }

    fn leave(&self, entering: Entering) {
        *self.left() = Some(Left { entering, at: Instant::now() });
        let entrance = Arc::downgrade(&self.0);
        // Ends by itself, if there is a runtime for so long.
        tokio::spawn(async move {
            sleep(KEPT).await;
            if let Some(left) = entrance.upgrade() {
                Self(left).left().take_if(|left| left.at.elapsed() >= KEPT);
            }
        });
    }

    fn left(&self) -> MutexGuard<'_, Option<Left>> {
        lock(&self.0)
    }
}

async fn log_in(mut client: Client, login: Login, slowest: Duration) -> Result<Client, StoreError> {
    let Login { user, password } = login;
    is_idle(&client, slowest).await?;
    match in_time(client.update_user(Some((user, password.to_string())))).await? {
        // There is nobody to log in as.
        Err(error) if is_open_to_all(&error) => Ok(client),
        Err(error) => Err(told_at_entrance(&error)),
        Ok(()) => Ok(client),
    }
}

/// Waits until the member has time for a login; one that is slower than `slowest` never has.
async fn is_idle(client: &Client, slowest: Duration) -> Result<(), StoreError> {
    let begun = Instant::now();
    for nth in 0.. {
        let asked = Instant::now();
        in_time(agrees(client)).await?.map_err(|error| told_at_entrance(&error))?;
        let took = asked.elapsed();
        if took < busy(begun.elapsed(), slowest) {
            break;
        }
        sleep(longest_pause(took, nth).mul_f64(fastrand::f64())).await;
    }
    Ok(())
}

/// What is slow, for one who has waited for so long.
fn busy(waited: Duration, slowest: Duration) -> Duration {
    (BUSY + waited / PATIENCE).min(slowest)
}

/// After the look `nth`, which took so long. Drawn by lot up to it, so that those who look together don't again.
fn longest_pause(took: Duration, nth: u32) -> Duration {
    took.saturating_mul(2 << nth.min(16)).min(LONGEST_PAUSE)
}

async fn in_time<T>(
    answer: impl Future<Output = Result<T, Error>>,
) -> Result<Result<T, Error>, StoreError> {
    timeout(LONGEST_ANSWER, answer).await.map_err(|_| {
        StoreError::throttled(
            "no answer to a login; see whether the member has too much to do",
            None,
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn who_waits_for_long_bears_more_but_no_member_that_would_be_left() {
        for (waited, want) in [(0, 500), (6_000, 600), (60_000, 1500), (3_600_000, 2000)] {
            assert_eq!(busy(ms(waited), ms(2000)), ms(want), "{waited}");
        }
        assert_eq!(busy(ms(0), ms(400)), ms(400));
    }

    #[test]
    fn a_member_that_stays_busy_is_looked_at_ever_more_seldom() {
        for (took, nth, want) in
            [(500, 0, 1000), (500, 1, 2000), (500, 9, 10_000), (27_000, 0, 10_000)]
        {
            assert_eq!(longest_pause(ms(took), nth), ms(want), "{took} {nth}");
        }
        assert_eq!(longest_pause(Duration::MAX, u32::MAX), LONGEST_PAUSE);
    }
}

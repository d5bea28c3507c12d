//! Several live values as one.

mod members;

use std::{fmt, future::poll_fn, pin::Pin, task::Poll, time::Duration};

use tokio::{
    task::yield_now,
    time::{Instant, sleep_until},
};

pub use self::members::Members;
use self::members::{Event, Follower};
use crate::{
    change::{Origin, Reason},
    channel::{self, ReloaderReceiver, ReloaderSender},
    panic::caught,
    status::{Health, Status},
};

/// How long all members have to be quiet: edits that belong together may be moments apart.
const QUIET: Duration = Duration::from_millis(50);
/// How long a storm of changes may keep a group from what is whole in between.
const CEILING: Duration = Duration::from_secs(3);

/// Publishes the values of several services as one generation, so that no reader ever sees the new one
/// of some with the old one of others.
///
/// A group is published once every member has a value, and again when members have changed, all have
/// been quiet for 50 ms, and none has a change that it has not applied. So edits that are made
/// together are seen together. Members that never rest that long do not keep it back for ever: 3 s
/// after the first change it is published all the same, unless a member has one to apply just then.
///
/// A change that a member can't apply has no such ceiling: while one of them is bad, the last
/// combination that was good in all its parts keeps serving, which the
/// [status](ReloaderReceiver::status) says. A member that was rolled back, or whose service was
/// stopped, keeps nothing back.
///
/// # Examples
///
/// ```
/// # #[cfg(not(feature = "toml"))] fn main() {}
/// # #[cfg(feature = "toml")] #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # tokio::time::timeout(std::time::Duration::from_secs(10), async {
/// # #[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)] struct Routes { api: String }
/// # #[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)] struct Limits { body: u64 }
/// # let dir = tempfile::tempdir()?;
/// # let (routes, limits) = (dir.path().join("routes.toml"), dir.path().join("limits.toml"));
/// # std::fs::write(&routes, "api = '/v1'")?;
/// # std::fs::write(&limits, "body = 1024")?;
/// use hot_reload::{Group, TomlFile};
///
/// let routes = TomlFile::<Routes>::watch(&routes).await?;
/// let limits = TomlFile::<Limits>::watch(&limits).await?;
/// let (group, mut both) = Group::of((routes, limits));
/// tokio::spawn(group.run());
///
/// both.changed().await?;
/// let both = both.snapshot().unwrap(); // a request keeps this one
/// let (routes, limits) = &*both;
/// assert_eq!((routes.api.as_str(), limits.body), ("/v1", 1024));
/// # Ok(()) }).await? }
/// ```
pub struct Group<M: Members> {
    members: M,
    sender: ReloaderSender<M::Values>,
}

impl<M: Members> Group<M> {
    /// Makes a group of two to six receivers, and its own first receiver.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(not(feature = "toml"))] fn main() {}
    /// # #[cfg(feature = "toml")] #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # tokio::time::timeout(std::time::Duration::from_secs(10), async {
    /// # #[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)] struct Routes { api: String }
    /// # #[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)] struct Limits { body: u64 }
    /// # let dir = tempfile::tempdir()?;
    /// # let (routes, limits) = (dir.path().join("routes.toml"), dir.path().join("limits.toml"));
    /// # std::fs::write(&routes, "api = '/v1'")?;
    /// # std::fs::write(&limits, "body = 1024")?;
    /// # let files = (routes.clone(), limits.clone());
    /// # let routes = hot_reload::TomlFile::<Routes>::watch(&routes).await?;
    /// # let limits = hot_reload::TomlFile::<Limits>::watch(&limits).await?;
    /// use hot_reload::Group;
    ///
    /// let (group, mut both) = Group::of((routes, limits));
    /// tokio::spawn(group.run());
    /// # both.changed().await?;
    /// # std::fs::write(&files.0, "api = '/v2'")?;
    /// # std::fs::write(&files.1, "body = 4096")?;
    ///
    /// let both = both.wait_for(|(routes, _)| routes.api == "/v2").await?;
    /// let (routes, limits) = &*both; // of one generation
    /// println!("{} takes bodies of {} bytes", routes.api, limits.body);
    /// # Ok(()) }).await? }
    /// ```
    pub fn of(members: M) -> (Self, ReloaderReceiver<M::Values>) {
        let (sender, receiver) = channel::channel();
        (Self { members, sender }, receiver)
    }

    /// Publishes until every receiver of the group is gone, or the service of a member, whose last value
    /// is published at once unless another holds it up.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the group; what was published stays.
    pub async fn run(self) {
        let mut followers = self.members.followers();
        let mut changed: Option<Changed> = Some(Changed::now());
        loop {
            self.say(&followers);
            let is_held_up = followers.iter().any(|one| holds_up(&one.status()));
            if let Some(changed) = changed.as_mut().filter(|_| is_held_up) {
                changed.is_free_since = Instant::now();
            }
            let due = changed.as_ref().filter(|_| !is_held_up).map(Changed::is_due_at);
            let event = tokio::select! {
                biased;
                () = self.sender.closed() => return,
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    if self.publish(changed.as_ref()) {
                        changed = None;
                        continue;
                    }
                    Event::Changed
                }
                event = any(&mut followers) => event,
            };
            match event {
                Event::Changed => changed.get_or_insert_with(Changed::now).last = Instant::now(),
                Event::Status => {}
                Event::Ended => {
                    // What was waited for is all that there will be.
                    let is_held_up = followers.iter().any(|one| holds_up(&one.status()));
                    while !is_held_up && !self.publish(changed.as_ref()) {
                        yield_now().await;
                    }
                    return;
                }
            }
        }
    }

    /// Publishes what the members hold, once each has something; false where it changes at this
    /// moment.
    fn publish(&self, changed: Option<&Changed>) -> bool {
        // The first value of the last of them will be a change.
        let Some(values) = self.members.snapshots() else { return true };
        if !self.members.hold(&values) {
            return false;
        }
        // A user's `Eq` that panics is one that tells nothing.
        if !caught(|| self.sender.holds(&values)).unwrap_or(false) {
            let seen = changed.map_or_else(Instant::now, |changed| changed.first);
            let origin = Origin::new(Reason::Event, seen);
            // Refused only when the last receiver has just gone, which `closed` reports next.
            let _gone = self.sender.send_with(Some(values), origin, |status| {
                status.last_load = Some(Instant::now());
            });
        }
        true
    }

    /// Puts into the status what is worst among the members.
    fn say(&self, followers: &[Box<dyn Follower>]) {
        let members: Vec<Status> = followers.iter().map(|one| one.status()).collect();
        self.sender.set_status(|status| {
            let worst = members.iter().max_by_key(|member| rank(member.health));
            let Some(worst) = worst else { return };
            status.health = worst.health;
            status.strategy = worst.strategy;
            status.mechanism.clone_from(&worst.mechanism);
            status.last_error.clone_from(&worst.last_error);
            status.last_error_masked.clone_from(&worst.last_error_masked);
            status.last_error_at.clone_from(&worst.last_error_at);
            status.refused_by.clone_from(&worst.refused_by);
            status.failures = worst.failures;
            status.unapplied_since =
                members.iter().filter_map(|member| member.unapplied_since).min();
        });
    }
}

impl<M: Members> fmt::Debug for Group<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group").field("sender", &self.sender).finish_non_exhaustive()
    }
}

/// Whether a member has a change that it has not applied, and will.
fn holds_up(member: &Status) -> bool {
    let goes_on = match member.health {
        Health::Starting | Health::Fresh | Health::Degraded | Health::Retrying | Health::Stale => {
            true
        }
        // What it serves is what it is to serve.
        Health::RolledBack | Health::Stopped | Health::Ended => false,
    };
    goes_on && member.unapplied_since.is_some()
}

/// How bad it is.
fn rank(health: Health) -> u8 {
    match health {
        Health::Fresh => 0,
        Health::Degraded => 1,
        Health::RolledBack => 2,
        Health::Retrying => 3,
        Health::Stopped => 4,
        Health::Ended => 5,
        Health::Stale => 6,
        Health::Starting => 7,
    }
}

/// Members have changed since the last publication.
struct Changed {
    first: Instant,
    last: Instant,
    /// Since when no member has held it up.
    is_free_since: Instant,
}

impl Changed {
    fn now() -> Self {
        let now = Instant::now();
        Self { first: now, last: now, is_free_since: now }
    }

    fn is_due_at(&self) -> Instant {
        (self.last + QUIET).min(self.is_free_since + CEILING)
    }
}

/// Waits for something to happen to any.
async fn any(followers: &mut [Box<dyn Follower>]) -> Event {
    let mut all: Vec<Pin<Box<dyn Future<Output = Event> + Send + '_>>> =
        followers.iter_mut().map(|one| one.next()).collect();
    poll_fn(|cx| {
        let mut ready = all.iter_mut().filter_map(|one| match one.as_mut().poll(cx) {
            Poll::Ready(event) => Some(event),
            Poll::Pending => None,
        });
        ready.next().map_or(Poll::Pending, Poll::Ready)
    })
    .await
}

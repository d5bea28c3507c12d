//! The one watcher of the process: turns filesystem events and periodic looks into rung bells.
//!
//! It has no thread of its own. Events are read where the services run, by one task a runtime, so
//! that from the kernel to a service there is a single wake-up; every task reads for all, and a
//! runtime that is busy holds up no other.

mod audit;
#[cfg(all(target_os = "linux", not(hot_reload_portable)))]
mod inotify;
#[cfg(not(all(target_os = "linux", not(hot_reload_portable))))]
mod portable;
mod registry;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::{
    runtime::{Handle, Id},
    sync::Notify,
    task::{AbortHandle, spawn_blocking},
    time::{Instant, sleep_until},
};

#[cfg(all(target_os = "linux", not(hot_reload_portable)))]
use self::inotify as platform;
#[cfg(not(all(target_os = "linux", not(hot_reload_portable))))]
use self::portable as platform;
use self::{
    audit::Audits,
    registry::{Place, Registry},
};
pub(super) use self::{
    audit::{Audit, Audited, Opaque, Rule},
    platform::NoWatch,
};
use super::{
    bell::{Bell, Notice},
    chain::{self, Kind},
};

/// One follower as the watcher knows it.
#[derive(Debug, Default)]
pub(super) struct Follower {
    pub(super) bell: Bell,
    audit: Mutex<Audit>,
}

/// An event of the platform, put down to the place that it was watched at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event<'a> {
    /// Something happened to a name in a watched directory.
    Named(&'a platform::Key, &'a std::ffi::OsStr, Notice),
    /// Something happened to what is watched.
    Own(&'a platform::Key, Notice),
    /// What is watched was moved, with everything that is known below it.
    Uprooted(&'a platform::Key),
    /// A watch is no more.
    Gone(&'a platform::Key),
    /// Events were lost: anything may have happened.
    Overflow,
}

/// What all followers of the process share; it lives as long as any of them.
struct Watcher {
    events: platform::Events,
    registry: Arc<Mutex<Registry>>,
}

impl Watcher {
    /// Returns the watcher of the process, made if nobody else has it.
    fn shared() -> Arc<Self> {
        static WATCHER: Mutex<Weak<Watcher>> = Mutex::new(Weak::new());
        let mut watcher = lock(&WATCHER);
        if let Some(watcher) = watcher.upgrade() {
            return watcher;
        }
        let registry = Arc::<Mutex<Registry>>::default();
        let events = platform::Events::new(Arc::downgrade(&registry));
        let made = Arc::new(Self { events, registry });
        *watcher = Arc::downgrade(&made);
        made
    }

    /// Rings whoever `event` concerns.
    fn dispatch(&self, event: Event<'_>) {
        lock(&self.registry).ring(event);
    }

    /// Watches `path` and enters `follower` for it; `None` where nothing is there.
    fn watch(
        &self,
        path: &Path,
        kind: Kind,
        place: &Place,
        follower: &Arc<Follower>,
    ) -> Result<Option<platform::Key>, NoWatch> {
        loop {
            // The platform is asked without the registry's lock, since a path may be on a server
            // that does not answer. Should a watch end in between, the key might be that one's.
            let ended = lock(&self.registry).ended();
            let Some(key) = self.events.add(path, kind)? else { return Ok(None) };
            let mut registry = lock(&self.registry);
            if registry.ended() == ended {
                registry.enter(key.clone(), place, follower);
                return Ok(Some(key));
            }
        }
    }

    /// Takes `follower` out of `places`; a watch that nobody needs any more ends.
    fn forget(&self, places: &[Armed], follower: &Arc<Follower>) {
        let unneeded: Vec<_> = {
            let mut registry = lock(&self.registry);
            let mut leave = |armed: &&Armed| registry.leave(&armed.key, &armed.place, follower);
            places.iter().filter(|armed| leave(armed)).map(|armed| armed.key.clone()).collect()
        };
        for key in &unneeded {
            // Without the registry's lock, which whoever reads events may be waiting for.
            self.events.remove(key);
            // Should somebody have come to need it in between, it is gone for them, too.
            self.dispatch(Event::Gone(key));
        }
    }
}

/// What the watcher does on one runtime, for as long as anyone there follows a file.
struct Host {
    watcher: Arc<Watcher>,
    schedule: Arc<Schedule>,
    tasks: [AbortHandle; 2],
}

/// The periodic looks of one runtime.
#[derive(Default)]
struct Schedule {
    audits: Mutex<Audits>,
    changed: Notify,
}

impl Host {
    /// Returns the host of the current runtime, started if nobody else there has it.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    fn here() -> Arc<Self> {
        static HOSTS: Mutex<Option<HashMap<Id, Weak<Host>>>> = Mutex::new(None);
        let mut hosts = lock(&HOSTS);
        let hosts = hosts.get_or_insert_default();
        let runtime = Handle::current();
        if let Some(host) = hosts.get(&runtime.id()).and_then(Weak::upgrade) {
            return host;
        }
        let watcher = Watcher::shared();
        let schedule = Arc::<Schedule>::default();
        let events = runtime.spawn(platform::read_events(Arc::clone(&watcher)));
        let looks = runtime.spawn(keep_schedule(Arc::clone(&schedule)));
        let tasks = [events.abort_handle(), looks.abort_handle()];
        let host = Arc::new(Self { watcher, schedule, tasks });
        hosts.retain(|_, host| host.strong_count() > 0);
        hosts.insert(runtime.id(), Arc::downgrade(&host));
        host
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Looks at files when they are due.
async fn keep_schedule(schedule: Arc<Schedule>) {
    loop {
        let next = lock(&schedule.audits).next_due();
        tokio::select! {
            biased;
            () = schedule.changed.notified() => continue,
            () = async { sleep_until(next.unwrap_or_else(Instant::now)).await }, if next.is_some() => {}
        }
        let due = lock(&schedule.audits).take_due(Instant::now());
        let looks =
            spawn_blocking(move || due.iter().for_each(|follower| follower.look_at_files()));
        // It fails only when the runtime shuts down, and this task with it.
        let _shutting_down = looks.await;
    }
}

/// A place that a follower is rung from.
#[derive(Debug)]
struct Armed {
    key: platform::Key,
    place: Place,
    /// Equal for the same place of the same directory or file.
    sum: u64,
    /// How many overflows there had been when it was set.
    overflows: u64,
}

/// A follower's place in the watcher; dropping it takes the follower out without a trace.
pub(super) struct Subscription {
    follower: Arc<Follower>,
    host: Arc<Host>,
    /// Where it is rung from.
    places: Vec<Armed>,
    /// How often its files are looked at.
    interval: Option<Duration>,
}

impl Subscription {
    /// Puts a follower under the watcher of the process, on the current runtime.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub(super) fn new(follower: Arc<Follower>) -> Self {
        Self { follower, host: Host::here(), places: Vec::new(), interval: None }
    }

    /// Sets how often the follower's files are looked at; `None`: never.
    pub(super) fn set_interval(&mut self, interval: Option<Duration>) {
        if self.interval == interval {
            return;
        }
        let mut audits = lock(&self.host.schedule.audits);
        if let Some(old) = self.interval {
            audits.remove(old, &self.follower);
        }
        if let Some(new) = interval
            && audits.add(new, &self.follower, Instant::now())
        {
            self.host.schedule.changed.notify_one();
        }
        self.interval = interval;
    }

    /// Watches every place that `paths` go through, and no other.
    ///
    /// When it returns, any later change of what a path means rings the follower.
    ///
    /// # Errors
    ///
    /// When the platform has no more watches to give. Those that were had are kept.
    pub(super) fn arm(&mut self, paths: &[PathBuf]) -> Result<(), NoWatch> {
        self.host.watcher.events.connect()?;
        // A directory that was replaced while its watch was set leads elsewhere by now.
        for _ in 0..MOST_ROUNDS {
            if self.move_to(paths)? == Way::AsBefore {
                break;
            }
        }
        Ok(())
    }

    /// Sets the watches that are missing, then lets go of those that are no longer needed.
    fn move_to(&mut self, paths: &[PathBuf]) -> Result<Way, NoWatch> {
        let watcher = &self.host.watcher;
        let mut had = std::mem::take(&mut self.places);
        let overflows = lock(&watcher.registry).overflows();
        let mut outcome = Ok(Way::AsBefore);
        for stop in paths.iter().flat_map(|path| chain::stops(path)) {
            if self.places.iter().any(|armed| armed.sum == stop.sum) {
                continue;
            }
            let place = stop.name.as_deref().map_or(Place::Own, |name| Place::Name(name.into()));
            // One from before an overflow may have ended unheard, and another file have its number.
            if let Some(n) =
                had.iter().position(|armed| armed.sum == stop.sum && armed.overflows == overflows)
                && lock(&watcher.registry).has(&had[n].key, &place, &self.follower)
            {
                self.places.push(had.swap_remove(n));
                continue;
            }
            match watcher.watch(&stop.path, stop.kind, &place, &self.follower) {
                Ok(Some(key)) => {
                    self.places.push(Armed { key, place, sum: stop.sum, overflows });
                    // A target that is replaced rings by the watch on its directory.
                    if stop.kind != Kind::Target {
                        outcome = outcome.map(|_| Way::Changed);
                    }
                }
                Ok(None) => outcome = outcome.map(|_| Way::Changed),
                Err(error) => outcome = Err(error),
            }
        }
        // One inode may be had by two names: what is still needed stays.
        had.retain(|old| {
            !self.places.iter().any(|new| (&new.key, &new.place) == (&old.key, &old.place))
        });
        watcher.forget(&had, &self.follower);
        outcome
    }
}

/// Whether a directory on the way had to be watched anew, or was gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    AsBefore,
    Changed,
}

/// A path that is replaced faster than this many times in a row rings its follower anyway.
const MOST_ROUNDS: usize = 4;

impl Drop for Subscription {
    fn drop(&mut self) {
        self.set_interval(None);
        let places = std::mem::take(&mut self.places);
        self.host.watcher.forget(&places, &self.follower);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic under one of these locks leaves nothing half done that matters.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

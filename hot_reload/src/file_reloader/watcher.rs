//! The one watcher of the process: turns filesystem events and periodic looks into rung bells.
//!
//! It has no thread of its own, save under a runtime without I/O. Events are read where the services
//! run, by one task a runtime and queue, so that from the kernel to a service there is a single wake-up; every
//! task reads for all, and a runtime that is busy holds up no other.

mod audit;
mod host;
#[cfg(all(target_os = "linux", not(hot_reload_portable)))]
mod inotify;
mod mounts;
#[cfg(not(all(target_os = "linux", not(hot_reload_portable))))]
mod portable;
mod registry;
mod rounds;
mod subscription;
mod table;

use std::{
    ffi::OsStr,
    path::Path,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

#[cfg(all(target_os = "linux", not(hot_reload_portable)))]
use self::inotify as platform;
#[cfg(not(all(target_os = "linux", not(hot_reload_portable))))]
use self::portable as platform;
pub(super) use self::{
    audit::{Audited, Opaque, Rule},
    mounts::AsOf,
    platform::NoWatch,
    subscription::{Files, Subscription, Telling},
};
use self::{
    mounts::Mounts,
    registry::{Place, Registry},
    table::Seat,
};
use super::{
    bell::{Bell, Notice, Whence},
    chain::Kind,
};
use crate::lock::lock;

/// How often a thread is asked for that is not to be had, or has not what it takes for its work.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// One follower as the watcher knows it.
#[derive(Debug, Default)]
pub(super) struct Follower {
    pub(super) bell: Bell,
    /// Where its files are compared with what they were, while they are looked at now and then.
    seat: Mutex<Option<Seat>>,
}

/// An event of the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event<'a> {
    /// Something happened at a watch.
    At(&'a platform::Key, What<'a>),
    /// Events were lost: anything may have happened.
    Overflow,
}

/// What happened at a watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What<'a> {
    /// Something to a name in the directory that is watched.
    Named(&'a OsStr, Notice),
    /// Something to what is watched itself.
    Own(Notice),
    /// It was moved with everything that is below it, or is a directory that others may enter by now.
    Uprooted,
    /// The watch is no more.
    Gone,
}

/// What all followers of the process share; it lives as long as any of them.
struct Watcher {
    events: platform::Events,
    registry: Arc<Mutex<Registry>>,
    mounts: Mounts,
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
        let made = Arc::new(Self { events, registry, mounts: Mounts::new() });
        *watcher = Arc::downgrade(&made);
        made
    }

    /// Rings whoever `event` concerns; returns whether it may concern anybody.
    fn dispatch(&self, event: Event<'_>) -> bool {
        lock(&self.registry).ring(event)
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
    fn forget<'a>(
        &self,
        places: impl Iterator<Item = (&'a platform::Key, &'a Place)>,
        follower: &Arc<Follower>,
    ) {
        let unneeded: Vec<_> = {
            let mut registry = lock(&self.registry);
            places
                .filter(|(key, place)| registry.leave(key, place, follower))
                .map(|(key, _)| key.clone())
                .collect()
        };
        for key in &unneeded {
            // Without the registry's lock, which whoever reads events may be waiting for.
            self.events.remove(key);
            // Should somebody have come to need it in between, it is gone for them, too.
            self.dispatch(Event::At(key, What::Gone));
        }
    }
}

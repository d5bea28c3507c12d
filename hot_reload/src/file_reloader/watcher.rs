//! The one watcher of the process: turns filesystem events and periodic looks into rung bells.

mod audit;
#[cfg(all(target_os = "linux", not(hot_reload_portable)))]
mod inotify;
#[cfg(not(all(target_os = "linux", not(hot_reload_portable))))]
mod portable;
mod registry;

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
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
    chain::Chain,
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

/// The thread that waits for events and looks at files, for every follower of the process.
///
/// It lives as long as someone has a [`Subscription`].
struct Watcher {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    events: platform::Events,
    registry: Mutex<Registry>,
    audits: Mutex<Audits>,
    stop: AtomicBool,
}

static WATCHER: Mutex<Weak<Watcher>> = Mutex::new(Weak::new());

impl Watcher {
    /// Returns the watcher of the process, started if nobody else has it.
    fn shared() -> io::Result<Arc<Self>> {
        let mut watcher = WATCHER.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = watcher.upgrade() {
            return Ok(running);
        }
        let started = Arc::new(Self::start()?);
        *watcher = Arc::downgrade(&started);
        Ok(started)
    }

    fn start() -> io::Result<Self> {
        let shared = Arc::new(Shared {
            events: platform::Events::new()?,
            registry: Mutex::default(),
            audits: Mutex::default(),
            stop: AtomicBool::new(false),
        });
        let thread = thread::Builder::new().name("hot-reload-watch".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || shared.run()
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        // Release: whatever was done before the stop is seen by the thread that obeys it.
        self.shared.stop.store(true, Ordering::Release);
        self.shared.events.wake();
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != thread::current().id()
        {
            // Its only way to fail is a panic, which has been printed.
            let _ended = thread.join();
        }
    }
}

impl Shared {
    fn run(&self) {
        let mut due = Vec::new();
        loop {
            let timeout = lock(&self.audits)
                .next_due()
                .map(|at| at.saturating_duration_since(Instant::now()));
            self.dispatch(timeout);
            // Acquire: pairs with the store in `Watcher::drop`.
            if self.stop.load(Ordering::Acquire) {
                return;
            }
            lock(&self.audits).take_due(Instant::now(), &mut due);
            for (n, follower) in due.drain(..).enumerate() {
                follower.look_at_files();
                // Events don't wait for a long round of looks.
                if n % LOOKS_BETWEEN_EVENTS == LOOKS_BETWEEN_EVENTS - 1 {
                    self.dispatch(Some(Duration::ZERO));
                }
            }
        }
    }

    /// Waits for events and rings whoever they concern.
    fn dispatch(&self, timeout: Option<Duration>) {
        self.events.wait(timeout, |event| lock(&self.registry).ring(event));
    }
}

/// A look takes about a microsecond, so events wait no longer than a fraction of a millisecond.
const LOOKS_BETWEEN_EVENTS: usize = 128;

/// Whether watches had to be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Armed {
    /// Every watch stood already.
    AsBefore,
    /// Some are new: what was seen before may have changed unseen.
    Anew,
}

/// A follower's place in the watcher; dropping it takes the follower out without a trace.
pub(super) struct Subscription {
    follower: Arc<Follower>,
    watcher: Arc<Watcher>,
    /// Where it is rung from.
    places: Vec<(platform::Key, Place)>,
    /// Of the chains that the places belong to.
    fingerprint: Option<u64>,
    /// How often its files are looked at.
    interval: Option<Duration>,
}

impl Subscription {
    /// Puts a follower under the watcher of the process.
    pub(super) fn new(follower: Arc<Follower>) -> io::Result<Self> {
        let watcher = Watcher::shared()?;
        Ok(Self { follower, watcher, places: Vec::new(), fingerprint: None, interval: None })
    }

    /// Sets how often the follower's files are looked at; `None`: never.
    pub(super) fn set_interval(&mut self, interval: Option<Duration>) {
        if self.interval == interval {
            return;
        }
        let shared = &self.watcher.shared;
        let mut audits = lock(&shared.audits);
        if let Some(old) = self.interval {
            audits.remove(old, &self.follower);
        }
        if let Some(new) = interval {
            audits.add(new, &self.follower, Instant::now());
            // The thread may be waiting for longer than that.
            shared.events.wake();
        }
        self.interval = interval;
    }

    /// Watches every place that `paths` go through, unless it does already.
    ///
    /// When it returns, any later change of what a path means rings the follower; a change that
    /// was made meanwhile is found by looking again.
    ///
    /// # Errors
    ///
    /// When the platform has no more watches to give. Places that were had before are kept.
    pub(super) fn arm(&mut self, paths: &[PathBuf], anew: bool) -> Result<Armed, NoWatch> {
        self.watcher.shared.events.connect()?;
        let mut anew = anew;
        let mut armed = Armed::AsBefore;
        for _ in 0..MOST_ROUNDS {
            let chains: Vec<Chain> = paths.iter().map(|path| Chain::resolve(path)).collect();
            let fingerprint =
                chains.iter().fold(0, |sum: u64, chain| sum.rotate_left(1) ^ chain.fingerprint);
            if !anew && self.fingerprint == Some(fingerprint) {
                break;
            }
            anew = false;
            armed = Armed::Anew;
            self.move_to(&chains)?;
            self.fingerprint = Some(fingerprint);
        }
        Ok(armed)
    }

    /// Sets the watches of `chains`, then lets go of those that are no longer needed.
    fn move_to(&mut self, chains: &[Chain]) -> Result<(), NoWatch> {
        let shared = &self.watcher.shared;
        let mut places = Vec::with_capacity(self.places.len());
        let mut outcome = Ok(());
        'chains: for chain in chains {
            let hops = chain.hops.iter().map(|hop| {
                let kind = if hop.last { platform::Kind::Parent } else { platform::Kind::Way };
                (&hop.dir, kind, Place::Name(hop.name.as_os_str().into()))
            });
            let target = chain.target.iter().map(|t| (t, platform::Kind::Target, Place::Own));
            for (path, kind, place) in hops.chain(target) {
                match shared.watch(path, kind, &place, &self.follower) {
                    Ok(Some(key)) => places.push((key, place)),
                    // Gone since the chain was resolved; the next round sees that.
                    Ok(None) => {}
                    Err(error) => {
                        outcome = Err(error);
                        break 'chains;
                    }
                }
            }
        }
        places.sort_unstable();
        places.dedup();
        let old = std::mem::replace(&mut self.places, places);
        shared.forget(
            old.iter().filter(|old| self.places.binary_search(old).is_err()),
            &self.follower,
        );
        if outcome.is_err() {
            self.fingerprint = None;
        }
        outcome
    }
}

/// A path that is replaced faster than this many times in a row rings its follower anyway.
const MOST_ROUNDS: usize = 4;

impl Shared {
    /// Watches `path` and enters `follower` for it; `None` where nothing is there.
    fn watch(
        &self,
        path: &std::path::Path,
        kind: platform::Kind,
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
        places: impl Iterator<Item = &'a (platform::Key, Place)>,
        follower: &Arc<Follower>,
    ) {
        let mut registry = lock(&self.registry);
        for (key, place) in places {
            if registry.leave(key, place, follower) {
                self.events.remove(key);
            }
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.set_interval(None);
        let places = std::mem::take(&mut self.places);
        self.watcher.shared.forget(places.iter(), &self.follower);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // A panic under one of these locks leaves nothing half done that matters.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

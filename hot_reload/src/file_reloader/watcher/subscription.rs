//! A follower's place in the watcher: where it is rung from, and how often its files are looked at.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{AsOf, Follower, NoWatch, Notice, Whence, host::Host, platform, registry::Place};
use crate::{
    file_reloader::{
        chain::{Kind, Stop},
        open::{Filesystems, WouldBlock},
    },
    lock::lock,
};

/// A place that a follower is rung from.
#[derive(Debug)]
struct Armed {
    key: platform::Key,
    place: Place,
    /// Equal for the same name in the same directory, and for the same file.
    sum: u64,
    kind: Kind,
    /// How many overflows there had been when it was set.
    overflows: u64,
}

/// A follower's place in the watcher; dropping it takes the follower out without a trace.
pub(in crate::file_reloader) struct Subscription {
    follower: Arc<Follower>,
    host: Arc<Host>,
    /// Where it is rung from.
    places: Vec<Armed>,
    /// How often its files are looked at.
    interval: Option<Duration>,
    /// What its directories are watched for.
    telling: Telling,
    /// When they may be watched for less.
    less_at: Option<Instant>,
}

impl Subscription {
    /// Puts a follower under the watcher of the process, on the current runtime.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub(in crate::file_reloader) fn new(follower: Arc<Follower>) -> Self {
        Self {
            follower,
            host: Host::here(),
            places: Vec::new(),
            interval: None,
            telling: Telling::ByLease,
            less_at: None,
        }
    }

    /// Sets how often the follower's files are looked at; `None`: never.
    pub(in crate::file_reloader) fn set_interval(&mut self, interval: Option<Duration>) {
        if self.interval != interval {
            self.host.schedule.look(&self.follower, self.interval, interval);
            self.interval = interval;
        }
    }

    /// Watches every place on the `way`, and no other; `telling` says whether leases tell of the files' writers.
    /// That they do is relied on once it has been so for a while.
    ///
    /// When it returns, any later change of what a path means rings the follower; with
    /// [`Files::Later`] save an edit through another name of a file that was not watched before.
    ///
    /// # Errors
    ///
    /// When the platform has no more watches to give. Those that were had are kept. On the outside,
    /// where the way can't be walked without waiting.
    pub(in crate::file_reloader) fn arm(
        &mut self,
        way: impl Fn() -> Result<Vec<Stop>, WouldBlock>,
        files: Files,
        telling: Telling,
    ) -> Result<Result<(), NoWatch>, WouldBlock> {
        if let Err(none) = self.host.watcher.events.connect() {
            return Ok(Err(none));
        }
        self.tell(telling);
        // A directory that was replaced while its watch was set leads elsewhere by now.
        for _ in 0..MOST_ROUNDS {
            let news = self.follower.bell.news();
            match self.move_to(way()?, files) {
                Ok(Way::Changed) => {}
                Ok(Way::AsBefore) => {
                    self.trust_links(news);
                    return Ok(Ok(()));
                }
                Err(none) => return Ok(Err(none)),
            }
        }
        self.follower.bell.ring(Notice::Gone, Whence::ANYWHERE);
        Ok(Ok(()))
    }

    /// When its directories may be watched for less than they are.
    pub(in crate::file_reloader) fn less_at(&self) -> Option<Instant> {
        self.less_at
    }

    /// Has directories watched for what `telling` takes; for less than before once it has been so for a while.
    fn tell(&mut self, telling: Telling) {
        let takes_less = self.telling == Telling::ByEventsAlone && telling == Telling::ByLease;
        if takes_less {
            let now = Instant::now();
            let at = *self.less_at.get_or_insert(now + REST);
            if now < at {
                return;
            }
        }
        (self.telling, self.less_at) = (telling, None);
    }

    /// Takes note that nobody writes to the links on the way, unless there is `news` since it was
    /// walked: whoever created a name may, but for these no end of that is ever told.
    fn trust_links(&self, news: u64) {
        for Armed { key, place, .. } in &self.places {
            if let Place::Way(_) = place {
                self.follower.bell.note_unwritten(place.whence(key), news);
            }
        }
    }

    /// What the process knows of filesystems by now.
    pub(in crate::file_reloader) fn filesystems(&self) -> (Arc<Filesystems>, AsOf) {
        self.host.watcher.mounts.known()
    }

    /// Tells the process what was `found` since it knew as much.
    pub(in crate::file_reloader) fn tell_filesystems(&self, found: &Filesystems, as_of: AsOf) {
        self.host.watcher.mounts.learn(found, as_of);
    }

    /// Has everything rung for that has happened by now.
    pub(in crate::file_reloader) fn catch_up(&self) {
        platform::catch_up(&self.host.watcher);
    }

    /// Sets the watches that are missing, then lets go of those that are no longer needed.
    fn move_to(&mut self, way: Vec<Stop>, files: Files) -> Result<Way, NoWatch> {
        let watcher = &self.host.watcher;
        let mut had = std::mem::take(&mut self.places);
        let overflows = lock(&watcher.registry).overflows();
        let mut outcome = Ok(Way::AsBefore);
        for stop in way {
            let kind = match stop.kind {
                Kind::Parent if self.telling == Telling::ByEventsAlone => Kind::Untold,
                kind => kind,
            };
            let is_link = stop.turned.is_some();
            let place = match &stop.name {
                None if kind == Kind::File => Place::File,
                None => Place::Own,
                Some(name) if matches!(kind, Kind::Parent | Kind::Untold) && !is_link => {
                    Place::Content(name.as_os_str().into())
                }
                Some(name) => Place::Way(name.as_os_str().into()),
            };
            let is_it =
                |armed: &Armed| (armed.sum, armed.kind, &armed.place) == (stop.sum, kind, &place);
            if self.places.iter().any(is_it) {
                continue;
            }
            // One from before an overflow may have ended unheard, and another file have its number.
            let is_same = |armed: &Armed| armed.sum == stop.sum && armed.overflows == overflows;
            let is_told = |armed: &Armed| {
                lock(&watcher.registry).has(&armed.key, &armed.place, &self.follower)
            };
            if let Some(n) = had.iter().position(|armed| is_it(armed) && is_same(armed))
                && is_told(&had[n])
            {
                self.places.push(had.swap_remove(n));
                continue;
            }
            if stop.kind == Kind::File && files == Files::Later {
                continue;
            }
            match watcher.watch(&stop.path, kind, &place, &self.follower) {
                Ok(Some(key)) => {
                    self.places.push(Armed { key, place, sum: stop.sum, kind, overflows });
                    // A file that is replaced rings by the watch on its directory.
                    if stop.kind != Kind::File {
                        outcome = outcome.map(|_| Way::Changed);
                    }
                }
                Ok(None) => outcome = outcome.map(|_| Way::Changed),
                Err(error) => {
                    // What was told there before is told still.
                    let same = had.iter().position(|armed| is_same(armed) && is_told(armed));
                    let kept = same.map(|n| had.swap_remove(n));
                    let is_enough = |armed: &Armed| {
                        (armed.kind, kind) == (Kind::Untold, Kind::Parent) && armed.place == place
                    };
                    if !kept.as_ref().is_some_and(is_enough) {
                        outcome = Err(error);
                    }
                    self.places.extend(kept);
                }
            }
        }
        // One inode may be had by two names: what is still needed stays.
        had.retain(|old| {
            !self.places.iter().any(|new| (&new.key, &new.place) == (&old.key, &old.place))
        });
        self.hand_over(&had);
        let unneeded = had.iter().map(|armed| (&armed.key, &armed.place));
        watcher.forget(unneeded, &self.follower);
        outcome
    }

    /// Has who is heard to write by a watch that is let go waited for by the one that takes its place.
    fn hand_over(&self, had: &[Armed]) {
        let is_told = |old: &&Armed| {
            lock(&self.host.watcher.registry).has(&old.key, &old.place, &self.follower)
        };
        let taken_over: Vec<_> = had
            .iter()
            .filter(is_told)
            .filter_map(|old| {
                let new =
                    self.places.iter().find(|new| new.sum == old.sum && new.key != old.key)?;
                Some((old.place.whence(&old.key), new.place.whence(&new.key)))
            })
            .collect();
        if taken_over.is_empty() {
            return;
        }
        let bell = &self.follower.bell;
        // What the new one was too late for is told by the former alone, and by nobody once that is gone.
        self.catch_up();
        for (old, new) in &taken_over {
            bell.hears_as(*old, *new);
        }
        // The same goes for the end of it, up to here.
        self.catch_up();
        for (old, _new) in taken_over {
            bell.end_hand_over(old);
        }
    }
}

/// Leases are relied on once they have told of a file for this long: whoever made it may yet give it to another
/// user, of whose writing only events tell; and who replaces it again pays for no watch that ends.
const REST: Duration = Duration::from_millis(250);

/// Whether files that are not watched themselves yet are to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::file_reloader) enum Files {
    Now,
    Later,
}

/// Whether leases tell of the writers of the files that were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::file_reloader) enum Telling {
    ByLease,
    ByEventsAlone,
}

/// Whether a directory on the way had to be watched anew, or was gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    AsBefore,
    Changed,
}

/// A path that is replaced faster than this many times in a row is looked at anew.
const MOST_ROUNDS: usize = 4;

impl Drop for Subscription {
    fn drop(&mut self) {
        self.set_interval(None);
        let places = std::mem::take(&mut self.places);
        let places = places.iter().map(|armed| (&armed.key, &armed.place));
        self.host.watcher.forget(places, &self.follower);
    }
}

#[cfg(all(test, target_os = "linux", not(hot_reload_portable), not(miri)))]
mod tests {
    use std::{fs, future::poll_fn, time::Duration};

    use super::*;
    use crate::file_reloader::{chain, open::How};

    /// Who made the file was once told of by a watch that was let go before it was read.
    #[tokio::test]
    async fn who_is_at_work_when_a_directory_is_watched_for_more_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let paths = [dir.path().join("config.toml")];
        fs::write(&paths[0], "one").unwrap();
        let follower = Arc::<Follower>::default();
        let mut subscription = Subscription::new(Arc::clone(&follower));
        let way = || chain::stops(&paths, How::Blocking, &Filesystems::default());
        subscription.arm(way, Files::Now, Telling::ByLease).unwrap().unwrap();
        // Nobody reads of it meanwhile.
        fs::remove_file(&paths[0]).unwrap();
        let writer = fs::File::create(&paths[0]).unwrap();
        subscription.arm(way, Files::Now, Telling::ByEventsAlone).unwrap().unwrap();
        subscription.catch_up();
        assert!(follower.bell.heard_writers());
        drop(writer);
        subscription.catch_up();
        assert!(!follower.bell.heard_writers());
    }

    /// As where a directory beside it is busy; half of a file was once published for want of it.
    #[tokio::test]
    async fn who_is_at_work_is_heard_however_much_else_is_to_be_heard_first() {
        let dir = tempfile::tempdir().unwrap();
        let paths = [dir.path().join("config.toml")];
        let follower = Arc::<Follower>::default();
        let mut subscription = Subscription::new(Arc::clone(&follower));
        let way = || chain::stops(&paths, How::Blocking, &Filesystems::default());
        subscription.arm(way, Files::Now, Telling::ByLease).unwrap().unwrap();
        // Nobody reads of it meanwhile.
        for n in 0..2000 {
            fs::write(dir.path().join(n.to_string()), "").unwrap();
        }
        let _writer = fs::File::create(&paths[0]).unwrap();
        subscription.catch_up();
        assert!(follower.bell.heard_writers());
    }

    /// It is there whenever the way is walked, and gone whenever it is to be watched.
    #[tokio::test]
    async fn a_way_that_changes_in_every_round_rings() {
        let dir = tempfile::tempdir().unwrap();
        let app = dir.path().join("app");
        let paths = [app.join("config.toml")];
        let follower = Arc::<Follower>::default();
        let mut subscription = Subscription::new(Arc::clone(&follower));
        let way = || {
            fs::create_dir(&app).unwrap();
            fs::write(&paths[0], "one").unwrap();
            let way = chain::stops(&paths, How::Blocking, &Filesystems::default());
            fs::remove_dir_all(&app).unwrap();
            way
        };
        subscription.arm(way, Files::Now, Telling::ByLease).unwrap().unwrap();
        let rung = poll_fn(|cx| follower.bell.poll(cx));
        tokio::time::timeout(Duration::from_secs(10), rung).await.unwrap();
    }
}

//! Where a follower's files are: watched, then looked at, where that may block.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, TryLockError, Weak},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::time::Instant;

use super::{
    bell::Arm,
    chain,
    error::{FileError, Problem},
    identity::Identity,
    load::{turn_to_load, unblock_in},
    open::{Domain, Filesystem, Filesystems, How, Opened, WouldBlock},
    survey::{Holds, Survey},
    watcher::{Files, Follower, NoWatch, Subscription, Telling},
};
use crate::lock::lock;

/// The files of a set and the watches on them.
#[derive(Clone)]
pub(super) struct Site {
    /// The main file, then those that belong to it.
    paths: Arc<[PathBuf]>,
    /// `None` where nobody is to be rung. Locked only where blocking is allowed, or where
    /// it is free.
    subscription: Option<Arc<Mutex<Subscription>>>,
    wants_events: bool,
    /// Why there are no events.
    no_events: Option<NoWatch>,
    /// Where each path led when it was last looked at; empty before.
    places: Vec<Option<Place>>,
    /// When a file that took another's place is to be watched itself.
    rests_until: Option<Instant>,
    /// When the directories of the files may be watched for less.
    less_at: Option<Instant>,
    /// Where it is known that writers are told of.
    told: Option<Domain>,
    /// What tells of the writers of the files, by what is watched.
    telling: Telling,
    /// What is known of filesystems.
    known: Arc<Filesystems>,
    /// One on the way to the files whose server may not answer, if any is; `None` before the way was
    /// walked.
    way: Option<Filesystem>,
    /// When the link on the way that was turned last was, in nanoseconds since 1970; `None` where there is none.
    turned: Option<i64>,
    /// The least trustworthy filesystem of the set.
    filesystem: Filesystem,
    /// A survey that was given up on and still has its thread.
    hung: Weak<()>,
}

/// A file's device and inode.
type Place = (u64, u64);

/// A file that took another's place is watched itself once it has been in it for this long.
///
/// Whoever replaces a file that is watched itself pays for the end of that watch, which the kernel
/// cleans up before it lets anybody run who waits for the new file: on a virtual machine, where
/// interrupts between processors are dear, that costs more than all of our reading. Until then the
/// watch on its directory tells of every write by its name, and the look at the end of the rest
/// finds what was written by another.
const REST: Duration = Duration::from_millis(250);

impl Site {
    /// A site that is looked at when its owner wants to, and at no other time.
    pub(super) fn unwatched(path: PathBuf) -> Self {
        Self {
            paths: [path].into(),
            subscription: None,
            wants_events: false,
            no_events: None,
            places: Vec::new(),
            rests_until: None,
            less_at: None,
            told: None,
            telling: Telling::ByEventsAlone,
            known: Arc::default(),
            way: None,
            turned: None,
            filesystem: Filesystem::Local,
            hung: Weak::new(),
        }
    }

    /// A site that rings `follower`.
    pub(super) fn watched(path: PathBuf, wants_events: bool, follower: &Arc<Follower>) -> Self {
        let subscription = Subscription::new(Arc::clone(follower));
        Self {
            wants_events,
            subscription: Some(Arc::new(Mutex::new(subscription))),
            ..Self::unwatched(path)
        }
    }

    pub(super) fn paths(&self) -> &Arc<[PathBuf]> {
        &self.paths
    }

    /// Puts the files that belong to the main one in place of the former; false if any is new.
    pub(super) fn set_dependencies(&mut self, dependencies: Vec<PathBuf>) -> bool {
        let stands_alone = dependencies.is_empty() && self.paths.len() == 1;
        stands_alone || self.move_to(dependencies)
    }

    /// The same, where there are or were any; a relative path is meant from beside the main file.
    fn move_to(&mut self, mut dependencies: Vec<PathBuf>) -> bool {
        let main = &self.paths[0];
        for path in &mut dependencies {
            *path = main.with_file_name(&*path);
        }
        // The order in which a loader names them means nothing.
        dependencies.sort_unstable();
        dependencies.dedup();
        dependencies.retain(|path| path != main);
        if self.paths[1..] == dependencies {
            return true;
        }
        let knew_all = dependencies.iter().all(|path| self.paths.contains(path));
        let main = self.paths[0].clone();
        self.paths = std::iter::once(main).chain(dependencies).collect();
        self.places.clear();
        knew_all
    }

    /// The least trustworthy filesystem of the files, or of the way to them if that is on a server.
    pub(super) fn filesystem(&self) -> Filesystem {
        self.way.filter(|way| way.is_remote()).unwrap_or(self.filesystem)
    }

    /// Why there are no events, where they are wanted.
    pub(super) fn no_events(&self) -> Option<&NoWatch> {
        self.no_events.as_ref()
    }

    /// When to see what is to be watched, though nothing happens: a file that took another's place is then
    /// watched itself, and a directory for no more than it has to be.
    pub(super) fn arms_at(&self) -> Option<Instant> {
        self.rests_until.into_iter().chain(self.less_at).min()
    }

    /// Sets how often the files are compared with what they were.
    pub(super) fn set_interval(&self, interval: Option<Duration>) {
        // It is locked only by a survey that was given up on; the next one gets it.
        if let Some(mut subscription) = self.subscription.as_deref().and_then(try_lock) {
            subscription.set_interval(interval);
        }
    }

    /// Whether it is yet to be found out what to watch, or not all of it could be watched.
    pub(super) fn is_unwatched(&self) -> bool {
        self.way.is_none() || self.no_events.is_some()
    }

    /// Whether leases tell of the writers of the files, as far as is known.
    pub(super) fn leases_tell(&self) -> bool {
        self.telling == Telling::ByLease
    }

    /// Takes note that leases tell of no writers; false where they were not relied on.
    pub(super) fn distrust_leases(&mut self) -> bool {
        if self.telling == Telling::ByEventsAlone {
            return false;
        }
        (self.telling, self.told, self.rests_until) = (Telling::ByEventsAlone, None, None);
        true
    }

    /// Looks at the files, with watches on the way to them as `arm` says; `None` where that has to
    /// wait.
    pub(super) fn survey_at_once(&mut self, arm: Arm) -> Option<Box<Survey>> {
        match self.how() {
            How::Cached => self.survey_with(arm, How::Cached).ok(),
            How::Blocking => None,
        }
    }

    /// The same, however long it takes.
    pub(super) async fn survey(&mut self, arm: Arm) -> Box<Survey> {
        if let Some(survey) = self.survey_at_once(arm) {
            return survey;
        }
        if self.hung.strong_count() > 0 {
            return Box::new(self.nothing("the filesystem does not answer".to_owned()));
        }
        let turn = turn_to_load().await;
        // Of many that start together, one finds out for all what their files are on.
        if self.way.is_none()
            && let Ok(survey) = self.survey_with(arm, How::Cached)
        {
            return survey;
        }
        let mut site = self.clone();
        let running = Arc::new(());
        self.hung = Arc::downgrade(&running);
        let elsewhere = unblock_in(turn, move || {
            let survey = site.survey_with(arm, How::Blocking);
            drop(running);
            (site, survey)
        });
        match elsewhere.await {
            Ok((site, Ok(survey))) => {
                *self = site;
                survey
            }
            Ok((_, Err(WouldBlock))) => Box::new(self.nothing("it can't be waited for".to_owned())),
            Err(words) => {
                // It may be in a queue that no thread works off.
                self.hung = Weak::new();
                Box::new(self.nothing(words))
            }
        }
    }

    fn nothing(&self, words: String) -> Survey {
        let trouble = FileError::new(&self.paths[0], Problem::Stuck(words));
        Survey::nothing(&self.paths, Err(trouble))
    }

    /// Tells whether what was found is still so; `None` where that has to wait.
    pub(super) fn holds_at_once(&self, survey: &Survey) -> Option<Holds> {
        // The way to each file has just been walked.
        if self.how() == How::Cached { survey.holds().ok() } else { None }
    }

    /// The same, however long it takes.
    pub(super) async fn holds(&self, survey: &Survey) -> Holds {
        match self.holds_at_once(survey) {
            Some(holds) => holds,
            None => survey.holds_elsewhere().await,
        }
    }

    /// When the link on the way that was turned last was, in nanoseconds since 1970.
    pub(super) fn turned(&self) -> Option<i64> {
        self.turned
    }

    /// Whether one may have been written since a link was turned to it, by somebody whom nothing tells of: it was
    /// not watched then.
    pub(super) fn may_be_newer_than_its_link(&self, survey: &Survey) -> bool {
        // Equal, it may be: the clock of both is coarse.
        let is_newer =
            |turned| survey.identities.iter().flatten().any(|file| file.changed >= turned);
        !self.leases_tell() && self.turned.is_some_and(is_newer)
    }

    /// When any of the files, or a link on the way to them, changed last; `None` where a server would
    /// have to be asked.
    pub(super) fn edited(&self, files: &[Option<Identity>]) -> Option<SystemTime> {
        if self.filesystem().is_remote() {
            return None;
        }
        let mut newest = files.iter().flatten().map(|file| file.changed).max()?;
        // Without events nothing tells of a link that comes to be on the way.
        if self.turned.is_some() || !self.wants_events {
            let way = chain::stops(&self.paths, How::Cached, &self.known).ok()?;
            newest = way.iter().filter_map(|stop| stop.turned).fold(newest, i64::max);
        }
        UNIX_EPOCH.checked_add(Duration::from_nanos(newest.try_into().ok()?))
    }

    /// Has the follower rung for everything that has happened by now.
    pub(super) fn catch_up(&self) {
        // It is locked only by a survey that was given up on.
        if let Some(subscription) = self.subscription.as_deref().and_then(try_lock) {
            subscription.catch_up();
        }
    }

    /// A server may not answer even for what is in memory.
    fn how(&self) -> How {
        if self.filesystem().is_remote() { How::Blocking } else { How::Cached }
    }

    fn survey_with(&mut self, arm: Arm, how: How) -> Result<Box<Survey>, WouldBlock> {
        if arm == Arm::All || self.way.is_none() {
            self.walk(how)?;
        }
        // What is not in memory is found out by opening it, and nothing else is done then.
        let mut survey = Survey::of(&self.paths, how, &self.known)?;
        if self.wants_events {
            let lead = self.lead(&survey);
            if lead != Lead::Same || arm != Arm::None {
                self.watch(arm, how, lead, &mut survey)?;
            }
        }
        self.filesystem = survey.filesystem().unwrap_or(self.filesystem);
        Ok(survey)
    }

    /// Sees to it that what was found is watched, and looks again if it may have been another before it
    /// was.
    #[inline(never)]
    fn watch(
        &mut self,
        arm: Arm,
        how: How,
        lead: Lead,
        survey: &mut Box<Survey>,
    ) -> Result<(), WouldBlock> {
        let must_arm = match lead {
            Lead::Same => arm == Arm::Same && self.rests_until.is_none(),
            Lead::Replaced => false,
            Lead::Elsewhere => true,
        };
        if lead == Lead::Elsewhere {
            // Another may rest, while of this one not everything is told by its directory.
            self.rests_until = None;
        }
        if must_arm && arm != Arm::All {
            *survey = self.survey_with(Arm::All, how)?;
            return Ok(());
        }
        if lead == Lead::Replaced {
            self.rests_until = Some(Instant::now() + REST);
            // Of a set, only what has been replaced was asked.
            let is_new = |file: &&Arc<Opened>| !self.places.contains(&place(Some(&file.identity)));
            self.told = survey.files().find(is_new).map(|file| file.domain());
        }
        if arm == Arm::All {
            self.arm(how, survey.telling())?;
        }
        let found = survey.identities.iter();
        self.places = found.map(|found| place(found.as_ref())).collect();
        // What was found before the watches stood counts if it is still there.
        if arm == Arm::All && !survey.is_still_there() {
            *survey = Survey::of(&self.paths, how, &self.known)?;
            // It may be by another way than the one that is watched.
            self.places.clear();
        }
        Ok(())
    }

    /// Where the paths lead, compared with before.
    fn lead(&self, survey: &Survey) -> Lead {
        if self.places.len() != survey.identities.len() {
            return Lead::Elsewhere;
        }
        let mut lead = Lead::Same;
        for (found, was) in survey.identities.iter().zip(&self.places) {
            // Where nothing is there may be a link by now, to where something is yet to be.
            if found.is_some() && place(found.as_ref()) == *was {
                continue;
            }
            let mut files = survey.files();
            let may_rest =
                |file: &Arc<Opened>| Some(file.identity) == *found && file.may_rest(self.told);
            if was.is_none() || !files.any(may_rest) {
                return Lead::Elsewhere;
            }
            lead = Lead::Replaced;
        }
        lead
    }

    /// Walks the way to the files; with [`How::Blocking`], asks what it leads over.
    #[cold]
    fn walk(&mut self, how: How) -> Result<(), WouldBlock> {
        let subscription = match &self.subscription {
            Some(subscription) => Some(locked(subscription, how)?),
            None => None,
        };
        let known = subscription.as_deref().map(Subscription::filesystems);
        // Filesystems are asked without the lock, since a server may not answer.
        drop(subscription);
        let (known, as_of) = known.unwrap_or_default();
        let way = chain::stops(&self.paths, how, &known)?;
        self.known = match how {
            How::Cached => known,
            How::Blocking => {
                let mut found = Filesystems::clone(&known);
                for stop in &way {
                    found.learn_of(stop);
                }
                if let Some(subscription) = &self.subscription {
                    locked(subscription, how)?.tell_filesystems(&found, as_of);
                }
                Arc::new(found)
            }
        };
        self.turned = way.iter().filter_map(|stop| stop.turned).max();
        let mut on_the_way = way.iter().filter_map(|stop| self.known.get(stop.device?));
        self.way = Some(on_the_way.find(|found| found.is_remote()).unwrap_or(Filesystem::Local));
        Ok(())
    }

    #[cold]
    fn arm(&mut self, how: How, telling: Telling) -> Result<(), WouldBlock> {
        let Some(subscription) = &self.subscription else { return Ok(()) };
        let mut subscription = locked(subscription, how)?;
        self.rests_until = self.rests_until.filter(|until| Instant::now() < *until);
        let files = if self.rests_until.is_some() { Files::Later } else { Files::Now };
        let way = || chain::stops(&self.paths, how, &self.known);
        self.no_events = subscription.arm(way, files, telling)?.err();
        self.less_at = subscription.less_at();
        self.telling = telling;
        Ok(())
    }
}

/// Where the paths of a set lead, compared with before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lead {
    /// To the same files.
    Same,
    /// By the same way to a file, with no other name, that took the place of another.
    Replaced,
    /// Anything else.
    Elsewhere,
}

fn place(identity: Option<&Identity>) -> Option<Place> {
    identity.map(|found| (found.device, found.inode))
}

fn locked<T>(mutex: &Mutex<T>, how: How) -> Result<MutexGuard<'_, T>, WouldBlock> {
    match how {
        How::Cached => try_lock(mutex).ok_or(WouldBlock),
        How::Blocking => Ok(lock(mutex)),
    }
}

fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

#[cfg(all(test, target_os = "linux", not(hot_reload_portable), not(miri)))]
mod tests {
    use std::{
        fs,
        os::unix::fs::{MetadataExt, symlink},
    };

    use super::*;

    /// As a trigger has it looked at under polling, where nothing tells of the link.
    #[tokio::test]
    async fn a_link_that_took_the_place_of_a_file_counts_as_an_edit() {
        let dir = tempfile::tempdir().unwrap();
        let (path, other) = (dir.path().join("config.toml"), dir.path().join("other.toml"));
        fs::write(&path, "a").unwrap();
        fs::write(&other, "b").unwrap();
        let mut site = Site::watched(path.clone(), false, &Arc::default());
        site.survey(Arm::All).await;
        fs::remove_file(&path).unwrap();
        // Later than the clock of the file's times can fail to show.
        tokio::time::sleep(Duration::from_millis(50)).await;
        symlink(&other, &path).unwrap();
        let survey = site.survey(Arm::None).await;
        let edited = site.edited(&survey.identities).unwrap();
        let other = fs::metadata(&other).unwrap().ctime_nsec();
        let link = fs::symlink_metadata(&path).unwrap();
        let turned =
            Duration::new(link.ctime().unsigned_abs(), link.ctime_nsec().try_into().unwrap());
        assert_ne!(link.ctime_nsec(), other);
        assert_eq!(edited, UNIX_EPOCH + turned);
    }
}

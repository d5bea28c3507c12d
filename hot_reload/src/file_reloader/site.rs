//! Where a follower's files are: watched, then looked at, where that may block.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak},
    time::Duration,
};

use super::{
    error::{FileError, Problem},
    load::unblock,
    open::{self, Filesystem, How, Opened, WouldBlock},
    survey::{Holds, Survey},
    watcher::{Follower, NoWatch, Subscription},
};

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
    /// The least trustworthy filesystem of the set, and the device it was asked for.
    filesystem: Option<(u64, Filesystem)>,
    /// A survey that was given up on and still has its thread.
    hung: Weak<()>,
}

/// What a survey of a site found.
pub(super) type Surveyed = (Survey, Result<Arc<Opened>, FileError>);

impl Site {
    /// A site that is looked at when its owner wants to, and at no other time.
    pub(super) fn unwatched(path: PathBuf) -> Self {
        Self {
            paths: [path].into(),
            subscription: None,
            wants_events: false,
            no_events: None,
            filesystem: None,
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
    pub(super) fn set_dependencies(&mut self, mut dependencies: Vec<PathBuf>) -> bool {
        // The order in which a loader names them means nothing.
        dependencies.sort_unstable();
        dependencies.dedup();
        dependencies.retain(|path| *path != self.paths[0]);
        if self.paths[1..] == dependencies {
            return true;
        }
        let knew_all = dependencies.iter().all(|path| self.paths.contains(path));
        let main = self.paths[0].clone();
        self.paths = std::iter::once(main).chain(dependencies).collect();
        knew_all
    }

    pub(super) fn filesystem(&self) -> Filesystem {
        self.filesystem.map_or(Filesystem::Local, |(_, filesystem)| filesystem)
    }

    /// Why there are no events, where they are wanted.
    pub(super) fn no_events(&self) -> Option<&NoWatch> {
        self.no_events.as_ref()
    }

    /// Sets how often the files are compared with what they were.
    pub(super) fn set_interval(&self, interval: Option<Duration>) {
        // It is locked only by a survey that was given up on; the next one gets it.
        if let Some(mut subscription) = self.subscription.as_deref().and_then(try_lock) {
            subscription.set_interval(interval);
        }
    }

    /// Looks at the files; with `arm`, first puts a watch on every place on the way to them.
    pub(super) async fn survey(&mut self, arm: bool) -> Surveyed {
        if self.how() == How::Cached
            && let Ok(surveyed) = self.survey_with(arm, How::Cached)
        {
            return surveyed;
        }
        if self.hung.strong_count() > 0 {
            return self.nothing("the filesystem does not answer".to_owned());
        }
        let mut site = self.clone();
        let running = Arc::new(());
        self.hung = Arc::downgrade(&running);
        let elsewhere = unblock(move || {
            let surveyed = site.survey_with(arm, How::Blocking);
            drop(running);
            (site.no_events, site.filesystem, surveyed)
        });
        match elsewhere.await {
            Ok((no_events, filesystem, Ok(surveyed))) => {
                self.no_events = no_events;
                self.filesystem = filesystem;
                surveyed
            }
            Ok((_, _, Err(WouldBlock))) => self.nothing("it can't be waited for".to_owned()),
            Err(words) => self.nothing(words),
        }
    }

    fn nothing(&self, words: String) -> Surveyed {
        let error = FileError::new(&self.paths[0], Problem::Refused(words));
        (Survey::nothing(&self.paths), Err(error))
    }

    /// Tells whether what was found is still so.
    pub(super) async fn holds(&self, survey: &Survey) -> Holds {
        match self.how() {
            // The way to each file has just been walked.
            How::Cached => survey.holds(),
            How::Blocking => {
                let survey = survey.clone();
                unblock(move || survey.holds()).await.unwrap_or(Holds::No)
            }
        }
    }

    /// A server may not answer even for what is in memory.
    fn how(&self) -> How {
        match self.filesystem() {
            Filesystem::Remote(_) => How::Blocking,
            Filesystem::Local | Filesystem::Layered => How::Cached,
        }
    }

    fn survey_with(&mut self, arm: bool, how: How) -> Result<Surveyed, WouldBlock> {
        if arm && self.wants_events && self.subscription.is_some() {
            self.arm(how)?;
        }
        let (survey, main) = Survey::of(&self.paths, how)?;
        self.filesystem = survey.filesystem(self.filesystem).or(self.filesystem);
        Ok((survey, main))
    }

    fn arm(&mut self, how: How) -> Result<(), WouldBlock> {
        let Some(subscription) = &self.subscription else { return Ok(()) };
        let mut subscription = match how {
            How::Cached if !self.paths.iter().all(|path| open::is_cached(path)) => {
                return Err(WouldBlock);
            }
            How::Cached => try_lock(subscription).ok_or(WouldBlock)?,
            How::Blocking => subscription.lock().unwrap_or_else(PoisonError::into_inner),
        };
        self.no_events = subscription.arm(&self.paths).err();
        Ok(())
    }
}

fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

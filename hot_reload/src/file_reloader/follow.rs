//! A file as the service's loop follows it.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use super::{
    FileSettings,
    bell::Reasons,
    error::FileError,
    identity::Identity,
    load::{Load, Loaded, unblock},
    open::{Filesystem, How, Opened, Writers},
    survey::{Survey, WouldBlock},
    watcher::{Armed, Audit, Audited, Follower, NoWatch, Opaque, Rule, Subscription},
};
use crate::{
    config::WatchStrategy,
    error::ReloadResult,
    follow::{BoxLook, Hint, Look, Mechanism, Patience, SelfFollow},
    options::ReloaderOptions,
};

/// How often a file is looked at when events were asked for and can't be had.
const WITHOUT_EVENTS: Duration = Duration::from_millis(500);
/// How often events are asked for again when they can't be had.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// How often files are looked at whose filesystem does not tell all.
const WITHOUT_TRUST: Duration = Duration::from_secs(1);
/// A load that has taken longer than this is given up when the file is written anew.
const PREEMPTED_AFTER: Duration = Duration::from_secs(1);
/// How often a file that changes while it is read is read at once again.
const READS_AT_ONCE: usize = 4;
/// How many of these are spent on a writer that is about to be gone.
const CLOSING: usize = 3;
/// How soon a file that changed during each of these is looked at again.
const RESTLESS: Duration = Duration::from_millis(1);
/// How soon a file that somebody has open for writing is looked at again, without a hint.
const BUSY: Duration = Duration::from_millis(20);
/// Longer than any load of a file but a hung one.
const LOAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Follows one file, and whatever belongs to it.
pub(super) struct FileFollow<L> {
    loader: L,
    settings: FileSettings,
    strategy: WatchStrategy,
    force: bool,
    poll_interval: Duration,
    settle_window: Duration,
    settle_ceiling: Duration,
    /// The main file, then those that belong to it.
    paths: Vec<PathBuf>,
    /// What the paths were when the last good value was read.
    applied: Option<Vec<Option<Identity>>>,
    filesystem: Filesystem,
    follower: Arc<Follower>,
    /// Locked only where blocking is allowed, or where it is free.
    subscription: Option<Arc<Mutex<Subscription>>>,
    /// Why there are no events.
    no_events: Option<NoWatch>,
    preempted: bool,
    opaque: Option<Opaque>,
}

impl<L> FileFollow<L> {
    /// Follows the file at `path` under the watcher of the process.
    pub(super) fn watched(
        path: PathBuf,
        loader: L,
        settings: FileSettings,
        options: &ReloaderOptions,
    ) -> Self {
        let mut follow = Self::alone(path, loader, settings, options);
        match Subscription::new(Arc::clone(&follow.follower)) {
            Ok(subscription) => follow.subscription = Some(Arc::new(Mutex::new(subscription))),
            Err(_) => follow.no_events = Some(NoWatch("the watcher's thread can't be started")),
        }
        follow
    }

    /// Looks at the file at `path` when it is told to, and at no other time.
    fn alone(path: PathBuf, loader: L, settings: FileSettings, options: &ReloaderOptions) -> Self {
        Self {
            loader,
            strategy: options.strategy,
            force: options.force_reload,
            poll_interval: options.poll_interval,
            settle_window: options.settle_window,
            settle_ceiling: options.settle_ceiling,
            paths: vec![path],
            applied: None,
            filesystem: Filesystem::Local,
            opaque: settings.is_opaque.then(Opaque::new),
            settings,
            follower: Arc::default(),
            subscription: None,
            no_events: None,
            preempted: false,
        }
    }

    fn wants_events(&self) -> bool {
        self.strategy != WatchStrategy::Polling
    }

    /// Puts every watch in place, then looks at the files.
    async fn survey(&mut self, anew: bool) -> Survey {
        let inline = match self.filesystem {
            Filesystem::Remote(_) => Err(WouldBlock),
            _ => self.site().survey(anew, How::Cached),
        };
        let (survey, armed) = match inline {
            Ok(surveyed) => surveyed,
            Err(WouldBlock) => {
                let site = self.site();
                match unblock(move || site.survey(anew, How::Blocking)).await {
                    Ok(Ok(surveyed)) => surveyed,
                    Ok(Err(WouldBlock)) => (self.no_survey("it can't be waited for"), Ok(())),
                    Err(words) => (self.no_survey(&words), Ok(())),
                }
            }
        };
        if self.subscription.is_some() {
            self.no_events = armed.err();
        }
        self.filesystem = survey.filesystem;
        survey
    }

    fn no_survey(&self, words: &str) -> Survey {
        Survey::failed(&self.paths, words.to_owned())
    }

    fn site(&self) -> Site {
        Site {
            paths: self.paths.clone(),
            subscription: self.subscription.clone().filter(|_| self.wants_events()),
        }
    }

    /// How often the files are to be looked at besides events.
    fn audit_interval(&self) -> Option<Duration> {
        let polled = self.strategy != WatchStrategy::Realtime;
        if polled && !self.wants_events() {
            return Some(self.poll_interval);
        }
        if self.no_events.is_some() {
            return Some(self.poll_interval.min(WITHOUT_EVENTS));
        }
        match self.filesystem {
            _ if polled => Some(self.poll_interval),
            Filesystem::Local => None,
            Filesystem::Layered => Some(self.poll_interval),
            Filesystem::Remote(_) => Some(self.poll_interval.min(WITHOUT_TRUST)),
        }
    }

    /// Has the watcher compare the files with `identities` from now on.
    fn audit(&self, identities: &[Option<Identity>]) {
        let rule = match self.filesystem {
            _ if self.force => Rule::Read,
            Filesystem::Remote(_) => Rule::Delegate,
            Filesystem::Local | Filesystem::Layered => Rule::Compare,
        };
        let files = self.paths.iter().cloned().zip(identities);
        self.follower.set_audit(Audit {
            files: files.map(|(path, identity)| Audited::new(path, *identity)).collect(),
            rule,
            read_at: self.opaque.as_ref().map(|_| Instant::now()),
        });
        // It is locked only by a survey that was given up on; the next one gets it.
        if let Some(mut subscription) = self.subscription.as_deref().and_then(try_lock) {
            subscription.set_interval(self.audit_interval());
        }
    }

    /// Says how much longer to wait before the files that were surveyed are read.
    fn unsettled(&self, survey: &Survey, reasons: Reasons, patience: Patience) -> Option<Duration> {
        if patience == Patience::Exhausted {
            return None;
        }
        // Whoever has it open for that long without a write is not about to finish one.
        let is_fresh = survey.age < self.settle_ceiling;
        match survey.writers {
            Writers::Some if is_fresh => Some(BUSY),
            // It may be about to be written, or have lost what it held.
            _ if is_fresh && matches!(&survey.main, Ok(opened) if opened.is_empty()) => Some(BUSY),
            Writers::Some => None,
            Writers::None => None,
            // Events tell what a lease could not.
            Writers::Unknown if reasons.writing => Some(BUSY),
            Writers::Unknown if reasons.must_read => None,
            Writers::Unknown => {
                let left = self.settle_window.saturating_sub(survey.age);
                (!left.is_zero()).then_some(left)
            }
        }
    }
}

impl<L> FileFollow<L> {
    /// Loads the file once, as soon as no writer is at it any more.
    pub(super) async fn load_once<V>(
        path: PathBuf,
        loader: L,
        settings: FileSettings,
    ) -> Result<V, FileError>
    where
        L: Load<V>,
        V: Send,
    {
        let options = ReloaderOptions::polling();
        let mut follow = Self::alone(path, loader, settings, &options);
        let ceiling = Instant::now() + options.settle_ceiling;
        loop {
            let patience =
                if Instant::now() < ceiling { Patience::Left } else { Patience::Exhausted };
            match follow.look_now(patience).await? {
                Look::Value(value) => return Ok(value),
                Look::Unsettled(wait) => tokio::time::sleep(wait.max(RESTLESS)).await,
                Look::Unchanged => {}
            }
        }
    }

    async fn look_now<V>(&mut self, patience: Patience) -> Result<Look<V>, FileError>
    where
        L: Load<V>,
        V: Send,
    {
        let reasons = self.follower.bell.take_reasons();
        let outcome = self.look_for(reasons, patience).await;
        if !matches!(outcome, Ok(Look::Value(_) | Look::Unchanged)) {
            self.follower.bell.give_back(reasons);
        }
        outcome
    }

    async fn look_for<V>(
        &mut self,
        reasons: Reasons,
        patience: Patience,
    ) -> Result<Look<V>, FileError>
    where
        L: Load<V>,
        V: Send,
    {
        let mut before = self.survey(reasons.must_arm).await;
        let mut closing = 0;
        for _ in 0..READS_AT_ONCE {
            self.audit(&before.identities);
            let must_read = reasons.must_read || self.force;
            if !must_read && self.applied.as_ref() == Some(&before.identities) {
                return Ok(Look::Unchanged);
            }
            if let Some(wait) = self.unsettled(&before, reasons, patience) {
                // The kernel reports a close a moment before the writer is gone for good.
                if reasons.must_read && closing < CLOSING {
                    closing += 1;
                    tokio::task::yield_now().await;
                    before = self.survey(false).await;
                    continue;
                }
                return Ok(Look::Unsettled(wait));
            }
            let identities = before.identities;
            let opened = before.main?;
            self.settings.admit(&self.paths[0], &opened)?;
            let Some(loaded) = self.load(opened).await? else {
                return Ok(Look::Unsettled(Duration::ZERO));
            };
            let knew_all = self.belongs(loaded.dependencies);
            before = self.survey(false).await;
            let whole = before.writers != Writers::Some || patience == Patience::Exhausted;
            if knew_all && whole && before.identities == identities {
                self.applied = Some(identities);
                return Ok(Look::Value(loaded.value));
            }
        }
        Ok(Look::Unsettled(RESTLESS))
    }

    /// Loads, unless a newer version arrives while a slow load is at it.
    async fn load<V>(&mut self, opened: Opened) -> Result<Option<Loaded<V>>, FileError>
    where
        L: Load<V>,
    {
        let preemptible = !std::mem::take(&mut self.preempted);
        let load = self.loader.load(&self.paths[0], opened);
        let mut load = std::pin::pin!(load);
        tokio::select! {
            biased;
            loaded = &mut load => return loaded.map(Some),
            () = tokio::time::sleep(PREEMPTED_AFTER), if preemptible => {}
        }
        loop {
            tokio::select! {
                biased;
                loaded = &mut load => return loaded.map(Some),
                () = tokio::time::sleep(BUSY) => {
                    if self.follower.bell.heard_finished() {
                        // Once only, so that a slow loader is not starved by a busy writer.
                        self.preempted = true;
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Takes note of the files that belong to the main one; false if there are new ones.
    fn belongs(&mut self, dependencies: Vec<PathBuf>) -> bool {
        let mut paths = vec![self.paths[0].clone()];
        paths.extend(dependencies.into_iter().map(|path| self.settings.base.join(path)));
        let knew_all = paths.iter().all(|path| self.paths.contains(path));
        if paths != self.paths {
            self.paths = paths;
        }
        knew_all
    }
}

/// The files of a set, and the subscription that watches them.
struct Site {
    paths: Vec<PathBuf>,
    /// `None` where no events are wanted or to be had.
    subscription: Option<Arc<Mutex<Subscription>>>,
}

impl Site {
    /// Puts every watch in place, then looks at the files.
    fn survey(&self, anew: bool, how: How) -> Result<(Survey, Result<(), NoWatch>), WouldBlock> {
        let survey = Survey::of(&self.paths, how)?;
        let Some(subscription) = &self.subscription else { return Ok((survey, Ok(()))) };
        // The way to the files is in memory, or blocking is allowed.
        let mut subscription = match how {
            How::Cached => try_lock(subscription).ok_or(WouldBlock)?,
            How::Blocking => subscription.lock().unwrap_or_else(PoisonError::into_inner),
        };
        match subscription.arm(&self.paths, anew) {
            Ok(Armed::AsBefore) => Ok((survey, Ok(()))),
            // What was seen before the watches stood may have changed unseen.
            Ok(Armed::Anew) => Ok((Survey::of(&self.paths, how)?, Ok(()))),
            Err(no_watch) => Ok((survey, Err(no_watch))),
        }
    }
}

fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

impl<L, V> SelfFollow<V, String> for FileFollow<L>
where
    L: Load<V>,
    V: Eq + Send,
{
    fn poll_hint(&mut self, cx: &mut Context<'_>) -> Poll<Hint> {
        self.follower.bell.poll(cx).map(|hint| {
            // Files that belong together are given the time to arrive together.
            if self.paths.len() > 1 { Hint::Touched } else { hint }
        })
    }

    fn look(&mut self, patience: Patience) -> BoxLook<'_, V, String> {
        Box::pin(async move {
            let looked: ReloadResult<_, V, String> =
                self.look_now(patience).await.map_err(FileError::into_reloader_error);
            looked
        })
    }

    fn look_again_after(&self) -> Option<Duration> {
        match (&self.subscription, &self.no_events) {
            (None, _) => Some(self.poll_interval.min(WITHOUT_EVENTS)),
            (Some(_), Some(_)) => Some(ASK_AGAIN),
            (Some(_), None) => None,
        }
    }

    fn mechanism(&self) -> Mechanism {
        if !self.wants_events() {
            return Mechanism::Polling;
        }
        match (&self.no_events, self.filesystem) {
            (Some(NoWatch(reason)), _) => Mechanism::Degraded((*reason).into()),
            (None, Filesystem::Remote(name)) => Mechanism::Degraded(
                format!("{name}: changes made elsewhere give no event here").into(),
            ),
            (None, _) if self.audit_interval().is_some() => Mechanism::EventsAndPolling,
            (None, _) => Mechanism::Events,
        }
    }

    fn load_timeout(&self) -> Duration {
        LOAD_TIMEOUT
    }
}

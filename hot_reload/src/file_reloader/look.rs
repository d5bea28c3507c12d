//! One look at a file: whether it changed, whether its writer is done, what it holds.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

use super::{
    FileSettings,
    bell::{Arm, Bell, Reasons},
    error::FileError,
    identity::Identity,
    load::{Load, Loaded},
    open::{Filesystem, Opened},
    settle::{Facts, Settle},
    site::Site,
    survey::{Holds, Survey},
    watcher::{Audit, Audited, Follower, NoWatch, Opaque, Rule},
};
use crate::{
    at_once::at_once,
    config::WatchStrategy,
    follow::{Look, Mechanism, Patience},
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
/// How soon a file that changed during each of these is looked at again.
const RESTLESS: Duration = Duration::from_millis(1);
/// How often a slow load asks whether the file has been written anew.
const NEWS: Duration = Duration::from_millis(20);

/// Looks at one file, and whatever belongs to it, with a memory of the last time.
pub(super) struct Looker<L> {
    loader: L,
    settings: FileSettings,
    strategy: WatchStrategy,
    force: bool,
    poll_interval: Duration,
    settle: Settle,
    site: Site,
    follower: Arc<Follower>,
    /// What the watcher compares the files with.
    noted: Option<Vec<Option<Identity>>>,
    /// Whether it has them read even where they are the same.
    is_doubtful: bool,
    /// What they were when the last good value was read.
    applied: Option<Vec<Option<Identity>>>,
    /// Whether identities that stay the same prove that the files are unchanged.
    proof: Proof,
    /// Whether the last load was given up for a newer version of the file.
    preempted: bool,
    opaque: Option<Opaque>,
}

impl<L> Looker<L> {
    /// Looks at the file at `path`, whose watches ring `follower`.
    pub(super) fn watched(
        path: PathBuf,
        follower: &Arc<Follower>,
        loader: L,
        settings: FileSettings,
        options: &ReloaderOptions,
    ) -> Self {
        let wants_events = options.strategy != WatchStrategy::Polling;
        let site = Site::watched(path, wants_events, follower);
        Self::at(site, Arc::clone(follower), loader, settings, options)
    }

    fn at(
        site: Site,
        follower: Arc<Follower>,
        loader: L,
        settings: FileSettings,
        options: &ReloaderOptions,
    ) -> Self {
        Self {
            loader,
            strategy: options.strategy,
            force: options.force_reload,
            poll_interval: options.poll_interval,
            settle: Settle::new(options.settle_window, options.settle_ceiling),
            opaque: settings.is_opaque.then(Opaque::new),
            settings,
            site,
            follower,
            noted: None,
            is_doubtful: false,
            applied: None,
            proof: Proof::Sound,
            preempted: false,
        }
    }

    fn wants_events(&self) -> bool {
        self.strategy != WatchStrategy::Polling
    }

    /// Whether other files belong to the main one.
    pub(super) fn follows_a_set(&self) -> bool {
        self.site.paths().len() > 1
    }

    /// Whether an event tells of every write.
    fn hears_all(&self) -> bool {
        let is_remote = self.site.filesystem().is_remote();
        self.wants_events() && self.site.no_events().is_none() && !is_remote
    }

    /// When to look without a hint.
    pub(super) fn look_again_after(&self) -> Option<Duration> {
        // Every look asks for the watches that are missing.
        let ask_again = self.site.no_events().map(|_| ASK_AGAIN);
        let rest = self.site.rests_until().map(|until| until.duration_since(Instant::now()));
        ask_again.into_iter().chain(rest).min()
    }

    pub(super) fn mechanism(&self) -> Mechanism {
        if !self.wants_events() {
            return Mechanism::Polling;
        }
        match (self.site.no_events(), self.site.filesystem()) {
            (Some(NoWatch(reason)), _) => Mechanism::Degraded((*reason).into()),
            (None, Filesystem::Remote(name)) => Mechanism::Degraded(
                format!("{name}: changes made elsewhere give no event here").into(),
            ),
            (None, _) if self.audit_interval().is_some() => Mechanism::EventsAndPolling,
            (None, _) => Mechanism::Events,
        }
    }

    /// When the last good value came to be where it was read.
    pub(super) fn edited(&self) -> Option<SystemTime> {
        self.site.edited(self.applied.as_deref()?)
    }

    /// How often the files are to be looked at besides events.
    fn audit_interval(&self) -> Option<Duration> {
        if !self.wants_events() {
            return Some(self.poll_interval);
        }
        if self.site.no_events().is_some() {
            return Some(self.poll_interval.min(WITHOUT_EVENTS));
        }
        match self.site.filesystem() {
            _ if self.strategy == WatchStrategy::Hybrid => Some(self.poll_interval),
            Filesystem::Local => None,
            Filesystem::Layered => Some(self.poll_interval),
            Filesystem::Remote(_) => Some(self.poll_interval.min(WITHOUT_TRUST)),
        }
    }

    /// Has the watcher compare the files with what they are now.
    fn take_note(&mut self, survey: &Survey) {
        self.site.set_interval(self.audit_interval());
        let doubtful = survey.is_racy || self.proof != Proof::Sound;
        let is_known = self.noted.as_ref() == Some(&survey.identities);
        if is_known && !doubtful && !self.is_doubtful && self.opaque.is_none() {
            return;
        }
        self.noted = Some(survey.identities.clone());
        self.is_doubtful = doubtful;
        let rule = match self.site.filesystem() {
            _ if self.force => Rule::Read,
            Filesystem::Remote(_) => Rule::Delegate,
            Filesystem::Local | Filesystem::Layered => Rule::Compare,
        };
        let identities = survey.identities.iter();
        let files = identities.map(|identity| Audited { identity: *identity, doubtful });
        let read_at = self.opaque.as_ref().map(|_| Instant::now());
        self.follower.set_audit(Audit::new(Arc::clone(self.site.paths()), files, rule, read_at));
    }
}

impl<L> Looker<L> {
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
        let mut looker =
            Self::at(Site::unwatched(path), Arc::default(), loader, settings, &options);
        let ceiling = Instant::now() + options.settle_ceiling;
        loop {
            let patience =
                if Instant::now() < ceiling { Patience::Left } else { Patience::Exhausted };
            match looker.look(patience).await? {
                Look::Value(value) => return Ok(value),
                Look::Unsettled(wait) => tokio::time::sleep(wait.max(RESTLESS)).await,
                Look::Unchanged => {}
            }
        }
    }

    /// Looks once.
    pub(super) async fn look<V>(&mut self, patience: Patience) -> Result<Look<V>, FileError>
    where
        L: Load<V>,
        V: Send,
    {
        let follower = Arc::clone(&self.follower);
        let mut unmet = Unmet { bell: &follower.bell, reasons: follower.bell.take_reasons() };
        let outcome = self.look_because(unmet.reasons, patience).await;
        if matches!(outcome, Ok(Look::Value(_) | Look::Unchanged)) {
            unmet.reasons = Reasons::default();
        }
        outcome
    }

    async fn look_because<V>(
        &mut self,
        reasons: Reasons,
        patience: Patience,
    ) -> Result<Look<V>, FileError>
    where
        L: Load<V>,
        V: Send,
    {
        let has_rested = self.site.rests_until().is_some_and(|until| until <= Instant::now());
        let must_read = reasons.must_read || self.force || self.proof != Proof::Sound;
        let is_unwatched = self.noted.is_none() || self.site.no_events().is_some();
        let mut arm = if has_rested || is_unwatched { Arm::All } else { reasons.arm };
        let limit = self.settings.max_size;
        let mut wait = RESTLESS;
        for _ in 0..READS_AT_ONCE {
            let news = self.follower.bell.news();
            let (survey, main) = self.site.survey(arm).await;
            arm = Arm::None;
            self.take_note(&survey);
            if !must_read && self.applied.as_ref() == Some(&survey.identities) {
                return Ok(Look::Unchanged);
            }
            let main = main?;
            let facts = Facts {
                age: survey.age,
                is_empty: survey.main_is_empty,
                is_of_set: self.follows_a_set(),
                links: survey.main_links,
                reasons,
                patience,
            };
            let writers = || survey.writers();
            if let Some(wait) = self.settle.before_reading(facts, writers, Instant::now()) {
                return Ok(Look::Unsettled(wait));
            }
            self.settings.admit(&self.site.paths()[0], &survey, &main)?;
            // Within one tick of the clock that its times are from, a file that is written anew while
            // it is read shows it in its content alone.
            let shows_all = !survey.is_racy || self.hears_all();
            let before = if shows_all { None } else { survey.sum(limit).await };
            let loaded = match self.load(main, news).await {
                Ok(Some(loaded)) => Ok(loaded),
                Ok(None) => return Ok(Look::Unsettled(Duration::ZERO)),
                Err(error) => Err(error),
            };
            // A failure counts as little as a value if the file was being written.
            let holds = self.site.holds(&survey).await;
            if before.is_some() && before != survey.sum(limit).await {
                continue;
            }
            match self.by_hearsay(holds, &survey, news) {
                Holds::No => continue,
                Holds::Yes | Holds::AsFarAsKnown => {
                    self.proof = if survey.is_racy { Proof::Racy } else { Proof::Sound };
                }
                Holds::ButForWriters => {
                    if let Err(again) = self.settle.despite_writers(facts, Instant::now()) {
                        // The kernel reports a close a moment before the writer is gone for good.
                        wait = again;
                        tokio::task::yield_now().await;
                        continue;
                    }
                    self.proof = Proof::UnderWriters;
                }
            }
            let loaded = loaded?;
            let main = &self.site.paths()[0];
            let beside = |path: &PathBuf| main.with_file_name(path);
            let dependencies = loaded.dependencies.iter().map(beside).collect();
            if !self.site.set_dependencies(dependencies) {
                // What belongs to it was not looked at before it was read.
                arm = Arm::All;
                continue;
            }
            self.settle.is_over();
            self.follower.bell.was_read();
            self.take_note(&survey);
            self.applied = Some(survey.identities);
            return Ok(Look::Value(loaded.value));
        }
        Ok(Look::Unsettled(wait))
    }

    /// What events add to whether what was found is still so, since there were so many `news`.
    fn by_hearsay(&self, holds: Holds, survey: &Survey, news: u64) -> Holds {
        if !matches!(holds, Holds::Yes | Holds::AsFarAsKnown) {
            return holds;
        }
        let is_told_of_writers = holds == Holds::Yes;
        if survey.is_racy || !is_told_of_writers {
            self.site.catch_up();
        }
        let bell = &self.follower.bell;
        if survey.is_racy && bell.news() != news {
            return Holds::No;
        }
        // Of a new name for an old file, no end of a writing comes.
        if !is_told_of_writers && survey.main_links == 1 && bell.heard_writers() {
            return Holds::ButForWriters;
        }
        holds
    }

    /// Loads, unless a newer version than that of so many `news` arrives while a slow load is at it.
    async fn load<V>(
        &mut self,
        opened: Arc<Opened>,
        news: u64,
    ) -> Result<Option<Loaded<V>>, FileError>
    where
        L: Load<V>,
    {
        let preemptible = !std::mem::take(&mut self.preempted);
        let load = self.loader.load(&self.site.paths()[0], opened);
        let mut load = std::pin::pin!(load);
        if let Some(loaded) = at_once(load.as_mut()).await {
            return loaded.map(Some);
        }
        tokio::select! {
            biased;
            loaded = &mut load => return loaded.map(Some),
            () = tokio::time::sleep(PREEMPTED_AFTER), if preemptible => {}
        }
        loop {
            tokio::select! {
                biased;
                loaded = &mut load => return loaded.map(Some),
                () = tokio::time::sleep(NEWS) => {
                    if self.follower.bell.news() != news {
                        // Once only, so that a slow loader is not starved by a busy writer.
                        self.preempted = true;
                        return Ok(None);
                    }
                }
            }
        }
    }
}

/// What an identity that stays the same proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proof {
    /// That the file is unchanged.
    Sound,
    /// Nothing yet: it was taken too soon after a change.
    Racy,
    /// Nothing: the value was read while somebody had a file open for writing, who may yet change
    /// it through a mapping, which moves no time.
    UnderWriters,
}

/// Gives the reasons of a look back unless it came to something.
struct Unmet<'a> {
    bell: &'a Bell,
    reasons: Reasons,
}

impl Drop for Unmet<'_> {
    fn drop(&mut self) {
        self.bell.give_back(self.reasons);
    }
}

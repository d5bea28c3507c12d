//! One look at a file: whether it changed, whether its writer is done, what it holds.

use std::{
    mem,
    ops::ControlFlow::{self, Break, Continue},
    path::PathBuf,
    sync::Arc,
    thread,
    time::Duration,
};

use tokio::time::Instant;

use super::{Looker, Opaque, Proof, Sighting, load::PREEMPTED_AFTER};
use crate::{
    file_reloader::{
        FileSettings,
        bell::{Arm, Demand, Reasons},
        error::FileError,
        hash::Fnv,
        load::{Load, Loaded},
        open::{Filesystem, HeldUp, Opened, Writers},
        settle::Facts,
        site::Site,
        survey::{Holds, Survey},
    },
    follow::{Look, Patience},
    options::ReloaderOptions,
};

/// How often a file that changes while it is read is read at once again.
const READS_AT_ONCE: usize = 4;
/// How soon a file that changed during each of these is looked at again.
const RESTLESS: Duration = Duration::from_millis(1);
/// For how long it is asked again and again whether a writer is gone that has said that it is done.
const PARTING: Duration = Duration::from_micros(200);

/// A look on its way.
pub(in crate::file_reloader) struct Attempt {
    patience: Patience,
    /// What is to be watched before the files are looked at.
    arm: Arm,
    /// What was found, and is yet to be read.
    found: Option<Readable>,
    /// How soon to look again for the sake of a writer that was still at it when the files were read.
    wait: Option<Duration>,
    /// The files, if that was found only now: it may be on its way out.
    parting: Option<Box<Survey>>,
}

/// Files that are fit to be read, as they were found.
pub(super) struct Readable {
    pub(super) main: Arc<Opened>,
    survey: Box<Survey>,
    facts: Facts,
    /// How often they had been heard of, and how often their names.
    pub(super) news: u64,
    turns: u64,
}

impl<L> Looker<L> {
    /// Loads the file once, as soon as no writer is at it any more.
    pub(in crate::file_reloader) async fn load_once<V>(
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
            let attempt = looker.begin(patience);
            match looker.look(attempt).await? {
                Look::Value(value) => return Ok(value),
                Look::Unsettled(wait) => tokio::time::sleep(wait.max(RESTLESS)).await,
                Look::Unchanged => {}
            }
        }
    }

    /// Begins a look.
    pub(in crate::file_reloader) fn begin(&mut self, patience: Patience) -> Attempt {
        self.unmet = self.follower.bell.take_reasons().after(self.unmet);
        let due = self.site.arms_at().map(|at| (at, Instant::now())).filter(|(at, now)| at <= now);
        self.armed = due.map(|(_, now)| now).or(self.armed);
        let arm = if due.is_some() || self.site.is_unwatched() { Arm::All } else { self.unmet.arm };
        Attempt { patience, arm, found: None, wait: None, parting: None }
    }

    /// Ends a look that came to something; what one was for that did not is left to the next.
    pub(in crate::file_reloader) fn end(&mut self) {
        self.unmet = Reasons::default();
    }

    /// Ends a look that failed: the next is for the same, but whoever was done by then may have begun anew.
    #[cold]
    pub(in crate::file_reloader) fn end_in_vain(&mut self) {
        self.unmet.is_finished = false;
    }

    /// Makes a look that has to wait for nothing; `None` where it does, and [`look`](Self::look) is to
    /// go on with what was found by then.
    pub(in crate::file_reloader) fn look_at_once<V>(
        &mut self,
        attempt: &mut Attempt,
    ) -> Option<Result<Look<V>, FileError>>
    where
        L: Load<V>,
    {
        let heard = self.heard();
        let mut survey = self.site.survey_at_once(attempt.arm)?;
        let held_up = self.hold_up_writers(attempt.patience, &survey);
        if held_up.is_some() {
            survey = self.site.survey_at_once(Arm::None)?;
        }
        let found = match self.weigh(attempt, heard, survey) {
            Continue(found) => found,
            Break(outcome) => return Some(outcome),
        };
        let is_held_up = held_up.as_ref().is_some_and(|held| held.is_of(&found.main));
        let by_sum = self.is_decided_by_sum(&found.survey, L::SUMS_UP);
        let sum = if by_sum { found.survey.sum_at_once(self.settings.max_size) } else { None };
        let mut holds = None;
        let loaded = if by_sum && sum.is_none() {
            // To read it may have to wait.
            None
        } else if by_sum && sum == self.sum {
            holds = self.site.holds_at_once(&found.survey);
            Some(None)
        } else if is_held_up || self.shows_all(&found.survey) {
            let once_read = || {
                holds = self.site.holds_at_once(&found.survey);
                // Before a user's code is at work, which may take long, or wait for who is held up.
                drop(held_up);
            };
            self.loader.load_at_once(&self.site.paths()[0], &found.main, once_read).map(Some)
        } else {
            None
        };
        let Some(loaded) = loaded else {
            attempt.found = Some(found);
            return None;
        };
        // `None` only where they turned out to be on a server, or not to be in memory any more: they are looked at
        // again, in a look that may wait.
        let mut holds = holds?;
        if is_held_up && holds != Holds::No {
            holds = Holds::HeldUp;
        }
        match self.accept(attempt, found, loaded, holds) {
            Continue(()) => None,
            Break(outcome) => Some(outcome),
        }
    }

    /// Keeps writers from a file that has not been without them for as long as may be waited: they can wait
    /// for as long as it takes to read a small one. Others of a set would not be held up with it.
    fn hold_up_writers(&self, patience: Patience, survey: &Survey) -> Option<HeldUp> {
        let is_due = patience == Patience::Exhausted && !self.follows_a_set();
        survey.main.as_ref().ok().filter(|_| is_due)?.hold_up_writers()
    }

    /// Makes a look, or goes on with one, however long it takes.
    pub(in crate::file_reloader) async fn look<V>(
        &mut self,
        mut attempt: Attempt,
    ) -> Result<Look<V>, FileError>
    where
        L: Load<V>,
        V: Send,
    {
        let limit = self.settings.max_size;
        for _ in 0..READS_AT_ONCE {
            let found = if let Some(found) = attempt.found.take() {
                found
            } else {
                if let Some(survey) = attempt.parting.take() {
                    see_off_writers(&survey).await;
                } else if attempt.wait.is_some() {
                    // One that has long been at it may have ended as the files were read.
                    tokio::task::yield_now().await;
                }
                let heard = self.heard();
                let survey = self.site.survey(attempt.arm).await;
                match self.weigh(&attempt, heard, survey) {
                    Continue(found) => found,
                    Break(outcome) => return outcome,
                }
            };
            self.set_baseline(&found.survey.identities, found.survey.is_racy);
            let survey = &found.survey;
            let (shows_all, by_sum) =
                (self.shows_all(survey), self.is_decided_by_sum(survey, L::SUMS_UP));
            // Kept for later only where events tell of what is edited, and edited back, while it is loaded.
            // A load that was taken up again, since it had taken longer, is of what was there before.
            let is_new = found.facts.age < PREEMPTED_AFTER;
            let is_kept = !L::SUMS_UP && self.hears_all() && is_new;
            let must_sum = !shows_all || by_sum || is_kept;
            let before = if must_sum { survey.sum(limit).await } else { None };
            let mut loaded = if by_sum && before.is_some() && before == self.sum {
                None
            } else {
                let Some(loaded) = self.load(&found).await else {
                    return Ok(Look::Unsettled(Duration::ZERO));
                };
                Some(loaded)
            };
            let mut holds = self.site.holds(survey).await;
            if !shows_all && before.is_some() && before != survey.sum(limit).await {
                holds = Holds::No;
            }
            // Of what a writer may yet change through a mapping, no event tells.
            if let Some(Ok(loaded)) = &mut loaded
                && is_kept
                && holds != Holds::ButForWriters
            {
                loaded.sum = before;
            }
            if let Break(outcome) = self.accept(&mut attempt, found, loaded, holds) {
                return outcome;
            }
        }
        Ok(Look::Unsettled(attempt.wait.unwrap_or(RESTLESS)))
    }

    /// How often the files, and their names, have been heard of.
    fn heard(&self) -> (u64, u64) {
        let bell = &self.follower.bell;
        (bell.news(), bell.turns())
    }

    /// Says what is to be read, or what the look came to without that.
    fn weigh<V>(
        &mut self,
        attempt: &Attempt,
        (news, turns): (u64, u64),
        survey: Box<Survey>,
    ) -> ControlFlow<Result<Look<V>, FileError>, Readable> {
        if self.is_as_applied(&survey) {
            self.settle.reset();
            self.set_baseline(&survey.identities, survey.is_racy);
            return Break(Ok(Look::Unchanged));
        }
        let main = match survey.main {
            Ok(ref main) => Arc::clone(main),
            Err(trouble) => {
                // Whoever was at it is not who will be at the next.
                self.settle.reset();
                self.sighting = Sighting::Nothing;
                self.set_baseline(&survey.identities, survey.is_racy);
                return Break(Err(trouble));
            }
        };
        let considered = self.consider(attempt, &survey, &main);
        // Otherwise it is set once the value is out, see `follow_up`.
        if considered.is_break() || self.applied.is_none() {
            self.set_baseline(&survey.identities, survey.is_racy);
        }
        if considered.is_continue() {
            self.echo.note_read(Fnv::of(&survey.identities), self.unmet.is_finished);
        }
        considered.map_continue(|facts| Readable { main, survey, facts, news, turns })
    }

    /// Whether what was found is whole and fit to be read.
    fn consider<V>(
        &mut self,
        attempt: &Attempt,
        survey: &Survey,
        main: &Opened,
    ) -> ControlFlow<Result<Look<V>, FileError>, Facts> {
        let is_cut = self.is_being_cut(survey);
        let age = if is_cut { Duration::ZERO } else { self.age(survey) };
        // What was found on the way may have shown that nobody is.
        let writing = is_cut || self.unmet.writing && self.hears_writers(survey, age);
        // What was read in vain is read again once it is another, or nobody is at it; what is only doubtful, not
        // before nobody is.
        let was_in_vain = self.in_vain.as_ref() == Some(&survey.identities);
        let most = if self.in_vain.is_some() { Demand::Look } else { Demand::Load };
        let demand = self.unmet.demand.min(most);
        let was_turned = self.unmet.arm == Arm::All && self.site.turned() != self.turned;
        let is_vouched_for = !was_turned || !self.site.may_be_newer_than_its_link(survey);
        let is_finished = self.unmet.is_finished && !was_in_vain && is_vouched_for;
        let reasons = Reasons { demand, is_finished, writing, ..self.unmet };
        let facts = Facts {
            age,
            is_empty: survey.main_is_empty || self.lost_what_it_held(survey),
            is_of_set: self.follows_a_set(),
            was_in_vain,
            reasons,
            patience: attempt.patience,
        };
        let writers = || survey.writers();
        if let Some(wait) = self.settle.before_reading(facts, writers, Instant::now) {
            return Break(Ok(Look::Unsettled(wait)));
        }
        match self.settings.admit(&self.site.paths()[0], survey, main) {
            Ok(()) => Continue(facts),
            Err(error) => Break(Err(error)),
        }
    }

    /// How long ago any of the files changed.
    fn age(&mut self, survey: &Survey) -> Duration {
        if survey.filesystem().is_some_and(Filesystem::is_remote) {
            self.age_by_own_clock(survey)
        } else {
            survey.age
        }
    }

    /// For how long they have been seen to be as they are; at the first look, nothing else is known than what
    /// the server says.
    #[cold]
    fn age_by_own_clock(&mut self, survey: &Survey) -> Duration {
        let now = Instant::now();
        let is_first = matches!(self.sighting, Sighting::Never);
        let seen = match mem::replace(&mut self.sighting, Sighting::Nothing) {
            Sighting::Files(seen) if seen.0 == survey.identities => seen,
            _ => Box::new((survey.identities.clone(), now)),
        };
        let seen_for = now.saturating_duration_since(seen.1);
        self.sighting = Sighting::Files(seen);
        if is_first { survey.age.max(seen_for) } else { seen_for }
    }

    /// Whether one that belongs to the main file is empty, and was not when they were read last.
    fn lost_what_it_held(&self, survey: &Survey) -> bool {
        survey.others(true).any(|path| self.filled.binary_search(path).is_ok())
    }

    /// Whether a file that is written anew while it is read shows it in more than its content: not
    /// within one tick of the clock that its times are from, unless a lease tells of who does, as an event
    /// comes only once a write is over.
    fn shows_all(&self, survey: &Survey) -> bool {
        !survey.is_racy || self.hears_all() && self.site.leases_tell()
    }

    /// Ends the look with what was loaded, or, given `None`, as one that found the last good value; continues
    /// where the files have to be looked at again.
    fn accept<V>(
        &mut self,
        attempt: &mut Attempt,
        found: Readable,
        loaded: Option<Result<Loaded<V>, FileError>>,
        holds: Holds,
    ) -> ControlFlow<Result<Look<V>, FileError>> {
        (attempt.arm, attempt.wait) = (Arm::None, None);
        if holds == Holds::AsFarAsKnown && self.site.distrust_leases() {
            // As once privileges are dropped: events have to tell of the next writer, before this is out.
            attempt.arm = Arm::All;
            return Continue(());
        }
        // A failure counts as little as a value if the file was being written.
        self.proof = match self.by_hearsay(holds, &found) {
            Holds::No => return Continue(()),
            Holds::ButForWriters => {
                if let Err((wait, is_just_found)) =
                    self.settle.despite_writers(found.facts, Instant::now())
                {
                    self.in_vain = Some(found.survey.identities.clone());
                    (attempt.wait, attempt.parting) =
                        (Some(wait), is_just_found.then_some(found.survey));
                    return Continue(());
                }
                Proof::UnderWriters
            }
            holds => {
                let Readable { facts: Facts { age, .. }, survey, .. } = &found;
                Proof::of(holds, *age, survey.is_racy, survey.is_in_memory())
            }
        };
        self.reread_if(self.proof == Proof::SaveInMemory);
        if self.proof != Proof::UnderWriters {
            self.settle.reset();
        }
        self.filled = found.survey.others(false).cloned().collect();
        let Some(loaded) = loaded else {
            self.note_whole();
            self.set_baseline(&found.survey.identities, found.survey.is_racy);
            return Break(Ok(Look::Unchanged));
        };
        let Loaded { value, dependencies, sum } = match loaded {
            Ok(loaded) => loaded,
            Err(error) => {
                if self.looks_as_applied(&found.survey) {
                    // It only looks like what was good: the next look is to load it, too.
                    self.unmet.demand = Demand::Load;
                }
                self.set_baseline(&found.survey.identities, found.survey.is_racy);
                return Break(Err(error));
            }
        };
        if !self.site.set_dependencies(dependencies) {
            // What belongs to it was not looked at before it was read.
            attempt.arm = Arm::All;
            return Continue(());
        }
        self.note_whole();
        (self.applied, self.sum) = (Some(found.survey.identities), sum);
        self.turned = self.site.turned();
        self.baseline_is_due = true;
        Break(Ok(Look::Value(value)))
    }

    /// Takes note that a whole version was read.
    fn note_whole(&mut self) {
        self.settle.reset();
        (self.preempted, self.in_vain) = (false, None);
        self.follower.bell.note_read();
    }

    /// Has the files read now and then, though they look unchanged, if `may_change` unseen.
    fn reread_if(&mut self, may_change: bool) {
        let is_due = may_change || self.settings.is_opaque;
        if is_due != self.opaque.is_some() {
            self.opaque = is_due.then(Opaque::new);
        }
    }

    /// What events add to whether what was found is still so.
    fn by_hearsay(&self, holds: Holds, found: &Readable) -> Holds {
        let Readable { survey, news, turns, facts, .. } = found;
        if !matches!(holds, Holds::Yes | Holds::AsFarAsKnown) {
            return holds;
        }
        let is_told_of_writers = holds == Holds::Yes;
        // Others may have had the names of a set while it was read, and not any more.
        let may_be_mixed = self.follows_a_set() && facts.patience == Patience::Left;
        if survey.is_racy || may_be_mixed || !is_told_of_writers {
            self.site.catch_up();
        }
        let bell = &self.follower.bell;
        if survey.is_racy && bell.news() != *news || may_be_mixed && bell.turns() != *turns {
            return Holds::No;
        }
        if !is_told_of_writers && self.hears_writers(survey, facts.age) {
            return Holds::ButForWriters;
        }
        holds
    }

    /// Whether somebody was heard to be at what was found, that age ago, and not to be done.
    fn hears_writers(&self, survey: &Survey, age: Duration) -> bool {
        let bell = &self.follower.bell;
        // Of whoever gave an old file a new name, no end of a writing comes.
        let is_linked = || survey.is_linked(self.applied.as_deref().unwrap_or_default());
        // Nor of whoever wrote to one without a name first (`O_TMPFILE`, `open(2)`): what is made by its name holds
        // nothing before a write to it, which is told of a little later than it shows.
        let was_filled_before =
            || !bell.may_have_missed_writing() && self.settle.is_quiet(age) && survey.is_filled();
        bell.heard_writing() || bell.heard_writers() && !is_linked() && !was_filled_before()
    }
}

/// Waits for a moment until nobody is at these files any more: the kernel says that a file is closed before its
/// writer is gone for good, since that has yet to see what it wrote on its way to the disk.
async fn see_off_writers(survey: &Survey) {
    // Also where the clock of the runtime is paused.
    let start = std::time::Instant::now();
    // It may have been on this processor.
    thread::yield_now();
    loop {
        tokio::task::yield_now().await;
        if survey.writers() != Writers::Some || start.elapsed() >= PARTING {
            return;
        }
    }
}

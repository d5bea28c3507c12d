//! What a service remembers of the values that it published.

use std::{
    collections::VecDeque,
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::Poll,
    time::Duration,
};

use tokio::time::{Instant, timeout_at};

use crate::{
    channel::Snapshot,
    lock::lock,
    panic::{caught, drop_guarded},
};

/// How much of the past is kept.
pub(super) struct Limits<V> {
    /// How many values, the one that serves included.
    pub(super) generations: usize,
    /// How many bytes of them, and how they are measured.
    #[allow(clippy::type_complexity, reason = "a size and its measure")]
    pub(super) bytes: Option<(usize, Box<dyn Fn(&V) -> usize + Send + Sync>)>,
}

/// The values of the past, and which of them are good.
pub(crate) struct Record<V> {
    limits: Limits<V>,
    kept: Mutex<Kept<V>>,
    probation: Option<Probation<V>>,
}

struct Kept<V> {
    /// Oldest first, with their sizes.
    past: VecDeque<(Snapshot<V>, usize)>,
    /// The last that passed its probation, or needed none.
    good: Option<Snapshot<V>>,
    /// One that has yet to prove itself.
    on_trial: Option<Snapshot<V>>,
    /// One that did not, and why: it is not tried again while the source holds it.
    bad: Option<(Snapshot<V>, Arc<str>)>,
}

struct Probation<V> {
    window: Duration,
    check: Box<dyn Fn(Snapshot<V>) -> Checking + Send + Sync>,
}

/// A value's time to prove itself, and what comes of it; no failure in time is a success.
pub(crate) type Trial = Checking;

fn trial(window: Duration, mut check: Checking) -> Trial {
    let until = Instant::now() + window;
    Box::pin(async move {
        let checked = poll_fn(|cx| {
            // What panicked is never polled again: the trial is over.
            caught(|| check.as_mut().poll(cx)).unwrap_or_else(|words| Poll::Ready(Err(words)))
        });
        timeout_at(until, checked).await.unwrap_or(Ok(()))
    })
}

/// A health check that is under way; an error says why the value is not healthy.
pub(crate) type Checking = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

impl<V> Default for Record<V> {
    fn default() -> Self {
        let kept = Kept { past: VecDeque::new(), good: None, on_trial: None, bad: None };
        let limits = Limits { generations: 0, bytes: None };
        Self { limits, kept: Mutex::new(kept), probation: None }
    }
}

impl<V> Record<V> {
    pub(super) fn limits(&mut self) -> &mut Limits<V> {
        &mut self.limits
    }

    pub(super) fn set_probation(
        &mut self,
        window: Duration,
        check: Box<dyn Fn(Snapshot<V>) -> Checking + Send + Sync>,
    ) {
        self.probation = Some(Probation { window, check });
    }

    /// Takes note of a value that is published; one that is `known` good has proved itself.
    pub(super) fn is_published(&self, new: &Snapshot<V>, known: bool) {
        if self.limits.generations > 0 {
            self.keep(new);
        }
        let mut kept = self.lock();
        let was = if known { kept.good.replace(new.clone()) } else { None };
        let over = (kept.on_trial.take(), kept.bad.take(), was);
        drop(kept);
        drop_guarded(over);
    }

    /// Whether there is a value to go back to.
    pub(super) fn has_good(&self) -> bool {
        self.lock().good.is_some()
    }

    /// Has a value that was taken back not be tried again.
    pub(super) fn stays_bad(&self, bad: Option<(Snapshot<V>, Arc<str>)>) {
        self.lock().bad = bad;
    }

    /// The value that is on trial.
    pub(super) fn on_trial(&self) -> Option<Snapshot<V>> {
        self.lock().on_trial.clone()
    }

    /// Puts a value that was published on trial, if any is; before one has passed there is nothing
    /// to go back to.
    pub(super) fn try_out(&self, new: &Snapshot<V>) -> Option<Trial> {
        let probation = self.probation.as_ref()?;
        self.lock().on_trial = Some(new.clone());
        let check = caught(|| (probation.check)(new.clone()))
            .unwrap_or_else(|words| Box::pin(std::future::ready(Err(words))));
        Some(trial(probation.window, check))
    }

    fn keep(&self, new: &Snapshot<V>) {
        let size = self.limits.bytes.as_ref().map_or(0, |(_, size_of)| {
            // One that can't be measured is too large.
            caught(|| size_of(new)).unwrap_or(usize::MAX)
        });
        let mut kept = self.lock();
        kept.past.push_back((new.clone(), size));
        let most = self.limits.bytes.as_ref().map_or(usize::MAX, |(most, _)| *most);
        let mut over = Vec::new();
        while kept.past.len() > self.limits.generations
            || kept.past.iter().fold(0_usize, |sum, (_, size)| sum.saturating_add(*size)) > most
        {
            let Some(oldest) = kept.past.pop_front() else { break };
            over.push(oldest);
        }
        drop(kept);
        // Freed without the lock, since that may take long.
        drop_guarded(over);
    }

    /// Takes note that the value on trial has proved itself, and returns it.
    pub(super) fn is_good(&self) -> Option<Snapshot<V>> {
        let mut kept = self.lock();
        let good = kept.on_trial.take()?;
        let was = kept.good.replace(good.clone());
        drop(kept);
        drop_guarded(was);
        Some(good)
    }

    /// Takes note that the value on trial is bad, until another is published; returns the last good
    /// one, if there is any.
    pub(super) fn is_bad(&self, why: &Arc<str>) -> Option<Snapshot<V>> {
        let mut kept = self.lock();
        let bad = kept.on_trial.clone()?;
        kept.bad = Some((bad, Arc::clone(why)));
        kept.good.clone()
    }

    /// The value that is not tried again, and why.
    pub(super) fn bad(&self) -> Option<(Snapshot<V>, Arc<str>)> {
        self.lock().bad.clone()
    }

    /// Forgets that there was a bad one, since the source holds it no more.
    pub(super) fn forget_bad(&self) {
        let bad = self.lock().bad.take();
        drop_guarded(bad);
    }

    /// A value of the past that is still there.
    pub(super) fn find(&self, generation: u64) -> Option<Snapshot<V>> {
        let kept = self.lock();
        let mut past = kept.past.iter().map(|(one, _)| one);
        past.find(|one| one.generation() == generation).cloned()
    }

    /// The generations that are kept, oldest first.
    pub(super) fn past(&self) -> Vec<Past> {
        self.lock().past.iter().map(|(one, _)| Past::of(one)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Kept<V>> {
        lock(&self.kept)
    }
}

/// A generation that can be rolled back to; from
/// [`ReloaderHandle::history`](crate::ReloaderHandle::history).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Past {
    /// Its number.
    pub generation: u64,
    /// Why it was loaded.
    pub reason: crate::Reason,
    /// When it was published.
    pub published_at: Instant,
}

impl Past {
    fn of<V>(snapshot: &Snapshot<V>) -> Self {
        Self {
            generation: snapshot.generation(),
            reason: snapshot.reason(),
            published_at: snapshot.published_at(),
        }
    }
}

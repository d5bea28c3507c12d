//! What a service remembers of the values that it published.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use tokio::time::{Instant, timeout_at};

use crate::{
    channel::Snapshot,
    lock::lock,
    panic::{Guarded, caught, drop_guarded},
};

/// How much of the past is kept.
pub(super) struct Limits<V> {
    /// How many values, the one that serves included.
    pub(super) generations: Option<usize>,
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
    /// Oldest first.
    past: VecDeque<Entry<V>>,
    /// The last that passed its probation, or needed none.
    good: Option<Snapshot<V>>,
    /// One that has yet to prove itself.
    on_trial: Option<Snapshot<V>>,
    /// One that did not, and why: it is not tried again while the source holds it.
    bad: Option<(Snapshot<V>, Arc<str>)>,
}

struct Entry<V> {
    value: Snapshot<V>,
    size: usize,
    /// The generation that it was first, where it was published anew.
    of: Option<u64>,
    is_bad: bool,
}

struct Probation<V> {
    window: Duration,
    check: Box<dyn Fn(Snapshot<V>) -> HealthCheck + Send + Sync>,
}

/// A loop that notices this much later that a value's time is over was elsewhere, and did not attend to its check.
const HELD_UP: Duration = Duration::from_millis(100);
/// A value's time ends once it was prolonged for that so often: a loop that is always busy would never end it.
const MOST_TIMES: usize = 8;

/// A health check of the user's that is under way; an error says why the value is not healthy.
pub(crate) type HealthCheck = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// A value's time to prove itself, and what comes of it; no failure in time is a success.
pub(crate) type Trial = HealthCheck;

/// Where a value is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Home {
    Source,
    /// It served before, as this generation, and somebody wants it back.
    History(u64),
    /// It is the last good one, of this generation, in the place of one that is bad.
    LastGood(u64),
    /// It served in an earlier run.
    Disk,
}

impl<V> Default for Record<V> {
    fn default() -> Self {
        let kept = Kept { past: VecDeque::new(), good: None, on_trial: None, bad: None };
        let limits = Limits { generations: None, bytes: None };
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
        check: Box<dyn Fn(Snapshot<V>) -> HealthCheck + Send + Sync>,
    ) {
        self.probation = Some(Probation { window, check });
    }

    /// Takes note of a value that is published; returns until when it is on probation, if it is, and what is
    /// over with it.
    pub(super) fn publish(
        &self,
        new: &Snapshot<V>,
        home: Home,
    ) -> (Option<Instant>, impl Sized + use<V>) {
        let size = self.size(new);
        let mut kept = self.lock();
        let over = size.map(|size| kept.keep(new.clone(), size, home, &self.limits));
        let has_proved_itself = matches!(home, Home::LastGood(_) | Home::Disk);
        let was = if has_proved_itself { kept.good.replace(new.clone()) } else { None };
        // It stays bad as long as the source holds it.
        let bad = if let Home::LastGood(_) = home { None } else { kept.bad.take() };
        let over = Guarded::new((over, was, bad, kept.on_trial.take()));
        let probation = self.probation.as_ref().filter(|_| home == Home::Source);
        (probation.map(|probation| Instant::now() + probation.window), over)
    }

    /// The value that is on trial, which gets its time anew.
    pub(super) fn on_trial(&self) -> Option<(Snapshot<V>, Instant)> {
        let until = Instant::now() + self.probation.as_ref()?.window;
        Some((self.lock().on_trial.clone()?, until))
    }

    /// Puts a value that was published on trial; before one has passed there is nothing to go back
    /// to.
    pub(super) fn try_out(&self, new: &Snapshot<V>, until: Instant) -> Option<Trial> {
        let probation = self.probation.as_ref()?;
        let window = probation.window;
        self.lock().on_trial = Some(new.clone());
        let check = caught(|| (probation.check)(new.clone()))
            .unwrap_or_else(|words| Box::pin(std::future::ready(Err(words))));
        // Here, since its value may be replaced before it is polled.
        let mut check = Guarded::new(check);
        Some(Box::pin(async move {
            let mut until = until;
            for _ in 0..MOST_TIMES {
                if let Ok(outcome) = timeout_at(until, &mut check).await {
                    return outcome?;
                }
                let late = until.elapsed();
                if late < HELD_UP {
                    return Ok(());
                }
                // Nobody polled it for that long, so it could not fail in that time.
                until = Instant::now() + late.min(window);
            }
            Ok(())
        }))
    }

    /// How large a value is; `None` where none is kept.
    fn size(&self, value: &V) -> Option<usize> {
        match &self.limits {
            Limits { generations: None, bytes: None } => None,
            Limits { bytes: None, .. } => Some(0),
            // One that can't be measured is too large.
            Limits { bytes: Some((_, size_of)), .. } => {
                Some(caught(|| size_of(value)).unwrap_or(usize::MAX))
            }
        }
    }

    /// Takes note that the value on trial has proved itself, and returns it, and whether it was found bad
    /// in an earlier run.
    pub(super) fn acquit(&self) -> Option<(Snapshot<V>, bool)> {
        let mut kept = self.lock();
        let good = kept.on_trial.take()?;
        if let Some(entry) = kept.entry(good.generation()) {
            entry.is_bad = false;
        }
        let was = (kept.bad.take(), kept.good.replace(good.clone()));
        drop(kept);
        let was_bad = was.0.is_some();
        drop_guarded(was);
        Some((good, was_bad))
    }

    /// Takes note that the value on trial is bad, until another is published; returns the last good
    /// one, if there is any.
    pub(super) fn condemn(&self, why: &Arc<str>) -> Option<Snapshot<V>> {
        let mut kept = self.lock();
        let bad = kept.on_trial.clone()?;
        if let Some(entry) = kept.entry(bad.generation()) {
            entry.is_bad = true;
        }
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
        let mut past = kept.past.iter();
        let is_it = |entry: &&Entry<V>| {
            entry.value.generation() == generation || entry.of == Some(generation)
        };
        past.find(is_it).map(|entry| entry.value.clone())
    }

    /// The generations that are kept, oldest first.
    pub(super) fn past(&self) -> Vec<Past> {
        self.lock().past.iter().map(Past::of).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Kept<V>> {
        lock(&self.kept)
    }
}

impl<V> Kept<V> {
    /// Adds a value to the past, in the place of itself if it was there; returns what is too much
    /// then.
    fn keep(
        &mut self,
        value: Snapshot<V>,
        size: usize,
        home: Home,
        limits: &Limits<V>,
    ) -> Vec<Entry<V>> {
        let mut over = Vec::new();
        let (mut of, mut is_bad) = (None, false);
        if let Home::History(number) | Home::LastGood(number) = home {
            of = Some(number);
            let is_it = |entry: &Entry<V>| entry.value.generation() == number;
            if let Some(was) = self.past.iter().position(is_it).and_then(|at| self.past.remove(at))
            {
                of = was.of.or(of);
                is_bad = was.is_bad;
                over.push(was);
            }
        }
        self.past.push_back(Entry { value, size, of, is_bad });
        let most = limits.generations.unwrap_or(usize::MAX);
        let most_bytes = limits.bytes.as_ref().map_or(usize::MAX, |(most, _)| *most);
        while self.past.len() > most || self.bytes() > most_bytes {
            let Some(oldest) = self.past.pop_front() else { break };
            over.push(oldest);
        }
        over
    }

    /// The entry of a value that was published as this generation.
    fn entry(&mut self, generation: u64) -> Option<&mut Entry<V>> {
        self.past.iter_mut().find(|entry| entry.value.generation() == generation)
    }

    fn bytes(&self) -> usize {
        self.past.iter().fold(0, |sum, entry| sum.saturating_add(entry.size))
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
    /// The generation that its value was first, where it was published anew; either number leads to
    /// it.
    pub of: Option<u64>,
    /// Whether it failed its [probation](crate::ReloaderService::probation).
    pub is_bad: bool,
}

impl Past {
    fn of<V>(entry: &Entry<V>) -> Self {
        let Entry { value, of, is_bad, .. } = entry;
        Self {
            generation: value.generation(),
            reason: value.reason(),
            published_at: value.published_at(),
            of: *of,
            is_bad: *is_bad,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, sleep};

    use super::*;
    use crate::{
        at_once::at_once,
        change::{Origin, Reason},
        channel::channel,
    };

    const WINDOW: Duration = Duration::from_secs(10);

    /// Its time went by while the loop was elsewhere, and it had passed unheard; later, where that
    /// happened twice.
    #[tokio::test(start_paused = true)]
    async fn a_check_that_nobody_attended_to_has_its_time_all_the_same() {
        for times in 1..4 {
            let (sender, _receiver) = channel::<u32, &str>();
            let value = sender.candidate(1, Origin::new(Reason::Poll, Instant::now()));
            let mut record = Record::default();
            record.set_probation(
                WINDOW,
                Box::new(move |value| {
                    Box::pin(async move {
                        for _ in 0..=times {
                            sleep(WINDOW / 4).await;
                        }
                        if *value == 1 { Err("it answers 503".to_owned()) } else { Ok(()) }
                    })
                }),
            );
            let mut trial = record.try_out(&value, Instant::now() + WINDOW).unwrap();
            for _ in 0..times {
                assert_eq!(at_once(Pin::new(&mut trial)).await, None, "{times}");
                advance(6 * WINDOW).await;
            }
            let begun = Instant::now();
            assert_eq!(trial.await, Err("it answers 503".to_owned()), "{times}");
            assert_eq!(begun.elapsed(), WINDOW / 4);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_check_that_waits_has_passed_in_the_end_however_often_the_loop_is_held_up() {
        let (sender, _receiver) = channel::<u32, &str>();
        let value = sender.candidate(1, Origin::new(Reason::Poll, Instant::now()));
        let mut record = Record::default();
        record.set_probation(WINDOW, Box::new(|_| Box::pin(std::future::pending())));
        let mut trial = record.try_out(&value, Instant::now() + WINDOW).unwrap();
        let mut outcome = None;
        for _ in 0..=MOST_TIMES {
            assert_eq!(outcome, None);
            outcome = at_once(Pin::new(&mut trial)).await;
            advance(6 * WINDOW).await;
        }
        assert_eq!(outcome, Some(Ok(())));
    }
}

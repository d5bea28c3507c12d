//! When a write is whole, as far as it can be told from outside.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    bell::{Demand, Reasons},
    open::Writers,
};
use crate::follow::Patience;

/// How soon a file that somebody has open for writing is looked at again, without a hint: between
/// once and twice this, so as not to keep step with the writer.
const BUSY: Duration = Duration::from_millis(10);
/// The same where the writer was found only now. Most are on their way out: the kernel says that a file is closed
/// before its writer is gone, which takes until what it wrote is on its way to the disk.
const JUST_FOUND: Duration = Duration::from_millis(1);

/// How soon a file is looked at again that a storm leaves empty most of the time, where nobody is told of writers
/// and it was waited for up to the ceiling: what it holds in between is there for less than this.
const SHORT_LIVED: Duration = Duration::from_millis(1);

/// After how many quiet windows a writer that was waited for up to the ceiling, and still has the
/// file open, is taken to rest: on a busy machine one is easily stopped for longer than a window.
const REST: u32 = 10;
/// After how many ceilings a writer that neither rests nor closes is read between two writes, and one that
/// leaves the file empty is not waited for.
const RESTLESS: u32 = 2;

/// What is waited for before a file is read.
#[derive(Debug)]
pub(super) struct Settle {
    /// How long it has to be quiet where nothing else tells that its writer is done.
    window: Duration,
    /// After how long without a write its writer is not waited for.
    ceiling: Duration,
    /// Since when every look has found somebody writing.
    busy_since: Option<Instant>,
    /// Since when every look has found it empty, and when the last has.
    empty: Option<(Instant, Instant)>,
}

/// What a look knows of a file, or of the main file of a set.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts {
    /// Time since it changed; of a set, since any of it did.
    pub(super) age: Duration,
    /// Whether it holds nothing; of a set, whether any of it has lost what it held.
    pub(super) is_empty: bool,
    /// Whether it is of a set.
    pub(super) is_of_set: bool,
    /// Whether this was read before, and not taken as somebody had it open for writing.
    pub(super) was_in_vain: bool,
    pub(super) reasons: Reasons,
    pub(super) patience: Patience,
}

impl Settle {
    pub(super) fn new(window: Duration, ceiling: Duration) -> Self {
        Self { window, ceiling, busy_since: None, empty: None }
    }

    /// Says how much longer to wait before the file is read; `writers` and the time are asked for only
    /// if they matter.
    pub(super) fn before_reading(
        &mut self,
        facts: Facts,
        writers: impl FnOnce() -> Writers,
        now: impl Fn() -> Instant,
    ) -> Option<Duration> {
        if !facts.is_empty {
            self.empty = None;
        } else if self.has_been_empty(now()) {
            return None;
        }
        // Whoever has it open for that long without a write is not about to finish one.
        if facts.patience == Patience::Exhausted || facts.age >= self.ceiling {
            if !facts.is_empty {
                return self.before_reading_again(facts, writers, now);
            }
            // In a storm it is empty most of the time, and never for long.
            if facts.age >= REST * self.window {
                return None;
            }
            return match writers() {
                Writers::None => None,
                // Every look holds them up for a while.
                Writers::Some => Some(busy()),
                Writers::Unknown => Some(SHORT_LIVED),
            };
        }
        // It may be about to be written, or have lost what it held.
        if facts.is_empty {
            return Some(busy());
        }
        let left = || self.window.checked_sub(facts.age).filter(|left| !left.is_zero());
        // The others of a set may be about to follow.
        if facts.is_of_set
            && let Some(left) = left()
        {
            return Some(left);
        }
        // Of a finished write the reading itself will tell whether another has begun; of one that is
        // heard of, it need not.
        if facts.reasons.is_finished && !facts.reasons.writing {
            return None;
        }
        match writers() {
            Writers::None => {
                self.busy_since = None;
                None
            }
            // The reading tells whether it was at it: in a storm few moments are left between two.
            Writers::Some if facts.reasons.demand >= Demand::Read && !facts.reasons.writing => None,
            Writers::Some => {
                let now = now();
                let busy_since = *self.busy_since.get_or_insert(now);
                Some(busy_for(now.saturating_duration_since(busy_since)))
            }
            // Events tell what a lease could not.
            Writers::Unknown if facts.reasons.writing => Some(busy()),
            Writers::Unknown => left(),
        }
    }

    /// Says how much longer to wait before what was read in vain is read again: it would not be taken yet, and
    /// somebody still has it open.
    fn before_reading_again(
        &mut self,
        facts: Facts,
        writers: impl FnOnce() -> Writers,
        now: impl Fn() -> Instant,
    ) -> Option<Duration> {
        if !facts.was_in_vain {
            return None;
        }
        let (wait, _) = self.despite_writers(facts, now()).err()?;
        (writers() == Writers::Some).then_some(wait)
    }

    /// Whether what was read is taken though somebody has the file open for writing; otherwise how
    /// soon to look again, and whether that one was found only now.
    pub(super) fn despite_writers(
        &mut self,
        facts: Facts,
        now: Instant,
    ) -> Result<(), (Duration, bool)> {
        // Where patience is at its end, that is a ceiling after the first that was heard of it.
        let before =
            if facts.patience == Patience::Exhausted { self.ceiling } else { Duration::ZERO };
        let began = || now.checked_sub(before).unwrap_or(now);
        let busy_since = *self.busy_since.get_or_insert_with(began);
        let found_at_work = now.saturating_duration_since(busy_since);
        let is_enough = facts.age >= self.ceiling
            || facts.patience == Patience::Exhausted
                && (facts.age >= REST * self.window
                    // One that neither rests nor ever closes leaves no better moment.
                    || found_at_work >= RESTLESS * self.ceiling);
        if is_enough { Ok(()) } else { Err((busy_for(found_at_work), found_at_work < JUST_FOUND)) }
    }

    /// Whether what changed that long ago has been quiet since.
    pub(super) fn is_quiet(&self, age: Duration) -> bool {
        age >= self.window
    }

    /// Whether it has been empty for so long that whoever touches it is not about to fill it.
    #[cold]
    fn has_been_empty(&mut self, now: Instant) -> bool {
        let enough = (RESTLESS * self.ceiling).max(REST * self.window);
        // Between looks that are further apart, as around a pause, it may have been filled.
        let apart = (enough / 2).max(REST * BUSY);
        let goes_on = |empty: &(Instant, Instant)| now.saturating_duration_since(empty.1) <= apart;
        let since = self.empty.filter(goes_on).map_or(now, |(since, _)| since);
        self.empty = Some((since, now));
        now.saturating_duration_since(since) >= enough
    }

    /// Takes note that a whole version was read, or that there is none to wait for.
    pub(super) fn reset(&mut self) {
        (self.busy_since, self.empty) = (None, None);
    }
}

#[cold]
fn busy() -> Duration {
    busy_for(BUSY)
}

/// How soon to look again for a writer that was at it for that long.
#[cold]
fn busy_for(time: Duration) -> Duration {
    time.clamp(JUST_FOUND, BUSY).mul_f64(1.0 + fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file_reloader::bell::Arm;

    const MS: Duration = Duration::from_millis(1);
    const FRESH: Facts = Facts {
        age: MS,
        is_empty: false,
        is_of_set: false,
        was_in_vain: false,
        reasons: NO_REASONS,
        patience: Patience::Left,
    };
    const NO_REASONS: Reasons =
        Reasons { demand: Demand::Look, is_finished: false, arm: Arm::None, writing: false };
    const FINISHED: Reasons = Reasons { demand: Demand::Load, is_finished: true, ..NO_REASONS };
    const DOUBTFUL: Reasons = Reasons { demand: Demand::Read, ..NO_REASONS };
    const WRITING: Reasons = Reasons { writing: true, ..NO_REASONS };

    fn settle() -> Settle {
        Settle::new(50 * MS, 3000 * MS)
    }

    #[test]
    fn waits_before_it_reads() {
        let exhausted = Patience::Exhausted;
        let known = Facts { was_in_vain: true, ..FRESH };
        for (facts, writers, waits) in [
            (FRESH, Writers::None, false),
            (FRESH, Writers::Some, true),
            (FRESH, Writers::Unknown, true),
            (Facts { age: 50 * MS, ..FRESH }, Writers::Unknown, false),
            (Facts { age: 50 * MS, reasons: WRITING, ..FRESH }, Writers::Unknown, true),
            (Facts { age: 2999 * MS, ..FRESH }, Writers::Some, true),
            (Facts { age: 3000 * MS, ..FRESH }, Writers::Some, false),
            (Facts { patience: exhausted, ..FRESH }, Writers::Some, false),
            (Facts { patience: exhausted, ..known }, Writers::Some, true),
            (Facts { patience: exhausted, ..known }, Writers::None, false),
            (Facts { patience: exhausted, ..known }, Writers::Unknown, false),
            (Facts { patience: exhausted, age: 500 * MS, ..known }, Writers::Some, false),
            (Facts { age: 3000 * MS, ..known }, Writers::Some, false),
            (Facts { is_empty: true, ..FRESH }, Writers::None, true),
            (Facts { is_empty: true, reasons: FINISHED, ..FRESH }, Writers::None, true),
            (Facts { is_empty: true, age: 3000 * MS, ..FRESH }, Writers::None, false),
            (Facts { is_empty: true, patience: exhausted, ..FRESH }, Writers::Some, true),
            (Facts { is_empty: true, patience: exhausted, ..FRESH }, Writers::Unknown, true),
            (
                Facts { is_empty: true, age: 500 * MS, patience: exhausted, ..FRESH },
                Writers::Some,
                false,
            ),
            (Facts { is_empty: true, patience: exhausted, ..FRESH }, Writers::None, false),
            (Facts { reasons: FINISHED, ..FRESH }, Writers::Some, false),
            (Facts { reasons: DOUBTFUL, ..FRESH }, Writers::Unknown, true),
            (Facts { reasons: DOUBTFUL, ..FRESH }, Writers::Some, false),
            (Facts { is_of_set: true, reasons: FINISHED, ..FRESH }, Writers::None, true),
            (Facts { is_of_set: true, age: 50 * MS, ..FRESH }, Writers::None, false),
        ] {
            let wait = settle().before_reading(facts, || writers, Instant::now);
            assert_eq!(wait.is_some(), waits, "{facts:?} {writers:?}");
        }
    }

    /// Between two writes of a storm it holds something for some microseconds; that was once looked for 60 times
    /// a second, for ten seconds in vain.
    #[test]
    fn a_file_that_a_storm_leaves_empty_is_looked_at_often_once_the_ceiling_is_reached() {
        let empty = Facts { is_empty: true, ..FRESH };
        let exhausted = Facts { patience: Patience::Exhausted, ..empty };
        for (facts, writers, want) in [
            (empty, Writers::Unknown, BUSY..2 * BUSY),
            (exhausted, Writers::Unknown, SHORT_LIVED..BUSY),
            (exhausted, Writers::Some, BUSY..2 * BUSY),
        ] {
            let wait = settle().before_reading(facts, || writers, Instant::now).unwrap();
            assert!(want.contains(&wait), "{facts:?} {writers:?} {wait:?}");
        }
    }

    /// It was once waited for as long as somebody touched it.
    #[test]
    fn a_file_that_is_never_but_empty_is_not_waited_for_without_end() {
        let exhausted = Patience::Exhausted;
        let empty = Facts { is_empty: true, ..FRESH };
        let start = Instant::now();
        let waits = |settle: &mut Settle, facts, after| {
            settle.before_reading(facts, || Writers::Unknown, || start + after * MS).is_some()
        };
        let mut settle = settle();
        for (facts, after, waited_for) in [
            (empty, 0, true),
            (empty, 3000, true),
            (Facts { patience: exhausted, ..empty }, 5999, true),
            (Facts { patience: exhausted, ..empty }, 6000, false),
            // Nor is it when it is touched again.
            (empty, 6001, false),
            // Somebody has filled it.
            (Facts { age: 50 * MS, ..FRESH }, 6002, false),
            (empty, 6003, true),
        ] {
            assert_eq!(waits(&mut settle, facts, after), waited_for, "{facts:?} {after}");
        }
    }

    /// As those before and after a pause of the service, in which somebody filled it.
    #[test]
    fn looks_far_apart_do_not_tell_that_a_file_was_empty_in_between() {
        let empty = Facts { is_empty: true, ..FRESH };
        let start = Instant::now();
        let mut settle = settle();
        for (after, waited_for) in
            [(0, true), (3001, true), (6001, true), (9000, true), (9001, false), (12_002, true)]
        {
            let wait =
                settle.before_reading(empty, || Writers::Unknown, || start + after * MS).is_some();
            assert_eq!(wait, waited_for, "{after}");
        }
    }

    #[test]
    fn takes_what_was_read_despite_writers() {
        let exhausted = Facts { patience: Patience::Exhausted, ..FRESH };
        for (facts, busy_for, taken) in [
            (FRESH, 0, false),
            (Facts { age: 2999 * MS, ..FRESH }, 9000, false),
            (Facts { age: 3000 * MS, ..FRESH }, 0, true),
            (exhausted, 0, false),
            (Facts { age: 499 * MS, ..exhausted }, 0, false),
            (Facts { age: 500 * MS, ..exhausted }, 0, true),
            (exhausted, 5999, false),
            (exhausted, 6000, true),
        ] {
            let start = Instant::now();
            let mut settle = settle();
            settle.before_reading(FRESH, || Writers::Some, || start);
            let outcome = settle.despite_writers(facts, start + busy_for * MS);
            assert_eq!(outcome.is_ok(), taken, "{facts:?} {busy_for}");
        }
    }

    /// It was once waited for as long as one that had been at it for a second, though all it still did was to close
    /// the file.
    #[test]
    fn a_writer_that_was_found_only_now_is_looked_for_soon() {
        let (start, mut before, mut after) = (Instant::now(), settle(), settle());
        for (time, want) in [
            (0, JUST_FOUND..2 * JUST_FOUND),
            (4, 4 * MS..8 * MS),
            (10, BUSY..2 * BUSY),
            (1000, BUSY..2 * BUSY),
        ] {
            let now = start + time * MS;
            let wait = before.before_reading(FRESH, || Writers::Some, || now).unwrap();
            assert!(want.contains(&wait), "{time} {wait:?}");
            let (wait, is_just_found) = after.despite_writers(FRESH, now).unwrap_err();
            assert!(want.contains(&wait), "{time} {wait:?}");
            assert_eq!(is_just_found, time == 0);
        }
    }

    /// One that leaves no quiet moment is not looked at before the ceiling.
    #[test]
    fn a_restless_writer_is_waited_for_no_longer_when_it_is_looked_at_late() {
        let (start, mut settle) = (Instant::now(), settle());
        let exhausted = Facts { patience: Patience::Exhausted, ..FRESH };
        for (after, taken) in [(3000, false), (5999, false), (6000, true)] {
            let outcome = settle.despite_writers(exhausted, start + after * MS);
            assert_eq!(outcome.is_ok(), taken, "{after}");
        }
    }

    #[test]
    fn a_moment_without_writers_ends_the_wait_for_them() {
        let start = Instant::now();
        let exhausted = Facts { patience: Patience::Exhausted, ..FRESH };
        let mut settle = settle();
        settle.before_reading(FRESH, || Writers::Some, || start);
        settle.before_reading(FRESH, || Writers::None, || start + 5000 * MS);
        assert!(settle.despite_writers(exhausted, start + 6000 * MS).is_err());
    }
}

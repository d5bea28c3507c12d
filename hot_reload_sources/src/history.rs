//! Which revisions of a store can be compared.

use std::{
    hash::Hash,
    sync::{Mutex, MutexGuard},
};

#[cfg(any(feature = "etcd", feature = "postgres", test))]
use crate::content::Revision;
use crate::lock::lock;

/// How far a store has counted, as far as all connections to it have seen.
///
/// What is restored from a backup, or set up anew at the same address, counts from an earlier number on;
/// what it says would be taken for old news. But who has the last word never tells less than what had been
/// told before it was asked, and if it does it counts in another epoch.
#[derive(Debug, Default)]
pub(crate) struct History<I>(Mutex<Seen<I>>);

/// What was known when a read began.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen<I> {
    epoch: Epoch<I>,
    highest: u64,
}

/// Within one, numbers have an order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Epoch<I> {
    /// What the store calls itself.
    identity: I,
    /// How many epochs there were before.
    before: u64,
}

#[cfg(any(feature = "etcd", feature = "postgres", test))]
impl<I: Hash> Epoch<I> {
    pub(crate) fn at(&self, number: u64) -> Revision {
        Revision::new(self, number)
    }
}

impl<I: Clone + Eq> History<I> {
    /// Returns what is known before a read.
    pub(crate) fn before(&self) -> Seen<I> {
        self.seen().clone()
    }

    /// Returns the highest number so far.
    #[cfg(any(feature = "nats", test))]
    pub(crate) fn highest(&self) -> u64 {
        self.seen().highest
    }

    /// Returns the epoch of a read that began at `before`, and was answered by `identity` with `number`.
    ///
    /// One that does not have the last word, as a standby, may lag behind rightly.
    pub(crate) fn read(
        &self,
        before: &Seen<I>,
        identity: I,
        number: u64,
        has_last_word: bool,
    ) -> Epoch<I> {
        let mut seen = self.seen();
        if before.goes_on(&identity, number, has_last_word) {
            // Where another read has found a new epoch meanwhile, this was answered in the old one.
            if seen.epoch == before.epoch {
                seen.highest = seen.highest.max(number);
            }
            return before.epoch.clone();
        }
        let is_found = seen.epoch != before.epoch && seen.epoch.identity == identity;
        if is_found {
            seen.highest = seen.highest.max(number);
        } else {
            let before = seen.epoch.before + 1;
            *seen = Seen { epoch: Epoch { identity, before }, highest: number };
        }
        seen.epoch.clone()
    }

    /// Takes note of a change that was told.
    #[cfg(any(feature = "etcd", feature = "nats", test))]
    pub(crate) fn told(&self, epoch: &Epoch<I>, number: u64) {
        let mut seen = self.seen();
        if seen.epoch == *epoch {
            seen.highest = seen.highest.max(number);
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen<I>> {
        lock(&self.0)
    }
}

impl<I: Eq> Seen<I> {
    /// Whether such an answer is of the same epoch.
    fn goes_on(&self, identity: &I, number: u64, has_last_word: bool) -> bool {
        self.epoch.identity == *identity && (number >= self.highest || !has_last_word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who counts, and how far.
    type Answer = (&'static str, u64);

    fn read(history: &History<String>, before: &Seen<String>, answer: Answer) -> Epoch<String> {
        history.read(before, answer.0.to_owned(), answer.1, true)
    }

    fn next(history: &History<String>, answer: Answer) -> Epoch<String> {
        read(history, &history.before(), answer)
    }

    #[test]
    fn a_read_that_tells_less_than_was_known_begins_an_epoch() {
        let history = History::default();
        let first = next(&history, ("a", 7));
        history.told(&first, 9);
        assert_eq!(next(&history, ("a", 9)), first);
        let restored = next(&history, ("a", 2));
        assert_ne!(restored, first);
        assert!(!restored.at(2).is_older_than(first.at(9)));
        assert_eq!(next(&history, ("a", 3)), restored);
        assert_eq!(history.highest(), 3);
    }

    #[test]
    fn a_read_that_was_asked_for_earlier_tells_less_rightly() {
        let history = History::default();
        let epoch = next(&history, ("a", 7));
        let before = history.before();
        history.told(&epoch, 9);
        assert_eq!(read(&history, &before, ("a", 8)), epoch);
        assert!(epoch.at(8).is_older_than(epoch.at(9)));
        assert_eq!(history.highest(), 9);
    }

    #[test]
    fn whoever_calls_itself_otherwise_counts_otherwise() {
        let history = History::default();
        let first = next(&history, ("a", 7));
        let second = next(&history, ("b", 8));
        assert_ne!(first, second);
        // As it was before, and not the same.
        let third = next(&history, ("a", 7));
        assert!(third != first && third != second);
    }

    #[test]
    fn reads_that_overlap_find_one_new_epoch() {
        for anew in ["a", "b"] {
            let history = History::default();
            let first = next(&history, ("a", 7));
            let before = history.before();
            let restored = read(&history, &before, (anew, 2));
            assert_eq!(read(&history, &before, (anew, 3)), restored);
            assert_eq!(history.highest(), 3);
            // Answered in the old one, late.
            assert_eq!(read(&history, &before, ("a", 8)), first);
            assert_eq!(next(&history, (anew, 4)), restored);
            // Set up anew once more, while both were asked.
            assert_ne!(read(&history, &before, ("c", 1)), restored);
        }
    }

    #[test]
    fn first_reads_that_overlap_know_the_later_of_them() {
        let history = History::default();
        let before = history.before();
        let first = read(&history, &before, ("a", 7));
        assert_eq!(read(&history, &before, ("a", 9)), first);
        assert_ne!(next(&history, ("a", 8)), first);
    }

    #[test]
    fn one_without_the_last_word_may_lag() {
        let history = History::default();
        let first = next(&history, ("a", 7));
        assert_eq!(history.read(&history.before(), "a".into(), 6, false), first);
        assert_eq!(history.highest(), 7);
        assert_ne!(history.read(&history.before(), "a".into(), 6, true), first);
    }
}

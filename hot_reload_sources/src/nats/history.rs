//! What all connections of a place have seen of its bucket, and of its key.

use std::{
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use tokio::time::Instant;

use crate::{content::Revision, history, lock::lock};

/// Which revisions of a bucket can be compared, by the time when its stream was created.
///
/// Each place has its own, as each has another key.
#[derive(Debug, Default)]
pub(super) struct History {
    stream: history::History<String>,
    key: Mutex<Newest>,
}

/// What was known when a bucket was asked for.
pub(super) type Seen = history::Seen<String>;

/// Within one, numbers have an order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Epoch {
    stream: history::Epoch<String>,
    /// How often what was newest has been removed before.
    removals: u64,
}

/// The newest message of a key that was seen.
#[derive(Debug, Default)]
struct Newest {
    epoch: Epoch,
    sequence: u64,
    /// Since when all that was found was older.
    older_since: Option<Instant>,
}

impl Epoch {
    pub(super) fn at(&self, number: u64) -> Revision {
        Revision::new(self, number)
    }

    /// Whether it is of the same stream, be it after a removal.
    pub(super) fn is_of_stream(&self, of: &Self) -> bool {
        self.stream == of.stream
    }
}

impl History {
    pub(super) fn before(&self) -> Seen {
        self.stream.before()
    }

    /// Returns the epoch of a bucket that was created at `created`, and has counted up to `last`.
    pub(super) fn read(&self, before: &Seen, created: String, last: u64) -> Epoch {
        let stream = self.stream.read(before, created, last, true);
        Epoch { stream, removals: self.key().epoch.removals }
    }

    /// Returns the highest number so far.
    pub(super) fn highest(&self) -> u64 {
        self.stream.highest()
    }

    /// Takes note of how far the bucket has counted.
    pub(super) fn told(&self, epoch: &Epoch, number: u64) {
        self.stream.told(&epoch.stream, number);
    }

    /// Takes note of a message of the key.
    pub(super) fn takes(&self, epoch: &Epoch, sequence: u64) {
        self.key().takes(epoch, sequence);
    }

    /// Takes note of which message of the key is found to be the last; whether that is older than another that
    /// was seen.
    pub(super) fn finds(&self, epoch: &Epoch, sequence: u64) -> bool {
        self.key().finds(epoch, sequence)
    }

    /// Whether only older ones were found for as long as `patience`; a member that lags behind finds them too,
    /// but seldom for long.
    pub(super) fn is_older_for(&self, patience: Duration) -> bool {
        self.key().older_since.is_some_and(|since| since.elapsed() >= patience)
    }

    /// Returns a new epoch, in which what there is now is newest, if only older messages were found until now: the
    /// newest was removed, as an administrator can, which no other one tells.
    pub(super) fn removed(&self, epoch: &Epoch) -> Option<Epoch> {
        let mut key = self.key();
        (*epoch == key.epoch && key.older_since.is_some()).then(|| key.begins())
    }

    /// The same of a watch that was sent all up to the number `passed`, and of the key at last `sequence`.
    pub(super) fn passed(&self, epoch: &Epoch, sequence: u64, passed: u64) -> Option<Epoch> {
        let mut key = self.key();
        let is_removed = *epoch == key.epoch && sequence < key.sequence && key.sequence <= passed;
        is_removed.then(|| key.begins())
    }

    fn key(&self) -> MutexGuard<'_, Newest> {
        lock(&self.key)
    }
}

impl Newest {
    fn takes(&mut self, epoch: &Epoch, sequence: u64) {
        // One of before the last removal is of a connection that has not found it yet.
        if epoch.removals == self.epoch.removals
            && (epoch.stream != self.epoch.stream || sequence >= self.sequence)
        {
            *self = Self { epoch: epoch.clone(), sequence, older_since: None };
        }
    }

    fn finds(&mut self, epoch: &Epoch, sequence: u64) -> bool {
        let is_older = *epoch == self.epoch && sequence < self.sequence;
        let since = self.older_since.unwrap_or_else(Instant::now);
        self.older_since = is_older.then_some(since);
        is_older
    }

    fn begins(&mut self) -> Epoch {
        self.epoch.removals += 1;
        (self.sequence, self.older_since) = (0, None);
        self.epoch.clone()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn epoch(history: &History, created: &str) -> Epoch {
        history.read(&history.before(), created.into(), 9)
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_removed_is_found_to_be_older_for_long() {
        let patience = Duration::from_secs(5);
        let history = History::default();
        let first = epoch(&history, "monday");
        history.takes(&first, 7);
        // Which one is found after so many seconds more, and whether that is older, and has been for long.
        for (after, found, is_older, is_so_for_long) in [
            (0, 7, false, false),
            (0, 6, true, false),
            (4, 6, true, false),
            // It was a member that lags behind.
            (4, 7, false, false),
            (0, 6, true, false),
            (5, 6, true, true),
        ] {
            advance(Duration::from_secs(after)).await;
            assert_eq!(history.finds(&first, found), is_older, "{found}");
            assert_eq!(history.is_older_for(patience), is_so_for_long, "{found}");
        }
        let second = history.removed(&first).unwrap();
        assert_eq!(epoch(&history, "monday"), second);
        assert!(!second.at(6).is_older_than(first.at(7)));
        // By a connection that has not found it yet.
        history.takes(&first, 7);
        assert!(!history.finds(&second, 6) && history.removed(&first).is_none());
        history.takes(&second, 8);
        assert!(history.finds(&second, 6));
    }

    #[test]
    fn what_is_found_to_be_older_and_then_comes_again_was_not_removed() {
        let history = History::default();
        let epoch = epoch(&history, "monday");
        history.takes(&epoch, 7);
        assert!(history.finds(&epoch, 6));
        history.takes(&epoch, 7);
        assert_eq!(history.removed(&epoch), None);
    }

    #[test]
    fn what_a_watch_has_passed_and_was_not_sent_was_removed() {
        let history = History::default();
        let epoch = epoch(&history, "monday");
        history.takes(&epoch, 7);
        for (sequence, passed) in [(7, 7), (7, 9), (6, 6)] {
            assert_eq!(history.passed(&epoch, sequence, passed), None, "{sequence} of {passed}");
        }
        assert!(history.passed(&epoch, 6, 7).is_some());
    }

    #[test]
    fn a_bucket_that_is_created_anew_has_had_nothing_removed() {
        let history = History::default();
        history.takes(&epoch(&history, "monday"), 7);
        let tuesday = epoch(&history, "tuesday");
        assert!(!history.finds(&tuesday, 1));
        history.takes(&tuesday, 1);
        assert!(!history.finds(&tuesday, 1));
    }
}

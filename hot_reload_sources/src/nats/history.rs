//! Which revisions of a bucket can be compared.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::content::Revision;

/// What one place has seen of its bucket, over all its connections.
#[derive(Debug, Default)]
pub(super) struct History(Mutex<Seen>);

#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    epoch: Epoch,
    /// Of all sequence numbers.
    highest: u64,
}

/// One life of a bucket: as long as it counts its changes onwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct Epoch {
    /// Identifies the stream.
    stream: u64,
    /// How often it has been found to count from before what was seen of it already, as after it was
    /// restored from a backup.
    rewinds: u64,
}

impl Epoch {
    pub(super) fn revision(self, sequence: u64) -> Revision {
        Revision::new(self, sequence)
    }
}

impl History {
    /// Returns the highest sequence number so far.
    pub(super) fn highest(&self) -> u64 {
        self.lock().highest
    }

    /// Takes note of a bucket that was `created` then and had counted up to `last` when it was asked,
    /// at which time [`highest`](Self::highest) was `before`.
    pub(super) fn meets(&self, created: impl Hash, last: u64, before: u64) -> Epoch {
        let mut hasher = DefaultHasher::new();
        created.hash(&mut hasher);
        let stream = hasher.finish();
        let mut seen = self.lock();
        if seen.epoch.stream != stream {
            *seen = Seen { epoch: Epoch { stream, rewinds: 0 }, highest: 0 };
        } else if last < before {
            seen.epoch.rewinds += 1;
            seen.highest = last;
        }
        seen.epoch
    }

    /// Takes note of a message.
    pub(super) fn saw(&self, epoch: Epoch, sequence: u64) {
        let mut seen = self.lock();
        if seen.epoch == epoch {
            seen.highest = seen.highest.max(sequence);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        // Nothing in here panics.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_that_counts_onwards_stays_the_same() {
        let history = History::default();
        let first = history.meets("monday", 7, history.highest());
        history.saw(first, 9);
        assert_eq!(history.meets("monday", 9, history.highest()), first);
        assert!(first.revision(7).is_older_than(first.revision(9)));
    }

    #[test]
    fn one_that_was_created_anew_or_restored_is_another() {
        let history = History::default();
        let first = history.meets("monday", 7, history.highest());
        history.saw(first, 9);
        let restored = history.meets("monday", 8, history.highest());
        assert_ne!(restored, first);
        assert_eq!(history.highest(), 8);
        let anew = history.meets("tuesday", 1, history.highest());
        assert!(anew != first && anew != restored);
        assert_eq!(history.highest(), 0);
    }

    #[test]
    fn what_was_seen_while_it_was_asked_is_no_sign_of_a_restored_one() {
        let history = History::default();
        let first = history.meets("monday", 7, history.highest());
        let before = history.highest();
        history.saw(first, 9);
        assert_eq!(history.meets("monday", 8, before), first);
    }
}

//! The order of what a cluster says.

use std::sync::{Mutex, PoisonError};

use etcd_client::ResponseHeader;

use crate::content::Revision;

/// The history that a cluster is in, as far as it is known.
///
/// A cluster that is restored from a snapshot, or set up anew with the same addresses, has the same id
/// and counts from an earlier revision on; what it says would be taken for old news. But a linearizable
/// read never tells less than what had been told before it was asked for, and one that does shows that
/// this is another history
/// ([etcd: bumping the revision](https://etcd.io/docs/v3.6/op-guide/recovery/)).
#[derive(Debug, Default)]
pub(super) struct History(Mutex<Seen>);

/// What was known when a read began.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen {
    era: Era,
    highest: i64,
}

/// Within one, revisions have an order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(super) struct Era {
    cluster: u64,
    restored: u64,
}

impl Era {
    pub(super) fn at(self, revision: i64) -> Revision {
        Revision::new(self, revision.max(0).unsigned_abs())
    }
}

impl History {
    /// Returns what is known before a read.
    pub(super) fn before(&self) -> Seen {
        *self.seen()
    }

    /// Returns the era of what a linearizable read has answered with, which began at `before`.
    pub(super) fn read(&self, before: Seen, header: &ResponseHeader) -> Era {
        self.has_read(before, header.cluster_id(), header.revision())
    }

    /// Takes note of a change that was told.
    pub(super) fn told(&self, era: Era, revision: i64) {
        let mut seen = self.seen();
        if seen.era == era {
            seen.highest = seen.highest.max(revision);
        }
    }

    fn has_read(&self, before: Seen, cluster: u64, revision: i64) -> Era {
        let mut seen = self.seen();
        let is_of = |known: Seen| known.era.cluster == cluster && revision >= known.highest;
        if seen.era == before.era {
            if is_of(before) {
                seen.highest = seen.highest.max(revision);
            } else {
                let restored = seen.era.restored + 1;
                *seen = Seen { era: Era { cluster, restored }, highest: revision };
            }
            return seen.era;
        }
        // Another read has found out meanwhile; this one may have been answered before.
        if is_of(before) { before.era } else { seen.era }
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        // Copies, which no panic leaves half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_that_tells_less_than_was_known_begins_an_era() {
        let history = History::default();
        let first = history.has_read(history.before(), 1, 7);
        history.told(first, 9);
        let before = history.before();
        assert_eq!(history.has_read(before, 1, 9), first);
        let restored = history.has_read(before, 1, 2);
        assert_ne!(restored, first);
        assert!(!restored.at(2).is_older_than(first.at(9)));
        assert_eq!(history.has_read(history.before(), 1, 3), restored);
    }

    #[test]
    fn a_read_that_was_asked_for_earlier_tells_less_rightly() {
        let history = History::default();
        let era = history.has_read(history.before(), 1, 7);
        let before = history.before();
        history.told(era, 9);
        assert_eq!(history.has_read(before, 1, 8), era);
        assert!(era.at(8).is_older_than(era.at(9)));
    }

    #[test]
    fn another_cluster_is_another_era() {
        let history = History::default();
        let first = history.has_read(history.before(), 1, 7);
        assert_ne!(history.has_read(history.before(), 2, 8), first);
    }

    #[test]
    fn reads_that_overlap_find_one_new_era() {
        let history = History::default();
        let first = history.has_read(history.before(), 1, 7);
        let before = history.before();
        let restored = history.has_read(before, 1, 2);
        assert_eq!(history.has_read(before, 1, 3), restored);
        // Answered by the old history, late.
        assert_eq!(history.has_read(before, 1, 8), first);
        assert_eq!(history.has_read(history.before(), 1, 4), restored);
    }
}

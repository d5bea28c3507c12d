//! Which of two entries is the newer, and which can only be told by another read.

use crate::content::{Entry, Revision};

/// A read during which something arrived tells nothing of which is newer; a store that never rests is
/// taken at its word after this many, and read once more when it may rest.
const MOST_READS: u32 = 3;

/// What is known of the order of a store.
#[derive(Default)]
pub(super) struct Order {
    newest: Option<Revision>,
    /// What arrived and no look has taken yet.
    arrived: Option<Entry>,
    /// What had arrived when the read began that is under way.
    aside: Option<Entry>,
    /// Reads in a row during which something arrived.
    overlaps: u32,
}

/// What a read comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Settled {
    /// This is the newest.
    Newest(Entry),
    /// This may be, and another read has to tell.
    Maybe(Entry),
    /// Only another read can tell.
    Unknown,
}

impl Order {
    /// Takes note of an entry that arrived, unless a newer one is known; whether it has.
    pub(super) fn arrives(&mut self, entry: Entry) -> bool {
        let known = self.arrived.as_ref().map_or(self.newest, |arrived| arrived.revision);
        if is_older(&entry, known) {
            return false;
        }
        self.arrived = Some(entry);
        true
    }

    pub(super) fn has_arrived(&self) -> bool {
        self.arrived.is_some()
    }

    pub(super) fn take_arrived(&mut self) -> Option<Entry> {
        self.arrived.take()
    }

    /// A read begins: what has arrived is older than what it will find, unless revisions tell otherwise.
    pub(super) fn read_begins(&mut self) {
        self.aside = self.arrived.take_if(|arrived| arrived.revision.is_none());
    }

    /// A read has found nothing, so that what had arrived before is the newest that is known.
    pub(super) fn read_fails(&mut self) {
        let aside = self.aside.take();
        self.arrived = self.arrived.take().or(aside);
    }

    /// A read has ended, and `entry` is what it found.
    pub(super) fn read_ends(&mut self, read: Entry) -> Settled {
        self.aside = None;
        let Some(arrived) = self.arrived.take() else {
            self.overlaps = 0;
            return Settled::Newest(read);
        };
        if read.revision.is_some() && arrived.revision.is_some() {
            self.overlaps = 0;
            let is_late = is_older(&read, arrived.revision);
            return Settled::Newest(if is_late { arrived } else { read });
        }
        self.overlaps += 1;
        if self.overlaps < MOST_READS {
            return Settled::Unknown;
        }
        self.overlaps = 0;
        Settled::Maybe(read)
    }

    /// There is a new connection: what arrived by the old one is older than what is found by it.
    pub(super) fn connects(&mut self) {
        self.arrived = None;
        self.aside = None;
        self.overlaps = 0;
    }

    /// Whether `entry` is to be taken, as none is newer; if so, it is the newest from here on.
    pub(super) fn admits(&mut self, entry: &Entry) -> bool {
        let admits = !is_older(entry, self.newest);
        if admits {
            self.newest = entry.revision;
        }
        admits
    }
}

fn is_older(entry: &Entry, than: Option<Revision>) -> bool {
    entry.revision.zip(than).is_some_and(|(entry, than)| entry.is_older_than(than))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(number: u64) -> Entry {
        Entry::one(number.to_string()).at(Revision::new("one", number))
    }

    fn without(text: &'static str) -> Entry {
        Entry::one(text)
    }

    #[test]
    fn what_arrived_during_a_read() {
        use Settled::{Maybe, Newest, Unknown};

        let other_epoch = || Entry::one("3").at(Revision::new("another", 3));
        let table: [(Option<Entry>, Entry, Settled); 7] = [
            (None, at(6), Newest(at(6))),
            (Some(at(7)), at(6), Newest(at(7))),
            (Some(at(5)), at(6), Newest(at(6))),
            (Some(at(5)), other_epoch(), Newest(other_epoch())),
            (Some(without("b")), without("a"), Unknown),
            (Some(without("c")), without("b"), Unknown),
            // It never rests.
            (Some(without("d")), without("c"), Maybe(without("c"))),
        ];
        let mut order = Order::default();
        for (arrived, read, want) in table {
            order.read_begins();
            if let Some(arrived) = arrived {
                order.arrives(arrived);
            }
            assert_eq!(order.read_ends(read), want);
        }
    }

    #[test]
    fn only_reads_in_a_row_count() {
        let mut order = Order::default();
        for _ in 0..10 {
            order.arrives(without("b"));
            assert_eq!(order.read_ends(without("a")), Settled::Unknown);
            order.connects();
        }
    }

    #[test]
    fn what_is_older_is_not_taken() {
        let mut order = Order::default();
        assert!(order.admits(&at(6)) && !order.arrives(at(5)) && !order.admits(&at(5)));
        assert!(order.arrives(at(8)) && !order.arrives(at(7)));
        assert_eq!(order.take_arrived(), Some(at(8)));
        // What is read from now on is newer than what has arrived, and can't be told by a revision.
        assert!(order.arrives(without("a")));
        order.read_begins();
        assert_eq!(order.take_arrived(), None);
    }

    /// Once it was thrown away where a read was throttled.
    #[test]
    fn what_had_arrived_before_a_read_that_failed_is_kept() {
        let mut order = Order::default();
        order.arrives(without("a"));
        order.read_begins();
        order.read_fails();
        assert_eq!(order.take_arrived(), Some(without("a")));

        order.arrives(without("a"));
        order.read_begins();
        order.arrives(without("b"));
        order.read_fails();
        assert_eq!(order.take_arrived(), Some(without("b")));
        order.read_fails();
        assert_eq!(order.take_arrived(), None);
    }

    #[test]
    fn what_arrived_by_an_old_connection_is_forgotten() {
        let mut order = Order::default();
        order.arrives(without("a"));
        order.connects();
        assert_eq!(order.take_arrived(), None);
    }
}

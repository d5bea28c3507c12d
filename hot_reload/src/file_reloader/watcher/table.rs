//! Every follower whose files are looked at, by how often, and what these are compared with.
//!
//! Followers with the same interval are looked at together, so that ten thousand of them wake the
//! process as often as one. What their files are compared with is side by side in memory, in the order
//! of the walk, so that a processor fetches it ahead: of what lies anywhere, a walk through thousands
//! waits for each line, and in all for as long as for what the kernel says.

use std::{
    collections::HashMap,
    iter,
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::time::Instant;

use super::{Follower, audit::Audit};
use crate::lock::lock;

/// How many are side by side at first: few, as most services have few files.
const FEWEST: usize = 16;
/// How many are at most: some 50 KiB, so that few entries of the processor's page tables (its TLB) lead to all of
/// them, and no more is kept for as long as one of them is taken.
const MOST: usize = 256;

/// What the followers have compared whose files are looked at, by how often.
#[derive(Default)]
pub(super) struct Audits {
    groups: HashMap<Duration, Group>,
}

/// Those with one interval.
struct Group {
    due: Instant,
    pages: Vec<Page>,
}

/// A part of a group, dropped once nobody has any of its rows.
struct Page {
    rows: Arc<[Audit]>,
    /// The numbers of those that nobody has.
    free: Vec<usize>,
}

/// Where a follower has its files compared.
#[derive(Debug)]
pub(super) struct Seat {
    rows: Arc<[Audit]>,
    n: usize,
}

/// Audits that are due; some may be nobody's.
#[derive(Default)]
pub(super) struct Due {
    /// Each with the number of its first.
    pages: Vec<(usize, Arc<[Audit]>)>,
    number: usize,
}

impl Audits {
    /// Gives a follower a seat; true if that may make the next look due earlier.
    pub(super) fn add(
        &mut self,
        interval: Duration,
        follower: &Arc<Follower>,
        now: Instant,
    ) -> bool {
        let is_new = !self.groups.contains_key(&interval);
        let group = self
            .groups
            .entry(interval)
            .or_insert_with(|| Group { due: now + interval, pages: Vec::new() });
        let seat = group.take_seat();
        seat.audit().assign_to(Arc::downgrade(follower));
        *lock(&follower.seat) = Some(seat);
        is_new
    }

    /// Takes a follower from its seat.
    pub(super) fn remove(&mut self, interval: Duration, follower: &Follower) {
        let Some(seat) = lock(&follower.seat).take() else { return };
        seat.audit().assign_to(Weak::new());
        if let Some(group) = self.groups.get_mut(&interval) {
            group.give_back(&seat);
            if group.pages.is_empty() {
                self.groups.remove(&interval);
            }
        }
    }

    /// When the next look is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.groups.values().map(|group| group.due).min()
    }

    /// Takes everything that is due by `now`.
    pub(super) fn take_due(&mut self, now: Instant) -> Due {
        let mut due = Due::default();
        for (interval, group) in &mut self.groups {
            if group.due <= now {
                group.pages.iter().for_each(|page| due.add(&page.rows));
                // Counted from now: after a pause of the machine, one look makes up for all.
                group.due = now + *interval;
            }
        }
        due
    }
}

impl Group {
    fn take_seat(&mut self) -> Seat {
        // There is room in the last page, unless somebody left one of the others.
        if let Some(seat) = self.pages.iter_mut().rev().find_map(Page::take_seat) {
            return seat;
        }
        // As many as there are: of all, about half is nobody's now.
        let rows = self.pages.iter().map(|page| page.rows.len()).sum::<usize>();
        let mut page = Page::new(rows.clamp(FEWEST, MOST));
        let seat = page.take_seat().expect("a page with room");
        self.pages.push(page);
        seat
    }

    fn give_back(&mut self, seat: &Seat) {
        let is_of = |page: &Page| Arc::ptr_eq(&page.rows, &seat.rows);
        let Some(n) = self.pages.iter().position(is_of) else { return };
        self.pages[n].free.push(seat.n);
        if self.pages[n].is_vacant() {
            self.pages.swap_remove(n);
        }
    }
}

impl Page {
    fn new(rows: usize) -> Self {
        // Taken from the end, so in the order of their memory.
        let free = (0..rows).rev().collect();
        Self { rows: iter::repeat_with(Audit::default).take(rows).collect(), free }
    }

    fn take_seat(&mut self) -> Option<Seat> {
        let n = self.free.pop()?;
        Some(Seat { rows: Arc::clone(&self.rows), n })
    }

    fn is_vacant(&self) -> bool {
        self.free.len() == self.rows.len()
    }
}

impl Seat {
    pub(super) fn audit(&self) -> &Audit {
        &self.rows[self.n]
    }
}

impl Due {
    fn add(&mut self, rows: &Arc<[Audit]>) {
        self.pages.push((self.number, Arc::clone(rows)));
        self.number += rows.len();
    }

    pub(super) fn number(&self) -> usize {
        self.number
    }

    pub(super) fn audit(&self, n: usize) -> &Audit {
        let later = self.pages.partition_point(|(first, _)| *first <= n);
        let (first, rows) = &self.pages[later - 1];
        &rows[n - first]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_secs(1);

    fn rows(audits: &Audits) -> Vec<Weak<[Audit]>> {
        let pages = audits.groups.values().flat_map(|group| &group.pages);
        pages.map(|page| Arc::downgrade(&page.rows)).collect()
    }

    fn sizes(audits: &Audits) -> Vec<usize> {
        rows(audits).iter().map(|page| page.upgrade().unwrap().len()).collect()
    }

    fn seat_of(follower: &Follower) -> *const Audit {
        lock(&follower.seat).as_ref().unwrap().audit()
    }

    #[test]
    fn a_seat_is_taken_again_and_pages_go_with_the_last_of_them() {
        let (mut audits, now) = (Audits::default(), Instant::now());
        let followers: Vec<Arc<Follower>> = (0..4 * FEWEST).map(|_| Arc::default()).collect();
        for (n, follower) in followers.iter().enumerate() {
            assert_eq!(audits.add(EVERY, follower, now), n == 0);
        }
        assert_eq!(sizes(&audits), [FEWEST, FEWEST, 2 * FEWEST]);
        let left = seat_of(&followers[5]);
        audits.remove(EVERY, &followers[5]);
        let next = Arc::default();
        assert!(!audits.add(EVERY, &next, now));
        assert_eq!(seat_of(&next), left);

        let pages = rows(&audits);
        for follower in &followers[FEWEST..] {
            audits.remove(EVERY, follower);
        }
        let is_there = |page: &Weak<[Audit]>| page.strong_count() > 0;
        assert_eq!(pages.iter().map(is_there).collect::<Vec<_>>(), [true, false, false]);
        for follower in followers[..FEWEST].iter().chain([&next]) {
            audits.remove(EVERY, follower);
        }
        assert!(!is_there(&pages[0]));
        assert_eq!(audits.next_due(), None);
    }

    /// Side by side in memory, but for few no more than these need.
    #[test]
    fn of_many_as_many_are_together_as_there_are_already_up_to_a_limit() {
        let (mut audits, now) = (Audits::default(), Instant::now());
        let followers: Vec<Arc<Follower>> = (0..3 * MOST).map(|_| Arc::default()).collect();
        for follower in &followers {
            audits.add(EVERY, follower, now);
        }
        let sizes = sizes(&audits);
        let all = sizes.iter().sum::<usize>();
        assert!(sizes.is_sorted() && sizes.ends_with(&[MOST / 2, MOST, MOST]), "{sizes:?}");
        // Each is looked at, and each once.
        let due = audits.take_due(now + EVERY);
        assert_eq!(due.number(), all);
        let mut seen: Vec<_> = (0..all).map(|n| std::ptr::from_ref(due.audit(n))).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), all);
        assert!(followers.iter().all(|follower| seen.binary_search(&seat_of(follower)).is_ok()));
    }

    /// What is under way keeps no more than the memory that they were compared in.
    #[test]
    fn who_leaves_during_a_round_is_let_go() {
        let (mut audits, now) = (Audits::default(), Instant::now());
        let followers: Vec<Arc<Follower>> = (0..2).map(|_| Arc::default()).collect();
        for follower in &followers {
            audits.add(EVERY, follower, now);
        }
        assert_eq!(audits.take_due(now).number(), 0);
        let due = audits.take_due(now + EVERY);
        assert_eq!(due.number(), FEWEST);
        for follower in followers {
            audits.remove(EVERY, &follower);
            assert_eq!((Arc::strong_count(&follower), Arc::weak_count(&follower)), (1, 0));
        }
        (0..due.number()).for_each(|n| due.audit(n).look());
    }

    #[test]
    fn a_follower_with_another_interval_is_looked_at_by_that() {
        let (mut audits, now, follower) = (Audits::default(), Instant::now(), Arc::default());
        audits.add(EVERY, &follower, now);
        audits.remove(EVERY, &follower);
        assert!(audits.add(2 * EVERY, &follower, now));
        assert_eq!(audits.next_due(), Some(now + 2 * EVERY));
        assert_eq!(audits.take_due(now + EVERY).number(), 0);
        assert_eq!(audits.take_due(now + 2 * EVERY).number(), FEWEST);
    }
}

//! Who is rung for what.

use std::{cmp::Ordering, collections::BTreeSet, ffi::OsStr, sync::Arc};

use super::{Event, Follower, Notice, What, Whence, platform::Key};
use crate::file_reloader::hash::Map;

/// Where at a watch a follower is rung from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// The name of the content in the directory that is watched.
    Content(Box<OsStr>),
    /// Another name in it that the way goes through.
    Way(Box<OsStr>),
    /// The directory that is watched itself.
    Own,
    /// The file that is watched itself.
    File,
}

impl Place {
    /// Where a follower at this place of a watch is rung from.
    pub(super) fn whence(&self, key: &Key) -> Whence {
        match self {
            Self::Content(name) | Self::Way(name) => Whence::of((key, &**name)),
            Self::Own | Self::File => Whence::of(key),
        }
    }
}

/// Every watch and its followers.
#[derive(Debug, Default)]
pub(super) struct Registry {
    watches: Map<Key, Watch>,
    /// How many watches have ended so far.
    ended: u64,
    /// How often events were lost, and with them, maybe, that a watch has ended.
    overflows: u64,
}

/// The followers of one watch.
#[derive(Debug, Default)]
struct Watch {
    contents: Names,
    ways: Names,
    own: Followers,
    file: Followers,
}

/// The followers of the names in a directory.
#[derive(Debug, Default)]
struct Names(Map<Box<OsStr>, Followers>);

/// A set of followers, mostly of one.
#[derive(Debug, Default)]
enum Followers {
    #[default]
    None,
    One(Arc<Follower>),
    Many(BTreeSet<ByAddress>),
}

/// A follower that equals only itself.
#[derive(Debug, Clone)]
struct ByAddress(Arc<Follower>);

impl Registry {
    /// Counts the watches that have ended; while it stays, so does every key.
    pub(super) fn ended(&self) -> u64 {
        self.ended
    }

    /// Counts the times since which no watch can be relied on that was set before.
    pub(super) fn overflows(&self) -> u64 {
        self.overflows
    }

    pub(super) fn enter(&mut self, key: Key, place: &Place, follower: &Arc<Follower>) {
        let watch = self.watches.entry(key).or_default();
        match place {
            Place::Own => watch.own.insert(follower),
            Place::File => watch.file.insert(follower),
            Place::Content(name) => watch.contents.insert(name, follower),
            Place::Way(name) => watch.ways.insert(name, follower),
        }
    }

    /// Takes a follower out; true if the watch has none left, and is forgotten.
    pub(super) fn leave(&mut self, key: &Key, place: &Place, follower: &Arc<Follower>) -> bool {
        let Some(watch) = self.watches.get_mut(key) else {
            follower.bell.forget_writers_at(place.whence(key));
            return false;
        };
        match place {
            Place::Own => watch.own.remove(follower),
            Place::File => watch.file.remove(follower),
            Place::Content(name) => watch.contents.remove(name, follower),
            Place::Way(name) => watch.ways.remove(name, follower),
        }
        // Whoever made a file in the place of a link is heard still.
        let is_heard = matches!(place, Place::Way(name) if watch.contents.has(name, follower));
        if !is_heard {
            follower.bell.forget_writers_at(place.whence(key));
        }
        let unused = watch.is_unused();
        if unused {
            self.watches.remove(key);
            self.ended += 1;
        }
        unused
    }

    /// Whether a watch is still there, with this follower at this place.
    pub(super) fn has(&self, key: &Key, place: &Place, follower: &Arc<Follower>) -> bool {
        self.watches.get(key).is_some_and(|watch| match place {
            Place::Own => watch.own.has(follower),
            Place::File => watch.file.has(follower),
            Place::Content(name) => watch.contents.has(name, follower),
            Place::Way(name) => watch.ways.has(name, follower),
        })
    }

    /// Rings whoever `event` concerns; returns whether it may concern anybody.
    pub(super) fn ring(&mut self, event: Event<'_>) -> bool {
        match event {
            Event::At(key, what) => {
                let concerns = self.watches.get(key).is_some_and(|watch| watch.ring(key, what));
                if what == What::Gone {
                    self.ended += 1;
                    self.watches.remove(key);
                }
                concerns
            }
            Event::Overflow => {
                self.overflows += 1;
                for watch in self.watches.values() {
                    watch.ring_all(Notice::Lost, Notice::Lost, Whence::ANYWHERE);
                }
                true
            }
        }
    }
}

impl Watch {
    fn is_unused(&self) -> bool {
        let has_names = !self.contents.0.is_empty() || !self.ways.0.is_empty();
        !has_names && self.own.is_empty() && self.file.is_empty()
    }

    /// Rings those followers of the watch whom it concerns that `what` happened; returns whether there may be
    /// any.
    fn ring(&self, key: &Key, what: What<'_>) -> bool {
        let own = Whence::of(key);
        match what {
            What::Named(name, notice) => {
                let whence = Whence::of((key, name));
                let is_content = self.contents.ring(name, notice, whence);
                let is_way = self.ways.ring(name, notice.on_the_way(), whence);
                // Who follows a directory for its own sake follows what is in it.
                self.own.ring(Notice::Moved, own);
                return is_content || is_way || !self.own.is_empty();
            }
            What::Own(notice) => {
                self.own.ring(notice, own);
                // Should it have been replaced, its directory tells of that.
                let is_about_it = notice == Notice::Moved;
                self.file.ring(if is_about_it { Notice::Altered } else { notice }, own);
            }
            What::Uprooted => self.ring_all(Notice::Moved, Notice::Moved, own),
            What::Gone => self.ring_all(Notice::Gone, Notice::Ended, own),
        }
        true
    }

    /// Rings all, those of the file itself with what it means to them.
    #[inline(never)]
    fn ring_all(&self, notice: Notice, of_file: Notice, whence: Whence) {
        self.file.ring(of_file, whence);
        self.own.ring(notice, whence);
        for followers in self.contents.0.values().chain(self.ways.0.values()) {
            followers.ring(notice, whence);
        }
    }
}

impl Names {
    fn insert(&mut self, name: &OsStr, follower: &Arc<Follower>) {
        match self.0.get_mut(name) {
            Some(followers) => followers.insert(follower),
            None => {
                self.0.insert(name.into(), Followers::One(Arc::clone(follower)));
            }
        }
    }

    fn remove(&mut self, name: &OsStr, follower: &Arc<Follower>) {
        if let Some(followers) = self.0.get_mut(name) {
            followers.remove(follower);
            if followers.is_empty() {
                self.0.remove(name);
            }
        }
    }

    fn has(&self, name: &OsStr, follower: &Arc<Follower>) -> bool {
        self.0.get(name).is_some_and(|followers| followers.has(follower))
    }

    fn ring(&self, name: &OsStr, notice: Notice, whence: Whence) -> bool {
        let Some(followers) = self.0.get(name) else { return false };
        followers.ring(notice, whence);
        true
    }
}

impl Followers {
    fn insert(&mut self, follower: &Arc<Follower>) {
        match self {
            Self::None => *self = Self::One(Arc::clone(follower)),
            Self::One(one) if Arc::ptr_eq(one, follower) => {}
            Self::One(one) => {
                let both = [ByAddress(Arc::clone(one)), ByAddress(Arc::clone(follower))];
                *self = Self::Many(both.into());
            }
            Self::Many(many) => {
                many.insert(ByAddress(Arc::clone(follower)));
            }
        }
    }

    fn remove(&mut self, follower: &Arc<Follower>) {
        match self {
            Self::One(one) if Arc::ptr_eq(one, follower) => *self = Self::None,
            Self::None | Self::One(_) => {}
            Self::Many(many) => {
                many.remove(&ByAddress(Arc::clone(follower)));
            }
        }
    }

    fn has(&self, follower: &Arc<Follower>) -> bool {
        match self {
            Self::None => false,
            Self::One(one) => Arc::ptr_eq(one, follower),
            Self::Many(many) => many.contains(&ByAddress(Arc::clone(follower))),
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::None => true,
            Self::One(_) => false,
            Self::Many(many) => many.is_empty(),
        }
    }

    #[inline(never)]
    fn ring(&self, notice: Notice, whence: Whence) {
        match self {
            Self::None => {}
            Self::One(follower) => follower.bell.ring(notice, whence),
            Self::Many(many) => {
                for ByAddress(one) in many {
                    one.bell.ring(notice, whence);
                }
            }
        }
    }
}

impl PartialEq for ByAddress {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for ByAddress {}

impl Ord for ByAddress {
    fn cmp(&self, other: &Self) -> Ordering {
        Arc::as_ptr(&self.0).cmp(&Arc::as_ptr(&other.0))
    }
}

impl PartialOrd for ByAddress {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(all(test, target_os = "linux", not(hot_reload_portable)))]
mod tests {
    use super::*;
    use crate::file_reloader::bell::{Arm, Demand, Reasons};

    /// What a follower at `place` of a watch is told by `what` happened.
    fn reasons(place: &Place, what: What<'_>) -> Reasons {
        let (mut registry, follower, key) = (Registry::default(), Arc::default(), Key::of(1));
        registry.enter(key.clone(), place, &follower);
        registry.ring(Event::At(&key, what));
        follower.bell.take_reasons()
    }

    /// Its file may have been replaced, and what is there now be whole.
    #[test]
    fn of_a_writer_that_can_be_heard_no_more_no_end_is_waited_for() {
        for (place, what) in [
            (Place::File, What::Own(Notice::Modified)),
            (
                Place::Content(OsStr::new("a").into()),
                What::Named(OsStr::new("a"), Notice::Modified),
            ),
        ] {
            let (mut registry, follower, key) = (Registry::default(), Arc::default(), Key::of(1));
            registry.enter(key.clone(), &place, &follower);
            registry.ring(Event::At(&key, what));
            assert!(follower.bell.heard_writers(), "{place:?}");
            assert!(registry.leave(&key, &place, &follower));
            assert!(!follower.bell.heard_writers(), "{place:?}");
        }
    }

    #[test]
    fn of_a_writer_in_a_directory_that_is_gone_no_end_is_waited_for() {
        let (name, key) = (OsStr::new("a"), Key::of(1));
        let (mut registry, follower, place) =
            (Registry::default(), Arc::default(), Place::Content(name.into()));
        registry.enter(key.clone(), &place, &follower);
        registry.ring(Event::At(&key, What::Named(name, Notice::Appeared)));
        registry.ring(Event::At(&key, What::Gone));
        assert!(!registry.leave(&key, &place, &follower));
        assert!(!follower.bell.heard_writers());
    }

    #[test]
    fn what_befalls_a_file_that_is_replaced_says_nothing_of_the_way_to_it() {
        let altered = Reasons { arm: Arm::Same, ..Reasons::default() };
        assert_eq!(reasons(&Place::File, What::Own(Notice::Moved)), altered);
        assert_eq!(reasons(&Place::File, What::Gone), altered);
        let moved = Reasons { demand: Demand::Look, arm: Arm::All, ..Reasons::default() };
        assert_eq!(reasons(&Place::File, What::Uprooted), moved);
        assert_eq!(reasons(&Place::Own, What::Gone), moved);
    }
}

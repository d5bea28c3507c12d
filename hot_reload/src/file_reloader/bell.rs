//! What wakes the follower of a file, and what it was woken for.

use std::{
    hash::Hash,
    sync::{Mutex, MutexGuard},
    task::{Context, Poll, Waker},
};

use super::hash::Fnv;
use crate::{follow::Hint, lock::lock, panic::wake_all};

/// What was noticed at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Notice {
    /// Its content changes; the writer has not said that it is done.
    Modified,
    /// A writer closed it.
    Finished,
    /// What was renamed onto it is finished.
    Replaced,
    /// What leads to it was replaced.
    Rerouted,
    /// A name appeared; whether its content is finished has to be looked at.
    Appeared,
    /// The same where every write to what has that name is told.
    #[cfg_attr(
        not(all(target_os = "linux", not(hot_reload_portable))),
        allow(dead_code, reason = "only of inotify is that known")
    )]
    AppearedInEarshot,
    /// A directory did, which nobody writes.
    Made,
    /// Its attributes changed, or what leads to it was moved.
    Moved,
    /// It went away, or a watch on it has ended.
    Gone,
    /// The file itself has other attributes, or one name less.
    Altered,
    /// The watch on the file itself has ended.
    Ended,
    /// Its identity has changed since it was last looked at.
    Differs,
    /// It is time to look; whether anything has changed is not known.
    Due,
    /// Its identity can't prove that it is unchanged: read it.
    Doubtful,
    /// It is its turn to be loaded, though nothing may have changed.
    Overdue,
    /// Events were lost: anything may have happened.
    Lost,
}

/// What a notice means to whoever is rung.
#[derive(Debug, Clone, Copy)]
struct Meaning {
    hint: Hint,
    demand: Demand,
    /// Whether somebody is done with it.
    is_finished: bool,
    /// What is to be watched before that.
    arm: Arm,
    /// Whether there is a newer version.
    is_news: bool,
    writer: Writer,
}

/// What a notice says of whoever writes where it was noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writer {
    /// Somebody is at it.
    Writes,
    /// Somebody made its name, and is at it unless that is a new one for an old file.
    MadeIt,
    /// The same where every write is told: without one since, what is there was written before it had the name.
    MadeItInEarshot,
    /// Nobody is at it any more.
    IsDone,
    /// Nothing.
    Unmentioned,
}

impl Notice {
    fn meaning(self) -> Meaning {
        let meaning = |hint, writer| {
            let (is_finished, is_news) = (false, false);
            let (demand, arm) = (Demand::Look, Arm::None);
            Meaning { hint, demand, is_finished, arm, is_news, writer }
        };
        let touched = |writer| meaning(Hint::Touched, writer);
        let watch = |writer| Meaning { demand: Demand::Nothing, arm: Arm::Same, ..touched(writer) };
        let due = meaning(Hint::Due, Writer::IsDone);
        let finished = |writer| Meaning { is_news: true, ..meaning(Hint::Finished, writer) };
        let load = |meaning| Meaning { demand: Demand::Load, ..meaning };
        let whole = Meaning { is_finished: true, ..load(finished(Writer::IsDone)) };
        match self {
            Self::Modified => touched(Writer::Writes),
            Self::Finished | Self::Replaced => whole,
            Self::Rerouted => Meaning { arm: Arm::All, ..whole },
            // Whoever created a name has it open, unless it is a link.
            Self::Appeared => Meaning { arm: Arm::All, ..finished(Writer::MadeIt) },
            Self::AppearedInEarshot => {
                Meaning { writer: Writer::MadeItInEarshot, ..Self::Appeared.meaning() }
            }
            Self::Made => Meaning { arm: Arm::All, ..finished(Writer::IsDone) },
            Self::Moved => Meaning { arm: Arm::All, ..touched(Writer::Unmentioned) },
            Self::Gone => Meaning { arm: Arm::All, ..touched(Writer::IsDone) },
            // So it does as the file is replaced; of what it holds by then, the identity tells.
            Self::Altered => watch(Writer::Unmentioned),
            Self::Ended => watch(Writer::IsDone),
            Self::Differs => Meaning { arm: Arm::All, is_news: true, ..due },
            Self::Due => due,
            Self::Doubtful => Meaning { demand: Demand::Read, ..due },
            Self::Overdue => load(due),
            Self::Lost => Meaning { arm: Arm::All, is_news: true, ..load(due) },
        }
    }

    /// What it means to those whose way leads through where it was noticed.
    pub(super) fn on_the_way(self) -> Self {
        if self == Self::Replaced { Self::Rerouted } else { self }
    }
}

/// Rung from any thread, heard by one follower; ringing never blocks and never is lost.
#[derive(Debug, Default)]
pub(super) struct Bell(Mutex<Heard>);

#[derive(Debug, Default)]
struct Heard {
    hint: Option<Hint>,
    /// How often there was a newer version than the one before.
    news: u64,
    /// How often others may have come to have the names on the way.
    turns: u64,
    demand: Demand,
    is_finished: bool,
    arm: Arm,
    /// Writers that have not said that they are done.
    writing: Vec<AtWork>,
    waker: Option<Waker>,
}

/// A writer at work.
#[derive(Debug)]
struct AtWork {
    at: Whence,
    deed: Deed,
    /// Where it was heard, if not there.
    from: Option<Whence>,
}

/// What a writer was heard to do, beginning with what leaves the least in doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Deed {
    /// It made a name, and no write is told of since, as any would be.
    OnlyName,
    /// It made a name, and may have written since.
    Name,
    Write,
}

/// Tells the places apart that one bell is rung from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Whence(u64);

impl Whence {
    /// Where it is of no importance.
    pub(super) const ANYWHERE: Self = Self(0);

    pub(super) fn of(place: impl Hash) -> Self {
        Self(Fnv::of(place))
    }
}

/// What is to be watched before a look.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Arm {
    /// Nothing that is not watched already, unless the files turn out to be elsewhere.
    #[default]
    None,
    /// Every place on the way, unless the files were replaced: then that is what ended their watches,
    /// and those that took their places are yet to rest.
    Same,
    /// Every place on the way to the files.
    All,
}

/// How much a look is asked for.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Demand {
    /// Nobody asked: it is time to set watches, and what they missed is found on the way.
    #[default]
    Nothing,
    /// To see whether the files are what they were.
    Look,
    /// To read them, even where their identities are the same.
    Read,
    /// To load them, even where they hold what they held.
    Load,
}

/// What the follower has to reckon with at its next look.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reasons {
    pub(super) demand: Demand,
    /// A writer was heard to be done with it.
    pub(super) is_finished: bool,
    /// See whether these watches are still where they have to be.
    pub(super) arm: Arm,
    /// A writer modified it and has not closed it since.
    pub(super) writing: bool,
}

impl Reasons {
    /// These, and those of the look before that has not come to anything.
    pub(super) fn after(self, unmet: Self) -> Self {
        let is_finished = self.is_finished || unmet.is_finished;
        let (demand, arm) = (self.demand.max(unmet.demand), self.arm.max(unmet.arm));
        Self { demand, is_finished, arm, ..self }
    }
}

impl Bell {
    pub(super) fn ring(&self, notice: Notice, whence: Whence) {
        let Meaning { hint, demand, is_finished, arm, is_news, writer } = notice.meaning();
        let mut heard = self.lock();
        if writer != Writer::Unmentioned {
            heard.writing.retain(|writer| writer.at != whence);
        }
        let deed = match writer {
            Writer::Writes => Some(Deed::Write),
            Writer::MadeIt => Some(Deed::Name),
            Writer::MadeItInEarshot => Some(Deed::OnlyName),
            Writer::IsDone | Writer::Unmentioned => None,
        };
        heard.writing.extend(deed.map(|deed| AtWork { at: whence, deed, from: None }));
        if notice == Notice::Lost {
            // A write may have been among it.
            heard.writing.iter_mut().for_each(|writer| writer.deed = writer.deed.max(Deed::Name));
        }
        heard.demand = heard.demand.max(demand);
        heard.is_finished |= is_finished;
        heard.arm = heard.arm.max(arm);
        heard.news += u64::from(is_news);
        heard.turns += u64::from(arm == Arm::All);
        // A finished write outweighs whatever else was heard.
        heard.hint = heard.hint.max(Some(hint));
        let mut waker = heard.waker.take();
        drop(heard);
        // Others hear of events by the same task.
        wake_all(1, || waker.take().into_iter().for_each(Waker::wake));
    }

    /// Takes note that nothing more is told from there, not even that a writer is done.
    pub(super) fn forget_writers_at(&self, whence: Whence) {
        self.lock().writing.retain(|writer| writer.at != whence);
    }

    /// Takes note that what is told from `old` is told from `new` as well: whoever was heard to be at work there
    /// says here that it is done.
    pub(super) fn hears_as(&self, old: Whence, new: Whence) {
        let writing = &mut self.lock().writing;
        let of_old = writing.iter().find(|writer| writer.at == old).map(|writer| writer.deed);
        // Of what it wrote before it was told from here, nothing is known.
        let Some(deed) = of_old.map(|deed| deed.max(Deed::Name)) else { return };
        match writing.iter_mut().find(|writer| writer.at == new) {
            Some(writer) => writer.deed = writer.deed.max(deed),
            None => writing.push(AtWork { at: new, deed, from: Some(old) }),
        }
    }

    /// Takes note that all was told from `old` that happened before it was told from elsewhere as well.
    pub(super) fn end_hand_over(&self, old: Whence) {
        let writing = &mut self.lock().writing;
        if writing.iter().all(|writer| writer.at != old) {
            writing.retain(|writer| writer.from != Some(old));
        }
    }

    /// Takes note that what has the name there is written by nobody, unless there is `news` since.
    pub(super) fn note_unwritten(&self, whence: Whence, news: u64) {
        let mut heard = self.lock();
        if heard.news == news {
            heard.writing.retain(|writer| writer.at != whence);
        }
    }

    /// Waits for a ring.
    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<Hint> {
        let mut heard = self.lock();
        if let Some(hint) = heard.hint.take() {
            return Poll::Ready(hint);
        }
        match &mut heard.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    /// Takes the reasons for a look that starts now; what is heard from here on wakes again.
    pub(super) fn take_reasons(&self) -> Reasons {
        let mut heard = self.lock();
        heard.hint = None;
        Reasons {
            demand: std::mem::take(&mut heard.demand),
            is_finished: std::mem::take(&mut heard.is_finished),
            arm: std::mem::take(&mut heard.arm),
            // Stays known until they close.
            writing: !heard.writing.is_empty(),
        }
    }

    /// Has the next look load, even where nothing has changed; wakes nobody.
    pub(super) fn must_load(&self) {
        self.lock().demand = Demand::Load;
    }

    /// Takes note that a whole version was read: who was writing it is done, unless there is news.
    pub(super) fn note_read(&self) {
        let mut heard = self.lock();
        if heard.hint.is_none() {
            heard.writing.clear();
        }
    }

    /// Whether somebody was heard to write or to make a name, and not to be done.
    pub(super) fn heard_writers(&self) -> bool {
        !self.lock().writing.is_empty()
    }

    /// Whether somebody was heard to write, and not to be done.
    pub(super) fn heard_writing(&self) -> bool {
        self.lock().writing.iter().any(|writer| writer.deed == Deed::Write)
    }

    /// Whether somebody may have written to what it was heard to make, and was not heard to be done.
    pub(super) fn may_have_missed_writing(&self) -> bool {
        self.lock().writing.iter().any(|writer| writer.deed != Deed::OnlyName)
    }

    /// How often a newer version was heard of; more than before, and there is one.
    pub(super) fn news(&self) -> u64 {
        self.lock().news
    }

    /// How often others may have come to have the names on the way to what is followed; more than before, and
    /// what was read by these names may be of both.
    pub(super) fn turns(&self) -> u64 {
        self.lock().turns
    }

    fn lock(&self) -> MutexGuard<'_, Heard> {
        // Nothing in here can panic half-way.
        lock(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: Whence = Whence(1);
    const NEW: Whence = Whence(2);

    /// What is heard of a writer that was told of from elsewhere, and then `so` from there or here.
    fn heard(so: &[(Notice, Whence)]) -> bool {
        let bell = Bell::default();
        bell.ring(Notice::Appeared, OLD);
        bell.hears_as(OLD, NEW);
        for (notice, whence) in so {
            bell.ring(*notice, *whence);
        }
        bell.end_hand_over(OLD);
        bell.forget_writers_at(OLD);
        bell.heard_writers()
    }

    /// The other tells only that it made the name.
    #[test]
    fn a_writer_that_only_one_place_tells_of_was_heard_to_write() {
        let bell = Bell::default();
        bell.ring(Notice::Modified, OLD);
        bell.ring(Notice::Appeared, NEW);
        bell.hears_as(OLD, NEW);
        bell.forget_writers_at(OLD);
        assert!(bell.heard_writing());
    }

    #[test]
    fn who_made_a_name_is_known_not_to_write_only_where_every_write_is_told() {
        for (so, want) in [
            (&[(Notice::AppearedInEarshot, NEW)][..], false),
            (&[(Notice::Appeared, NEW)], true),
            (&[(Notice::AppearedInEarshot, NEW), (Notice::Modified, NEW)], true),
            (&[(Notice::AppearedInEarshot, NEW), (Notice::Lost, Whence::ANYWHERE)], true),
            (&[(Notice::AppearedInEarshot, NEW), (Notice::Appeared, OLD)], true),
            (&[(Notice::AppearedInEarshot, NEW), (Notice::AppearedInEarshot, OLD)], true),
            (&[(Notice::AppearedInEarshot, OLD)], true),
        ] {
            let bell = Bell::default();
            for (notice, whence) in so {
                bell.ring(*notice, *whence);
            }
            bell.hears_as(OLD, NEW);
            bell.forget_writers_at(OLD);
            assert!(bell.heard_writers(), "{so:?}");
            assert_eq!(bell.may_have_missed_writing(), want, "{so:?}");
        }
    }

    #[test]
    fn a_writer_that_is_told_of_from_elsewhere_is_waited_for_once() {
        assert!(heard(&[]));
        for (so, want) in [
            (&[(Notice::Finished, OLD)][..], false),
            (&[(Notice::Finished, NEW)], false),
            (&[(Notice::Finished, OLD), (Notice::Finished, NEW)], false),
            // Another is at work by then.
            (&[(Notice::Modified, NEW), (Notice::Finished, OLD)], true),
            (&[(Notice::Finished, NEW), (Notice::Modified, NEW), (Notice::Finished, OLD)], true),
            (&[(Notice::Finished, OLD), (Notice::Appeared, OLD)], true),
        ] {
            assert_eq!(heard(so), want, "{so:?}");
        }
    }
}

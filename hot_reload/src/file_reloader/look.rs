//! Who looks at a file, with a memory of the last time.

mod attempt;
mod compare;
mod load;

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

pub(super) use self::attempt::Attempt;
use super::{
    FileSettings,
    bell::{Notice, Reasons},
    identity::Identity,
    noise::Echo,
    open::Filesystem,
    settle::Settle,
    site::Site,
    survey::Holds,
    watcher::{Audited, Follower, NoWatch, Opaque, Rule},
};
use crate::{config::WatchStrategy, follow::Mechanism, options::ReloaderOptions};

/// How often a file is looked at when events were asked for and can't be had.
const WITHOUT_EVENTS: Duration = Duration::from_millis(500);
/// How often events are asked for again when they can't be had.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// How often files are looked at whose filesystem does not tell all.
const WITHOUT_TRUST: Duration = Duration::from_secs(1);

/// By now a page of a mapping that was written to is back in its file, if that is on a disk, and the next
/// write to it moves the file's time (`vm.dirty_expire_centisecs`, and how long the kernel takes to find it).
const WRITTEN_BACK: Duration = Duration::from_secs(40);

/// Looks at one file, and whatever belongs to it, with a memory of the last time.
pub(super) struct Looker<L> {
    loader: L,
    settings: FileSettings,
    strategy: WatchStrategy,
    force: bool,
    poll_interval: Duration,
    settle: Settle,
    site: Site,
    follower: Arc<Follower>,
    /// What the looks since the last that came to something were for.
    unmet: Reasons,
    /// What they were when the last good value was read.
    applied: Option<Vec<Option<Identity>>>,
    /// That of their contents then, if any.
    sum: Option<u64>,
    /// When the link on the way that was turned last was, by then.
    turned: Option<i64>,
    /// Since when one was seen that was being cut.
    cut: Option<Instant>,
    /// Whether these are yet to be made the baseline of the audit.
    baseline_is_due: bool,
    /// Whether identities that stay the same prove that the files are unchanged.
    proof: Proof,
    /// What the files were when they were last read in vain, as somebody had one open for writing.
    in_vain: Option<Vec<Option<Identity>>>,
    /// Those besides the main file that held something when they were read last, good or bad; in order.
    filled: Vec<PathBuf>,
    /// What was last found on a server.
    sighting: Sighting,
    /// Whether the last load was given up for a newer version of the file.
    preempted: bool,
    echo: Echo,
    /// When the last look was begun that was to set the watches that were due; where they are due still, it could
    /// not, as on a disk that does not answer.
    armed: Option<Instant>,
    /// There while the files are to be read now and then, though they look unchanged.
    opaque: Option<Opaque>,
}

impl<L> Looker<L> {
    /// Looks at the file at `path`, whose watches ring `follower`.
    pub(super) fn watched(
        path: PathBuf,
        follower: &Arc<Follower>,
        loader: L,
        settings: FileSettings,
        options: &ReloaderOptions,
    ) -> Self {
        let wants_events = options.strategy != WatchStrategy::Polling;
        let site = Site::watched(path, wants_events, follower);
        Self::at(site, Arc::clone(follower), loader, settings, options)
    }

    fn at(
        site: Site,
        follower: Arc<Follower>,
        loader: L,
        settings: FileSettings,
        options: &ReloaderOptions,
    ) -> Self {
        Self {
            loader,
            strategy: options.strategy,
            force: options.force_reload,
            poll_interval: options.poll_interval,
            settle: Settle::new(options.settle_window, options.settle_ceiling),
            opaque: settings.is_opaque.then(Opaque::new),
            settings,
            site,
            follower,
            unmet: Reasons::default(),
            applied: None,
            sum: None,
            turned: None,
            cut: None,
            baseline_is_due: false,
            proof: Proof::Sound,
            in_vain: None,
            filled: Vec::new(),
            sighting: Sighting::Never,
            preempted: false,
            echo: Echo::default(),
            armed: None,
        }
    }

    fn wants_events(&self) -> bool {
        self.strategy != WatchStrategy::Polling
    }

    /// Whether other files belong to the main one.
    pub(super) fn follows_a_set(&self) -> bool {
        self.site.paths().len() > 1
    }

    /// How long nothing is to be heard after the last look.
    pub(super) fn lull(&mut self) -> Option<Duration> {
        self.echo.lull()
    }

    /// Whether an event tells of every write.
    fn hears_all(&self) -> bool {
        let is_remote = self.site.filesystem().is_remote();
        self.wants_events() && self.site.no_events().is_none() && !is_remote
    }

    /// When to look without a hint.
    pub(super) fn look_again_after(&self) -> Option<Duration> {
        // Every look asks for the watches that are missing.
        let ask_again = self.site.no_events().map(|_| ASK_AGAIN);
        let arm = self.site.arms_at().map(|at| {
            let could_not = self.armed.is_some_and(|armed| at <= armed);
            if could_not { ASK_AGAIN } else { at.duration_since(Instant::now()) }
        });
        ask_again.into_iter().chain(arm).min()
    }

    pub(super) fn mechanism(&self) -> Mechanism {
        if !self.wants_events() {
            return Mechanism::Polling;
        }
        match (self.site.no_events(), self.site.filesystem()) {
            (Some(NoWatch(reason)), _) => Mechanism::Degraded((*reason).into()),
            (None, Filesystem::Remote(name)) => heard_in_part(name),
            (None, _) if self.audit_interval().is_some() => Mechanism::EventsAndPolling,
            (None, _) => Mechanism::Events,
        }
    }

    /// When the last good value came to be where it was read.
    pub(super) fn edited(&self) -> Option<SystemTime> {
        self.site.edited(self.applied.as_deref()?)
    }

    /// How often the files are to be looked at besides events.
    fn audit_interval(&self) -> Option<Duration> {
        if !self.wants_events() {
            return Some(self.poll_interval);
        }
        if self.site.no_events().is_some() {
            return Some(self.poll_interval.min(WITHOUT_EVENTS));
        }
        match self.site.filesystem() {
            _ if self.strategy == WatchStrategy::Hybrid => Some(self.poll_interval),
            Filesystem::Local | Filesystem::Memory => None,
            Filesystem::Layered => Some(self.poll_interval),
            Filesystem::Remote(_) => Some(self.poll_interval.min(WITHOUT_TRUST)),
        }
    }

    /// Does what a look has left for when its value is out: sets the baseline of the audit.
    ///
    /// The baseline is what the watcher compares the files with. That of a look which found a new
    /// value is set once that is out, and whoever waits elsewhere has it. All others are set at once:
    /// of a first value, which may never come, of a look that found none, and of a load that may take
    /// long, so that an audit tells of what is newer.
    pub(super) fn follow_up(&mut self) {
        if self.baseline_is_due
            && let Some(applied) = self.applied.take()
        {
            // Whether it was racy is part of what it proves by now.
            self.set_baseline(&applied, false);
            self.applied = Some(applied);
        }
    }

    /// Has the watcher compare the files with these from now on.
    #[inline(never)]
    fn set_baseline(&mut self, identities: &[Option<Identity>], is_racy: bool) {
        self.baseline_is_due = false;
        let is_doubtful = is_racy || self.proof.is_doubtful();
        // First: what is looked at at no interval is compared with nothing, and that is not kept.
        self.site.set_interval(self.audit_interval());
        let identities = identities.iter();
        let files = identities.map(|identity| Audited::new(*identity, is_doubtful));
        let rule = match self.site.filesystem() {
            _ if self.force => Rule::Load,
            Filesystem::Remote(_) => Rule::Delegate,
            Filesystem::Local | Filesystem::Memory | Filesystem::Layered => Rule::Compare,
        };
        // A loader that may have read more is asked; of all others, what the files hold is enough.
        let notice = if self.settings.is_opaque { Notice::Overdue } else { Notice::Doubtful };
        let reread = self.opaque.as_ref().map(|_| (Instant::now(), notice));
        self.follower.set_baseline(self.site.paths(), files, rule, reread);
    }
}

#[cold]
fn heard_in_part(name: &str) -> Mechanism {
    Mechanism::Degraded(format!("{name}: changes made elsewhere give no event here").into())
}

/// What was found on a server. Its times say nothing of how long ago that changed: they are by another clock.
enum Sighting {
    /// It was not looked at before.
    Never,
    Nothing,
    /// These, since then.
    Files(Box<(Vec<Option<Identity>>, Instant)>),
}

/// What an identity that stays the same proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proof {
    /// That the file is unchanged.
    Sound,
    /// The same, save for what is written through a mapping of a file in memory, by a process that
    /// nothing tells of: however long ago the file changed, that moves no time.
    SaveInMemory,
    /// Nothing yet: it was taken too soon after a change, or after one that may have been made through a
    /// mapping, by a process that nothing tells of.
    Racy,
    /// Nothing: the value was read while somebody had a file open for writing, who may yet change
    /// it through a mapping, which moves no time.
    UnderWriters,
}

impl Proof {
    /// What an identity proves that was taken this long after a change, and `holds`, though not for writers.
    fn of(holds: Holds, age: Duration, is_racy: bool, is_in_memory: bool) -> Self {
        match holds {
            _ if is_racy => Self::Racy,
            Holds::AsFarAsKnown if age < WRITTEN_BACK => Self::Racy,
            Holds::AsFarAsKnown if is_in_memory => Self::SaveInMemory,
            _ => Self::Sound,
        }
    }

    fn is_doubtful(self) -> bool {
        matches!(self, Self::Racy | Self::UnderWriters)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// It was looked at a thousand times a second.
    #[cfg(all(target_os = "linux", not(hot_reload_portable), not(miri)))]
    #[tokio::test(start_paused = true)]
    async fn a_rest_that_no_look_could_end_is_no_reason_to_look_at_once() {
        use crate::{file_reloader::bell::Arm, follow::Patience};

        let dir = tempfile::tempdir().unwrap();
        let (path, next) = (dir.path().join("config.toml"), dir.path().join("next"));
        let options = ReloaderOptions::realtime();
        let (follower, settings) = (Arc::default(), FileSettings::new(false));
        std::fs::write(&path, "one").unwrap();
        let mut looker = Looker::watched(path.clone(), &follower, (), settings, &options);
        looker.site.survey(Arm::All).await;
        std::fs::write(&next, "two").unwrap();
        std::fs::rename(&next, &path).unwrap();
        looker.site.survey(Arm::None).await;
        let left = looker.look_again_after().unwrap();
        assert!(!left.is_zero() && left < ASK_AGAIN, "{left:?}");
        tokio::time::advance(left).await;
        assert_eq!(looker.look_again_after(), Some(Duration::ZERO));
        looker.begin(Patience::Left);
        assert_eq!(looker.look_again_after(), Some(ASK_AGAIN));
    }

    #[test]
    fn what_may_be_written_through_a_mapping_is_proved_by_no_time_in_memory() {
        let aged = |holds, age, is_in_memory| Proof::of(holds, age, false, is_in_memory);
        let young = WRITTEN_BACK.mul_f64(0.99);
        for (holds, age, is_in_memory, want) in [
            (Holds::AsFarAsKnown, young, false, Proof::Racy),
            (Holds::AsFarAsKnown, WRITTEN_BACK, false, Proof::Sound),
            (Holds::AsFarAsKnown, young, true, Proof::Racy),
            (Holds::AsFarAsKnown, WRITTEN_BACK, true, Proof::SaveInMemory),
            (Holds::AsFarAsKnown, 1000 * WRITTEN_BACK, true, Proof::SaveInMemory),
            // Nobody has it open, and whoever has it mapped has.
            (Holds::Yes, young, true, Proof::Sound),
            (Holds::HeldUp, young, true, Proof::Sound),
        ] {
            assert_eq!(aged(holds, age, is_in_memory), want, "{holds:?} {age:?} {is_in_memory}");
            assert_eq!(Proof::of(holds, age, true, is_in_memory), Proof::Racy);
        }
    }
}

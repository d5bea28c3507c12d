//! What one service does next: a pure transition, carried out by the runner.

use std::time::Duration;

/// How often a server may end soon after it was ready, before only a change starts it anew.
const CRASHES: u32 = 5;
/// The pause before a server that has ended is started again; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// What a change asks for, the larger with the smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Need {
    /// The same program anew.
    Restart,
    /// Built, then started anew.
    Build,
}

/// Where a service is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nothing is under way; a change is waited for.
    Idle,
    Building,
    /// Whoever was told to end has to, before the new one starts.
    Stopping,
    /// A new process is not ready yet.
    Starting,
    /// A server has ended by itself, and is started again after a pause.
    Backoff,
    /// Everything is to end.
    Ending,
    Ended,
}

/// What has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    Changed(Need),
    Built,
    BuildFailed,
    /// The process has ended that was told to last, ready or not.
    Stopped,
    Ready,
    /// A new process has ended, or has not become ready in time.
    StartFailed,
    /// The process that serves has ended by itself.
    Exited(Exit),
    /// The pause is over.
    BackoffOver,
    Shutdown,
    /// Nothing runs any more.
    Gone,
}

/// How a server ended that nobody had told to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// With success: it has done what it had to.
    Done,
    /// It had served for a while.
    Late,
    /// Right after it was ready.
    Soon,
}

/// What is to be done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    Build,
    CancelBuild,
    Start,
    /// Ends the process that is not ready yet, and says when it has.
    CancelStart,
    /// The new process serves from here on; one that served before is drained.
    Switch,
    /// Ends the process that serves, and says when it has.
    Stop,
    /// Nothing serves any more, as its process has ended by itself; another is started after this pause, if
    /// after any.
    Lose(Option<Duration>),
    /// Nothing serves, and what was to has failed; another is started after this pause.
    Rest(Duration),
    /// Only a change starts it from here on, as it has ended too often.
    GiveUp,
    /// Ends whatever runs, and says when it has.
    End,
}

/// One service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is true or not whatever the others are")]
pub(crate) struct Machine {
    pub(crate) phase: Phase,
    /// Whether a process is ready and answers.
    pub(crate) serves: bool,
    /// Whether one that was told to end may still run.
    leaves: bool,
    /// Whether what served is gone against its will while its successor was not there yet: if that fails,
    /// what there is starts all the same.
    is_lost: bool,
    /// Servers that ended soon, one after the other.
    crashes: u32,
    /// Whether two processes of it may run at once.
    overlaps: bool,
    /// Whether what was built last is older than the files.
    is_stale: bool,
}

impl Machine {
    pub(crate) fn new(overlaps: bool) -> Self {
        Self {
            phase: Phase::Idle,
            serves: false,
            leaves: false,
            is_lost: false,
            crashes: 0,
            overlaps,
            is_stale: true,
        }
    }

    /// Returns what comes next, and what is to be done for it, in this order.
    pub(crate) fn next(self, event: Event) -> (Self, Vec<Effect>) {
        let to = |phase, effects: &[Effect]| (Self { phase, ..self }, effects.to_vec());
        match (self.phase, event) {
            (Phase::Ended, _) | (Phase::Ending, Event::Shutdown) => to(self.phase, &[]),
            (Phase::Ending, Event::Gone) => to(Phase::Ended, &[]),
            (Phase::Ending, _) => to(Phase::Ending, &[]),
            (_, Event::Shutdown) => to(Phase::Ending, &[Effect::End]),

            (_, Event::Changed(need)) => {
                let is_stale = self.builds_for(need);
                let need = if is_stale { Need::Build } else { need };
                Self { crashes: 0, is_stale, ..self }.changed(need)
            }

            (Phase::Building, Event::Built) => Self { is_stale: false, ..self }.start(&[]),
            (Phase::Backoff, Event::BackoffOver) => self.start(&[]),
            (Phase::Building, Event::BuildFailed) | (Phase::Starting, Event::StartFailed) => {
                // What served before goes on. Where it has ended meanwhile, what there is starts once more;
                // where nothing ever served, a change is needed.
                let (this, pause) = (Self { is_lost: false, ..self }, self.pause_after_failure());
                match pause {
                    Some(pause) => {
                        (Self { phase: Phase::Backoff, ..this }, vec![Effect::Rest(pause)])
                    }
                    None => (Self { phase: Phase::Idle, ..this }, vec![]),
                }
            }
            (Phase::Stopping, Event::Stopped) => {
                Self { leaves: false, is_lost: false, ..self }.start(&[])
            }
            // An edit has come meanwhile, and what is built for it starts once it is.
            (_, Event::Stopped) => (Self { leaves: false, ..self }, vec![]),
            (Phase::Starting, Event::Ready) => {
                let this = Self { phase: Phase::Idle, serves: true, is_lost: false, ..self };
                (this, vec![Effect::Switch])
            }
            (_, Event::Exited(exit)) => Self { serves: false, ..self }.exited(exit),

            // Answers to what was called off meanwhile.
            (phase, _) => to(phase, &[]),
        }
    }

    /// Whether it is built for it: what can't be built yet is not to be replaced by what was built before.
    pub(crate) fn builds_for(self, need: Need) -> bool {
        self.is_stale || need == Need::Build
    }

    /// How long a service rests whose build or start fails now, before what there is starts; none where
    /// something serves, or only a change helps.
    pub(crate) fn pause_after_failure(self) -> Option<Duration> {
        (self.is_lost && !self.serves && self.crashes <= CRASHES).then(|| self.pause())
    }

    /// After so many crashes; the first of all where it was told to end.
    fn pause(self) -> Duration {
        FIRST_PAUSE * 2_u32.pow(self.crashes.saturating_sub(1))
    }

    /// The latest edit wins: whatever is under way for an earlier one is called off.
    fn changed(self, need: Need) -> (Self, Vec<Effect>) {
        let to = |phase, effects: &[Effect]| (Self { phase, ..self }, effects.to_vec());
        match (self.phase, need) {
            (Phase::Building, _) => to(Phase::Building, &[Effect::CancelBuild, Effect::Build]),
            (Phase::Starting, Need::Build) => (
                Self { phase: Phase::Building, leaves: true, ..self },
                vec![Effect::CancelStart, Effect::Build],
            ),
            (Phase::Starting, Need::Restart) => {
                Self { leaves: true, ..self }.start(&[Effect::CancelStart])
            }
            // What has begun to stop can't be kept; the build is in time for the start.
            (Phase::Stopping, Need::Restart) => to(Phase::Stopping, &[]),
            (_, Need::Build) => to(Phase::Building, &[Effect::Build]),
            (_, Need::Restart) => self.start(&[]),
        }
    }

    /// Starts a new process; where two can't run at once, after every other.
    fn start(self, before: &[Effect]) -> (Self, Vec<Effect>) {
        let mut effects = before.to_vec();
        if self.overlaps || !(self.serves || self.leaves) {
            effects.push(Effect::Start);
            return (Self { phase: Phase::Starting, ..self }, effects);
        }
        if self.serves {
            effects.push(Effect::Stop);
        }
        let is_lost = self.is_lost || self.serves;
        (Self { phase: Phase::Stopping, serves: false, leaves: true, is_lost, ..self }, effects)
    }

    fn exited(self, exit: Exit) -> (Self, Vec<Effect>) {
        let crashes = match exit {
            Exit::Done => return (Self { crashes: 0, ..self }, vec![Effect::Lose(None)]),
            Exit::Late => 1,
            Exit::Soon => self.crashes + 1,
        };
        let this = Self { crashes, ..self };
        // A new process is on its way already.
        if this.phase != Phase::Idle {
            return (Self { is_lost: true, ..this }, vec![Effect::Lose(None)]);
        }
        if crashes > CRASHES {
            return (this, vec![Effect::Lose(None), Effect::GiveUp]);
        }
        (Self { phase: Phase::Backoff, ..this }, vec![Effect::Lose(Some(this.pause()))])
    }
}

#[cfg(test)]
mod tests;

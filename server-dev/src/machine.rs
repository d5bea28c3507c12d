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
                // What can't be built yet is not to be replaced by what was built before.
                let need = if self.is_stale { Need::Build } else { need };
                Self { crashes: 0, is_stale: need == Need::Build, ..self }.changed(need)
            }

            (Phase::Building, Event::Built) => Self { is_stale: false, ..self }.start(&[]),
            (Phase::Backoff, Event::BackoffOver) => self.start(&[]),
            (Phase::Building, Event::BuildFailed) => to(Phase::Idle, &[]),
            (Phase::Stopping, Event::Stopped) => Self { leaves: false, ..self }.start(&[]),
            // An edit has come meanwhile, and what is built for it starts once it is.
            (_, Event::Stopped) => (Self { leaves: false, ..self }, vec![]),
            (Phase::Starting, Event::Ready) => {
                (Self { phase: Phase::Idle, serves: true, ..self }, vec![Effect::Switch])
            }
            (Phase::Starting, Event::StartFailed) => {
                // What served before goes on; where nothing does, a change is needed all the same.
                to(Phase::Idle, &[])
            }
            (_, Event::Exited(exit)) => Self { serves: false, ..self }.exited(exit),

            // Answers to what was called off meanwhile.
            (phase, _) => to(phase, &[]),
        }
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
        (Self { phase: Phase::Stopping, serves: false, leaves: true, ..self }, effects)
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
            return (this, vec![Effect::Lose(None)]);
        }
        if crashes > CRASHES {
            return (this, vec![Effect::Lose(None), Effect::GiveUp]);
        }
        let pause = FIRST_PAUSE * 2_u32.pow(crashes - 1);
        (Self { phase: Phase::Backoff, ..this }, vec![Effect::Lose(Some(pause))])
    }
}

#[cfg(test)]
mod tests {
    use super::{Effect as F, Event as E, Phase as P, *};

    fn at(phase: Phase, serves: bool) -> Machine {
        Machine { phase, serves, is_stale: false, ..Machine::new(true) }
    }

    #[test]
    #[allow(clippy::type_complexity, reason = "it is a table")]
    fn goes_from_each_phase_as_the_table_says() {
        use Need::{Build, Restart};
        let (lose, quarter) = (F::Lose(None), F::Lose(Some(FIRST_PAUSE)));
        #[rustfmt::skip]
        let table: &[(Phase, bool, Event, Phase, bool, &[Effect])] = &[
            (P::Idle,     false, E::Changed(Build),     P::Building, false, &[F::Build]),
            (P::Idle,     true,  E::Changed(Build),     P::Building, true,  &[F::Build]),
            (P::Idle,     true,  E::Changed(Restart),   P::Starting, true,  &[F::Start]),
            (P::Building, true,  E::Changed(Build),     P::Building, true,  &[F::CancelBuild, F::Build]),
            (P::Building, true,  E::Changed(Restart),   P::Building, true,  &[F::CancelBuild, F::Build]),
            (P::Building, true,  E::Built,              P::Starting, true,  &[F::Start]),
            (P::Building, true,  E::BuildFailed,        P::Idle,     true,  &[]),
            (P::Building, false, E::BuildFailed,        P::Idle,     false, &[]),
            (P::Starting, true,  E::Changed(Build),     P::Building, true,  &[F::CancelStart, F::Build]),
            (P::Starting, true,  E::Changed(Restart),   P::Starting, true,  &[F::CancelStart, F::Start]),
            (P::Starting, true,  E::Ready,              P::Idle,     true,  &[F::Switch]),
            (P::Starting, false, E::Ready,              P::Idle,     true,  &[F::Switch]),
            (P::Starting, true,  E::StartFailed,        P::Idle,     true,  &[]),
            (P::Starting, true,  E::Exited(Exit::Soon), P::Starting, false, &[lose]),
            (P::Building, true,  E::Exited(Exit::Late), P::Building, false, &[lose]),
            (P::Idle,     true,  E::Exited(Exit::Late), P::Backoff,  false, &[quarter]),
            (P::Idle,     true,  E::Exited(Exit::Soon), P::Backoff,  false, &[quarter]),
            (P::Idle,     true,  E::Exited(Exit::Done), P::Idle,     false, &[lose]),
            (P::Backoff,  false, E::BackoffOver,        P::Starting, false, &[F::Start]),
            (P::Backoff,  false, E::Changed(Build),     P::Building, false, &[F::Build]),
            (P::Idle,     true,  E::Shutdown,           P::Ending,   true,  &[F::End]),
            (P::Building, true,  E::Shutdown,           P::Ending,   true,  &[F::End]),
            (P::Ending,   true,  E::Changed(Build),     P::Ending,   true,  &[]),
            (P::Ending,   true,  E::Shutdown,           P::Ending,   true,  &[]),
            (P::Ending,   true,  E::Gone,               P::Ended,    true,  &[]),
            // Late answers to what was called off.
            (P::Idle,     true,  E::Built,              P::Idle,     true,  &[]),
            (P::Building, true,  E::Ready,              P::Building, true,  &[]),
            (P::Building, true,  E::StartFailed,        P::Building, true,  &[]),
            (P::Idle,     true,  E::BackoffOver,        P::Idle,     true,  &[]),
            (P::Ended,    false, E::Changed(Build),     P::Ended,    false, &[]),
        ];
        for &(phase, serves, event, next, goes_on, effects) in table {
            let (machine, done) = at(phase, serves).next(event);
            assert_eq!(
                (machine.phase, machine.serves, done.as_slice()),
                (next, goes_on, effects),
                "{phase:?}, {event:?}"
            );
        }
    }

    #[test]
    fn ends_the_old_one_first_where_two_can_not_run_at_once() {
        let machine = Machine { phase: P::Building, serves: true, ..Machine::new(false) };
        let (machine, effects) = machine.next(E::Built);
        assert_eq!((machine.phase, effects), (P::Stopping, vec![F::Stop]));
        let (machine, effects) = machine.next(E::Stopped);
        assert_eq!((machine.phase, machine.serves, effects), (P::Starting, false, vec![F::Start]));
        // The first one has nobody to wait for.
        let (machine, effects) =
            Machine { phase: P::Building, ..Machine::new(false) }.next(E::Built);
        assert_eq!((machine.phase, effects), (P::Starting, vec![F::Start]));
    }

    /// It was dead for good: what it waited for had ended already.
    #[test]
    fn an_edit_while_the_old_one_ends_is_built_and_started() {
        let machine = Machine { phase: P::Stopping, leaves: true, ..Machine::new(false) };
        let (machine, effects) = machine.next(E::Changed(Need::Build));
        assert_eq!((machine.phase, effects), (P::Building, vec![F::Build]));
        let (machine, effects) = machine.next(E::Stopped);
        assert_eq!((machine.phase, machine.serves, effects), (P::Building, false, vec![]));
        let (machine, effects) = machine.next(E::Built);
        assert_eq!((machine.phase, effects), (P::Starting, vec![F::Start]));
    }

    #[test]
    fn a_start_that_is_called_off_has_ended_before_the_next_where_two_can_not_run_at_once() {
        use Need::{Build, Restart};
        let starting = Machine { phase: P::Starting, is_stale: false, ..Machine::new(false) };
        let (machine, effects) = starting.next(E::Changed(Restart));
        assert_eq!((machine.phase, effects), (P::Stopping, vec![F::CancelStart]));
        let (machine, effects) = machine.next(E::Stopped);
        assert_eq!((machine.phase, effects), (P::Starting, vec![F::Start]));

        // Whichever is over first, the build or the process.
        let (building, effects) = starting.next(E::Changed(Build));
        assert_eq!((building.phase, effects), (P::Building, vec![F::CancelStart, F::Build]));
        let (machine, effects) = building.next(E::Built);
        assert_eq!((machine.phase, effects), (P::Stopping, vec![]));
        let (machine, effects) = machine.next(E::Stopped);
        assert_eq!((machine.phase, effects), (P::Starting, vec![F::Start]));
        let (machine, effects) = building.next(E::Stopped).0.next(E::Built);
        assert_eq!((machine.phase, effects), (P::Starting, vec![F::Start]));

        // Where two can, nobody is waited for.
        let starting = Machine { overlaps: true, ..starting };
        let (machine, effects) = starting.next(E::Changed(Restart));
        assert_eq!((machine.phase, effects), (P::Starting, vec![F::CancelStart, F::Start]));
    }

    #[test]
    fn what_can_not_be_built_is_not_replaced_by_what_was_built_before() {
        let (machine, _) = at(P::Idle, true).next(E::Changed(Need::Build));
        let (machine, _) = machine.next(E::BuildFailed);
        let (machine, effects) = machine.next(E::Changed(Need::Restart));
        assert_eq!((machine.phase, effects), (P::Building, vec![F::Build]));
        let (machine, _) = machine.next(E::Built);
        let (machine, _) = machine.next(E::Ready);
        let (machine, effects) = machine.next(E::Changed(Need::Restart));
        assert_eq!((machine.phase, effects), (P::Starting, vec![F::Start]));
    }

    #[test]
    fn rests_longer_after_each_crash_until_only_a_change_helps() {
        let mut machine = at(P::Idle, true);
        for n in 0..CRASHES {
            let (next, effects) = machine.next(E::Exited(Exit::Soon));
            assert_eq!(effects, [F::Lose(Some(FIRST_PAUSE * 2_u32.pow(n)))]);
            machine = next.next(E::BackoffOver).0.next(E::Ready).0;
        }
        let (machine, effects) = machine.next(E::Exited(Exit::Soon));
        assert_eq!((machine.phase, effects), (P::Idle, vec![F::Lose(None), F::GiveUp]));
        let (machine, effects) = machine.next(E::Changed(Need::Build));
        assert_eq!((machine.crashes, effects), (0, vec![F::Build]));
    }

    #[test]
    fn ends_from_everywhere_and_stays_ended() {
        for phase in [P::Idle, P::Building, P::Stopping, P::Starting, P::Backoff] {
            let (machine, effects) = at(phase, true).next(E::Shutdown);
            assert_eq!((machine.phase, effects), (P::Ending, vec![F::End]), "{phase:?}");
            assert_eq!(machine.next(E::Gone).0.phase, P::Ended);
        }
    }
}

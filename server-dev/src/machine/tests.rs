//! Each transition, as a table, and what comes of several.

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
    let (machine, effects) = Machine { phase: P::Building, ..Machine::new(false) }.next(E::Built);
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

/// It was dead until the next edit.
#[test]
fn what_has_crashed_while_its_successor_fails_is_started_again() {
    for (phase, failed) in [(P::Building, E::BuildFailed), (P::Starting, E::StartFailed)] {
        let (lost, effects) = at(phase, true).next(E::Exited(Exit::Late));
        assert_eq!((lost.phase, effects), (phase, vec![F::Lose(None)]));
        assert_eq!(lost.pause_after_failure(), Some(FIRST_PAUSE));
        let (rests, effects) = lost.next(failed);
        assert_eq!((rests.phase, effects), (P::Backoff, vec![F::Rest(FIRST_PAUSE)]));
        let (starts, effects) = rests.next(E::BackoffOver);
        assert_eq!((starts.phase, effects), (P::Starting, vec![F::Start]));
        // Once, as what doesn't start won't by itself.
        assert_eq!(starts.next(E::StartFailed).0.phase, P::Idle);
        // What has done what it had to is not.
        let done = at(phase, true).next(E::Exited(Exit::Done)).0;
        assert_eq!(done.next(failed).0.phase, P::Idle);
    }
}

/// "The old one goes on" was said of it, though it was told to end.
#[test]
fn what_was_ended_for_what_is_not_built_any_more_is_started_again() {
    let building = Machine { overlaps: false, ..at(P::Building, true) };
    let stopping = building.next(E::Built).0;
    let built_anew = stopping.next(E::Changed(Need::Build)).0;
    assert!(!built_anew.serves);
    let (rests, effects) = built_anew.next(E::BuildFailed);
    assert_eq!((rests.phase, effects), (P::Backoff, vec![F::Rest(FIRST_PAUSE)]));
    // Not before the old one has ended.
    let (waits, effects) = rests.next(E::BackoffOver);
    assert_eq!((waits.phase, effects), (P::Stopping, vec![]));
    assert_eq!(waits.next(E::Stopped).1, [F::Start]);
    // Its successor was started, and failed by itself.
    let failed = stopping.next(E::Stopped).0.next(E::StartFailed);
    assert_eq!((failed.0.phase, failed.1), (P::Idle, vec![]));
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

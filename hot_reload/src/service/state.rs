//! The service's loop as a pure function: what waits for what, at a glance.

use std::time::Duration;

use tokio::time::Instant;

use crate::{backoff::Backoff, change::Reason};

/// What the loop is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Looking at the source.
    Loading(Round),
    /// Waiting for a writer to finish, until a moment that hints may move but never past the
    /// round's ceiling.
    Settling { until: Instant, round: Round },
    /// The source was read; waiting for a hint, or for the next look.
    Watching { look_at: Option<Instant> },
    /// The source could not be read; waiting to try again.
    Backoff { until: Instant, failures: u32 },
    /// Told to look at nothing until further notice.
    Paused { failures: u32 },
    /// Nobody is left to publish to, or the service was told to end.
    Done,
}

/// One round from a hint to a value, over however many looks it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Round {
    /// When settling must end; set by the first hint of the round.
    pub(super) ceiling: Instant,
    /// Failed rounds in a row before this one.
    pub(super) failures: u32,
    /// What it was begun for.
    pub(super) reason: Reason,
}

impl Round {
    /// When the first hint of the round was heard.
    pub(super) fn seen(&self, timing: &Timing) -> Instant {
        self.ceiling - timing.settle_ceiling
    }
}

/// What happens to the loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// A writer is over and done: look now.
    Finished,
    /// Something began: look once it is quiet.
    Touched,
    /// A periodic look found a difference: look now.
    Due,
    /// Somebody wants a look now, for this reason.
    Trigger(Reason),
    /// Somebody wants no looks.
    Pause,
    /// Somebody wants looks again.
    Resume,
    /// The moment that the state waits for has come.
    Tick,
    /// A look found a good value, new or the same; the next look is due after this long.
    Loaded { look_again: Option<Duration> },
    /// A look found a writer at work.
    Unsettled { retry: Duration },
    /// A look failed; `luck` in 0..=1000 spreads the retries of many services. The next is due after
    /// this long at the latest, save where the source says how long to wait.
    Failed { luck: u16, look_again: Option<Duration>, pause: Option<Duration> },
    /// Every receiver is gone.
    NoReceivers,
    /// Somebody wants the service to end.
    Shutdown,
}

/// The durations that the loop is made with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timing {
    pub(super) settle_window: Duration,
    pub(super) settle_ceiling: Duration,
    pub(super) backoff: Backoff,
}

impl State {
    /// Where a service starts: it looks before it waits for anything.
    pub(super) fn start(now: Instant, timing: &Timing) -> Self {
        let ceiling = now + timing.settle_ceiling;
        Self::Loading(Round { ceiling, failures: 0, reason: Reason::Initial })
    }

    /// Failed rounds in a row up to now.
    fn failures(self) -> u32 {
        match self {
            Self::Loading(round) | Self::Settling { round, .. } => round.failures,
            Self::Backoff { failures, .. } | Self::Paused { failures } => failures,
            Self::Watching { .. } | Self::Done => 0,
        }
    }

    /// When this state is over by itself.
    pub(super) fn deadline(self) -> Option<Instant> {
        match self {
            Self::Settling { until, .. } | Self::Backoff { until, .. } => Some(until),
            Self::Watching { look_at } => look_at,
            Self::Loading(_) | Self::Paused { .. } | Self::Done => None,
        }
    }
}

/// Returns what the loop does next.
pub(super) fn next(state: State, event: Event, now: Instant, timing: &Timing) -> State {
    let fresh = |failures, reason| Round { ceiling: now + timing.settle_ceiling, failures, reason };
    let quiet = now + timing.settle_window;
    let touched = |failures| {
        let round = fresh(failures, Reason::Event);
        State::Settling { until: quiet.min(round.ceiling), round }
    };
    match (state, event) {
        (State::Done, _) | (_, Event::NoReceivers | Event::Shutdown) => State::Done,

        (
            State::Watching { .. } | State::Backoff { .. } | State::Paused { .. },
            Event::Trigger(reason),
        ) => State::Loading(fresh(state.failures(), reason)),
        (_, Event::Pause) => State::Paused { failures: state.failures() },
        (State::Watching { .. } | State::Backoff { .. } | State::Paused { .. }, Event::Resume) => {
            State::Loading(fresh(state.failures(), Reason::Trigger))
        }
        (State::Watching { .. }, Event::Finished) => State::Loading(fresh(0, Reason::Event)),
        (State::Watching { .. }, Event::Due | Event::Tick) => {
            State::Loading(fresh(0, Reason::Poll))
        }
        (State::Watching { .. }, Event::Touched) => touched(0),

        (State::Settling { round, .. }, Event::Finished | Event::Due | Event::Tick) => {
            State::Loading(round)
        }
        // Past the ceiling nothing moves the next look any more.
        (State::Settling { until, round }, Event::Touched) => {
            State::Settling { until: quiet.min(round.ceiling.max(until)), round }
        }

        (State::Backoff { failures, .. }, Event::Finished) => {
            State::Loading(fresh(failures, Reason::Event))
        }
        (State::Backoff { failures, .. }, Event::Due) => {
            State::Loading(fresh(failures, Reason::Poll))
        }
        (State::Backoff { failures, .. }, Event::Tick) => {
            State::Loading(fresh(failures, Reason::Retry))
        }
        (State::Backoff { failures, .. }, Event::Touched) => touched(failures),

        (State::Loading(_), Event::Loaded { look_again }) => {
            State::Watching { look_at: look_again.map(|wait| now + wait) }
        }
        (State::Loading(round), Event::Unsettled { retry }) => {
            let retry = now + retry.max(SHORTEST_WAIT);
            let until = if now < round.ceiling { retry.min(round.ceiling) } else { retry };
            State::Settling { until, round }
        }
        (State::Loading(round), Event::Failed { luck, look_again, pause }) => {
            let failures = round.failures.saturating_add(1);
            let own = || {
                let pause = timing.backoff.pause(failures, f64::from(luck) / 1000.0);
                look_again.map_or(pause, |again| pause.min(again))
            };
            let pause = pause.unwrap_or_else(own).max(SHORTEST_WAIT);
            State::Backoff { until: now + pause, failures }
        }

        // Nothing but that moves a service that is paused, and whoever asks for a look while one is
        // under way gets the outcome of that. The shell takes hints only between looks, and
        // outcomes only from one.
        (State::Paused { .. }, _)
        | (State::Loading(_) | State::Settling { .. }, Event::Trigger(_) | Event::Resume)
        | (State::Loading(_), Event::Finished | Event::Touched | Event::Due | Event::Tick)
        | (
            State::Watching { .. } | State::Settling { .. } | State::Backoff { .. },
            Event::Loaded { .. } | Event::Unsettled { .. } | Event::Failed { .. },
        ) => state,
    }
}

/// A writer is looked at again and again, but never in a busy loop.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    const TIMING: Timing = Timing {
        settle_window: ms(50),
        settle_ceiling: ms(3000),
        backoff: Backoff { floor: ms(100), ceiling: ms(1000) },
    };

    const SIGNAL: Reason = Reason::Signal;

    #[test]
    fn every_transition() {
        let now = Instant::now();
        let round =
            |ceiling, failures, reason| Round { ceiling: now + ms(ceiling), failures, reason };
        let because = |ceiling, failures, reason| State::Loading(round(ceiling, failures, reason));
        let loading = |ceiling, failures| because(ceiling, failures, Reason::Event);
        let settling = |until, ceiling, failures| State::Settling {
            until: now + ms(until),
            round: round(ceiling, failures, Reason::Event),
        };
        let paused = |failures| State::Paused { failures };
        let watching =
            |look_at: Option<u64>| State::Watching { look_at: look_at.map(|at| now + ms(at)) };
        let backoff = |until, failures| State::Backoff { until: now + ms(until), failures };

        let failed = |luck, look_again| Event::Failed { luck, look_again, pause: None };
        let asks_for =
            |pause| Event::Failed { luck: 0, look_again: Some(ms(7)), pause: Some(pause) };

        let table = [
            // A quiet service.
            (watching(None), Event::Finished, loading(3000, 0)),
            (watching(None), Event::Touched, settling(50, 3000, 0)),
            (watching(Some(0)), Event::Tick, because(3000, 0, Reason::Poll)),
            (watching(None), Event::Due, because(3000, 0, Reason::Poll)),
            // A look ends.
            (loading(9, 2), Event::Loaded { look_again: None }, watching(None)),
            (loading(9, 2), Event::Loaded { look_again: Some(ms(7)) }, watching(Some(7))),
            (loading(900, 2), Event::Unsettled { retry: ms(5) }, settling(5, 900, 2)),
            (loading(9, 0), failed(0, None), backoff(100, 1)),
            (loading(9, 1), failed(0, None), backoff(200, 2)),
            (loading(9, 1), failed(1000, None), backoff(100, 2)),
            (loading(9, 1), failed(0, Some(ms(70))), backoff(70, 2)),
            (loading(9, 1), failed(0, Some(ms(0))), backoff(1, 2)),
            (loading(9, 1), failed(0, Some(ms(700))), backoff(200, 2)),
            // The source knows better, in both directions.
            (loading(9, 1), asks_for(ms(5000)), backoff(5000, 2)),
            (loading(9, 1), asks_for(ms(3)), backoff(3, 2)),
            (loading(9, 1), asks_for(ms(0)), backoff(1, 2)),
            // A writer at work: each touch restarts the window, none moves the ceiling.
            (settling(9, 900, 0), Event::Touched, settling(50, 900, 0)),
            (settling(9, 30, 0), Event::Touched, settling(30, 30, 0)),
            (settling(0, 900, 3), Event::Tick, loading(900, 3)),
            (settling(9, 900, 3), Event::Finished, loading(900, 3)),
            (settling(9, 900, 3), Event::Due, loading(900, 3)),
            // Past the ceiling a busy writer is looked at on, never in a spin, and its touches
            // move nothing.
            (loading(0, 0), Event::Unsettled { retry: ms(5) }, settling(5, 0, 0)),
            (loading(0, 0), Event::Unsettled { retry: ms(0) }, settling(1, 0, 0)),
            (settling(5, 0, 0), Event::Touched, settling(5, 0, 0)),
            // A broken source: a hint is worth a look before its pause is over, and the
            // failures in a row are remembered until a load succeeds.
            (backoff(500, 4), Event::Finished, loading(3000, 4)),
            (backoff(500, 4), Event::Touched, settling(50, 3000, 4)),
            (backoff(0, 4), Event::Tick, because(3000, 4, Reason::Retry)),
            (backoff(9, 4), Event::Due, because(3000, 4, Reason::Poll)),
            // Somebody at the controls.
            (watching(Some(9)), Event::Trigger(SIGNAL), because(3000, 0, SIGNAL)),
            (settling(9, 900, 3), Event::Trigger(SIGNAL), settling(9, 900, 3)),
            (backoff(9, 4), Event::Trigger(SIGNAL), because(3000, 4, SIGNAL)),
            (paused(4), Event::Trigger(SIGNAL), because(3000, 4, SIGNAL)),
            (watching(Some(9)), Event::Pause, paused(0)),
            (settling(9, 900, 3), Event::Pause, paused(3)),
            (backoff(9, 4), Event::Pause, paused(4)),
            (paused(4), Event::Finished, paused(4)),
            (paused(4), Event::Tick, paused(4)),
            (paused(4), Event::Resume, because(3000, 4, Reason::Trigger)),
            // Somebody let go of it before it knew that it was paused.
            (backoff(9, 4), Event::Resume, because(3000, 4, Reason::Trigger)),
            (watching(None), Event::Resume, because(3000, 0, Reason::Trigger)),
            (settling(9, 900, 0), Event::Resume, settling(9, 900, 0)),
            // The end.
            (watching(None), Event::NoReceivers, State::Done),
            (loading(9, 0), Event::NoReceivers, State::Done),
            (settling(9, 9, 0), Event::NoReceivers, State::Done),
            (backoff(9, 1), Event::NoReceivers, State::Done),
            (paused(1), Event::NoReceivers, State::Done),
            (paused(1), Event::Shutdown, State::Done),
            (loading(9, 0), Event::Shutdown, State::Done),
            (watching(None), Event::Shutdown, State::Done),
            (State::Done, Event::Finished, State::Done),
            (State::Done, Event::Trigger(SIGNAL), State::Done),
            (State::Done, Event::Loaded { look_again: None }, State::Done),
        ];
        for (state, event, want) in table {
            assert_eq!(next(state, event, now, &TIMING), want, "{state:?} + {event:?}");
        }
    }

    #[test]
    fn touches_without_rest_end_at_the_ceiling() {
        let start = Instant::now();
        let mut state = next(State::Watching { look_at: None }, Event::Touched, start, &TIMING);
        for step in 1..2_000 {
            state = next(state, Event::Touched, start + ms(3) * step, &TIMING);
        }
        assert_eq!(state.deadline(), Some(start + TIMING.settle_ceiling));
    }

    #[test]
    fn only_waiting_states_have_a_deadline() {
        let now = Instant::now();
        assert_eq!(State::start(now, &TIMING).deadline(), None);
        assert_eq!(State::Done.deadline(), None);
        assert_eq!(State::Watching { look_at: Some(now) }.deadline(), Some(now));
        assert_eq!(State::Backoff { until: now, failures: 1 }.deadline(), Some(now));
    }
}

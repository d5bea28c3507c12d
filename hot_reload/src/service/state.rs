//! The service's loop as a pure function: what waits for what, at a glance.

use std::time::Duration;

use tokio::time::Instant;

use crate::backoff::Backoff;

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
    /// Nobody is left to publish to.
    Done,
}

/// One round from a hint to a value, over however many looks it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Round {
    /// When settling must end; set by the first hint of the round.
    pub(super) ceiling: Instant,
    /// Failed rounds in a row before this one.
    pub(super) failures: u32,
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
    /// The moment that the state waits for has come.
    Tick,
    /// A look found a good value, new or the same; the next look is due after this long.
    Loaded { look_again: Option<Duration> },
    /// A look found a writer at work.
    Unsettled { retry: Duration },
    /// A look failed; `luck` in 0..=1000 spreads the retries of many services. The next is due after
    /// this long at the latest.
    Failed { luck: u16, look_again: Option<Duration> },
    /// Every receiver is gone.
    NoReceivers,
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
        Self::Loading(Round { ceiling: now + timing.settle_ceiling, failures: 0 })
    }

    /// When this state is over by itself.
    pub(super) fn deadline(self) -> Option<Instant> {
        match self {
            Self::Settling { until, .. } | Self::Backoff { until, .. } => Some(until),
            Self::Watching { look_at } => look_at,
            Self::Loading(_) | Self::Done => None,
        }
    }
}

/// Returns what the loop does next.
pub(super) fn next(state: State, event: Event, now: Instant, timing: &Timing) -> State {
    let fresh = |failures| Round { ceiling: now + timing.settle_ceiling, failures };
    let quiet = now + timing.settle_window;
    let touched = |failures| {
        let round = fresh(failures);
        State::Settling { until: quiet.min(round.ceiling), round }
    };
    match (state, event) {
        (State::Done, _) | (_, Event::NoReceivers) => State::Done,

        (State::Watching { .. }, Event::Finished | Event::Due | Event::Tick) => {
            State::Loading(fresh(0))
        }
        (State::Watching { .. }, Event::Touched) => touched(0),

        (State::Settling { round, .. }, Event::Finished | Event::Due | Event::Tick) => {
            State::Loading(round)
        }
        // Past the ceiling nothing moves the next look any more.
        (State::Settling { until, round }, Event::Touched) => {
            State::Settling { until: quiet.min(round.ceiling.max(until)), round }
        }

        (State::Backoff { failures, .. }, Event::Finished | Event::Due | Event::Tick) => {
            State::Loading(fresh(failures))
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
        (State::Loading(round), Event::Failed { luck, look_again }) => {
            let failures = round.failures.saturating_add(1);
            let pause = timing.backoff.pause(failures, f64::from(luck) / 1000.0);
            let pause = look_again.map_or(pause, |again| pause.min(again.max(SHORTEST_WAIT)));
            State::Backoff { until: now + pause, failures }
        }

        // The shell takes hints only between looks, and outcomes only from one.
        (State::Loading(_), Event::Finished | Event::Touched | Event::Due | Event::Tick)
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

    #[test]
    fn every_transition() {
        let now = Instant::now();
        let round = |ceiling, failures| Round { ceiling: now + ms(ceiling), failures };
        let loading = |ceiling, failures| State::Loading(round(ceiling, failures));
        let settling = |until, ceiling, failures| State::Settling {
            until: now + ms(until),
            round: round(ceiling, failures),
        };
        let watching =
            |look_at: Option<u64>| State::Watching { look_at: look_at.map(|at| now + ms(at)) };
        let backoff = |until, failures| State::Backoff { until: now + ms(until), failures };

        let failed = |luck, look_again| Event::Failed { luck, look_again };

        let table = [
            // A quiet service.
            (watching(None), Event::Finished, loading(3000, 0)),
            (watching(None), Event::Touched, settling(50, 3000, 0)),
            (watching(None), Event::Due, loading(3000, 0)),
            (watching(Some(0)), Event::Tick, loading(3000, 0)),
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
            (backoff(0, 4), Event::Tick, loading(3000, 4)),
            (backoff(500, 4), Event::Due, loading(3000, 4)),
            // The end.
            (watching(None), Event::NoReceivers, State::Done),
            (loading(9, 0), Event::NoReceivers, State::Done),
            (settling(9, 9, 0), Event::NoReceivers, State::Done),
            (backoff(9, 1), Event::NoReceivers, State::Done),
            (State::Done, Event::Finished, State::Done),
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
        for step in 1..20_000 {
            state = next(state, Event::Touched, start + ms(300) * step / 1000, &TIMING);
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

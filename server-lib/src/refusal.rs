//! What a server does about a configuration that it can't use.

use std::time::Duration;

use tokio::time::Instant;

/// A port that a server before us still holds is mostly free within a moment.
const FLOOR: Duration = Duration::from_millis(250);
/// However long it takes, an operator who frees the port doesn't wait longer than this.
const CEILING: Duration = Duration::from_secs(10);

/// Whether the newest configuration is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// It is.
    Serving,
    /// The one before goes on.
    Refusing {
        generation: u64,
        attempts: u32,
        /// When to try again; `None` where only another configuration can help.
        retry_at: Option<Instant>,
    },
}

/// What became of the newest configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    InUse,
    Refused { generation: u64, may_pass: bool },
}

impl State {
    pub(crate) fn next(self, event: Event, now: Instant) -> Self {
        match (self, event) {
            (_, Event::InUse) => Self::Serving,
            (
                Self::Refusing { generation: same, attempts, .. },
                Event::Refused { generation, may_pass },
            ) if same == generation => {
                Self::refusing(generation, attempts.saturating_add(1), may_pass, now)
            }
            (_, Event::Refused { generation, may_pass }) => {
                Self::refusing(generation, 1, may_pass, now)
            }
        }
    }

    pub(crate) fn retry_at(self) -> Option<Instant> {
        match self {
            Self::Serving => None,
            Self::Refusing { retry_at, .. } => retry_at,
        }
    }

    fn refusing(generation: u64, attempts: u32, may_pass: bool, now: Instant) -> Self {
        Self::Refusing { generation, attempts, retry_at: may_pass.then(|| now + pause(attempts)) }
    }
}

/// Doubles from the floor to the ceiling.
fn pause(attempts: u32) -> Duration {
    let factor = 1u32.checked_shl(attempts.saturating_sub(1)).unwrap_or(u32::MAX);
    FLOOR.saturating_mul(factor).min(CEILING)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_again_while_the_reason_may_pass() {
        let now = Instant::now();
        let refusing = |generation, attempts, after: Option<u64>| State::Refusing {
            generation,
            attempts,
            retry_at: after.map(|ms| now + Duration::from_millis(ms)),
        };
        let refused = |generation| Event::Refused { generation, may_pass: true };
        for (state, event, want) in [
            (State::Serving, Event::InUse, State::Serving),
            (State::Serving, refused(2), refusing(2, 1, Some(250))),
            (refusing(2, 1, None), refused(2), refusing(2, 2, Some(500))),
            (refusing(2, 2, None), refused(2), refusing(2, 3, Some(1000))),
            (refusing(2, 6, None), refused(2), refusing(2, 7, Some(10_000))),
            (refusing(2, u32::MAX, None), refused(2), refusing(2, u32::MAX, Some(10_000))),
            (refusing(2, 5, None), refused(3), refusing(3, 1, Some(250))),
            (refusing(2, 5, Some(1)), Event::InUse, State::Serving),
            (
                State::Serving,
                Event::Refused { generation: 2, may_pass: false },
                refusing(2, 1, None),
            ),
        ] {
            assert_eq!(state.next(event, now), want, "{state:?}, {event:?}");
        }
    }
}

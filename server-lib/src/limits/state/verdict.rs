//! How long a connection may stay where it is.

use std::time::Duration;

use tokio::time::Instant;

use super::{Phase, State};

/// How long a client is heard out that was refused while it was still sending: closed at once, the
/// connection would be reset, and the answer with it be lost (RFC 9112, section 9.6).
const LINGER: Duration = Duration::from_secs(1);

/// How long an idle client has to answer that the connection is about to end, which HTTP/2 waits for
/// (RFC 9113, section 6.8).
const GOODBYE: Duration = Duration::from_secs(1);

/// How long a connection may stay where it is.
#[derive(Debug, Clone, Copy)]
pub(in crate::limits) struct Allowed {
    pub(in crate::limits) head: Duration,
    pub(in crate::limits) idle: Duration,
    pub(in crate::limits) write: Duration,
}

/// What is to be done about a connection.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::limits) enum Verdict {
    /// It has stayed for too long.
    CutOff(Overdue),
    /// It is to be looked at again then.
    LookAt(Instant),
}

/// Why a connection is cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overdue {
    Head,
    Idle,
    Write,
    Lingering,
}

impl Overdue {
    /// Returns what it took longer than.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Head => "header_timeout_ms",
            Self::Idle => "keep_alive_timeout_ms",
            Self::Write => "write_timeout_ms",
            Self::Lingering => "it takes to be told why",
        }
    }
}

impl State {
    /// Returns what is to be done about it.
    pub(in crate::limits) fn verdict(&self, allowed: &Allowed, now: Instant) -> Verdict {
        // Were it to enter another phase, or to stall, just now, that would not be over before.
        let soonest = now + allowed.head.min(allowed.idle).min(allowed.write);
        let soonest = if self.draining.is_some() { soonest.min(now + GOODBYE) } else { soonest };
        let phase = match self.phase {
            Phase::New | Phase::Head => Some((self.since + allowed.head, Overdue::Head)),
            // What is left of an answer is still being written.
            Phase::Idle if self.stalled.is_some() => None,
            Phase::Idle => Some((self.since + allowed.idle, Overdue::Idle)),
            Phase::Lingering => Some((self.since + LINGER, Overdue::Lingering)),
            Phase::Busy if self.waits_for_client() => {
                Some((self.went_on + allowed.write, Overdue::Write))
            }
            Phase::Busy => None,
        };
        let is_idle = self.stalled.is_none()
            && (self.phase == Phase::Idle || (self.phase == Phase::Head && self.is_multiplexed));
        let goodbye = self
            .draining
            .filter(|_| is_idle)
            .map(|draining| (self.since.max(draining) + GOODBYE, Overdue::Idle));
        let stalled = self.stalled.map(|since| (since + allowed.write, Overdue::Write));
        let ends = [phase, goodbye, stalled].into_iter().flatten();
        match ends.min_by_key(|(end, _)| *end) {
            Some((end, overdue)) if end <= now => Verdict::CutOff(overdue),
            Some((end, _)) => Verdict::LookAt(end.min(soonest)),
            None => Verdict::LookAt(soonest),
        }
    }

    /// Whether each request is the client's to go on with; before its answer has begun, it has a limit
    /// of its own.
    fn waits_for_client(&self) -> bool {
        self.offered + self.awaited == self.answering
            && self.offered + self.wanted >= self.answering
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::state::{Event, Stage};

    const ALLOWED: Allowed = Allowed {
        head: Duration::from_millis(100),
        idle: Duration::from_secs(3),
        write: Duration::from_millis(200),
    };

    const READ: Event = Event::Read { is_preface: false, ends_head: true };
    const READ_PART: Event = Event::Read { is_preface: false, ends_head: false };
    const PREFACE: Event = Event::Read { is_preface: true, ends_head: false };
    const STALL: Event = Event::Written { went_on: false };
    const WRITE: Event = Event::Written { went_on: true };
    const OFFER: Event = Event::Moved { from: Stage::Asked, to: Stage::Offered };
    const AWAIT: Event = Event::Moved { from: Stage::Offered, to: Stage::Awaited };
    const END: Event = Event::Ended(Stage::Asked);
    const BEGIN: Event = Event::Begun { is_multiplexed: false, is_bare: true };
    const BEGIN_BODY: Event = Event::Begun { is_multiplexed: false, is_bare: false };
    const BEGIN_HTTP_2: Event = Event::Begun { is_multiplexed: true, is_bare: true };

    #[test]
    fn a_connection_is_cut_off_where_it_stays_for_too_long() {
        use Event::{Closing, Draining, Refused, Wanted};
        for (events, then) in [
            (&[][..], Some((100, Overdue::Head))),
            // Byte by byte it takes no longer.
            (&[(10, READ), (90, READ)], Some((100, Overdue::Head))),
            (&[(10, READ), (20, BEGIN)], None),
            // Its answer is there to take.
            (&[(10, BEGIN), (20, OFFER)], Some((220, Overdue::Write))),
            (&[(10, BEGIN), (20, OFFER), (30, WRITE)], Some((230, Overdue::Write))),
            (&[(10, BEGIN), (20, OFFER), (30, AWAIT)], None),
            // The rest of its body is waited for.
            (&[(10, BEGIN), (20, Wanted(true))], None),
            (
                &[(10, BEGIN), (20, OFFER), (20, Wanted(true)), (20, AWAIT)],
                Some((220, Overdue::Write)),
            ),
            (
                &[(10, BEGIN), (20, OFFER), (20, Wanted(true)), (20, AWAIT), (30, Wanted(false))],
                None,
            ),
            // Another one is the application's to go on with.
            (&[(10, BEGIN_HTTP_2), (20, OFFER), (30, BEGIN_HTTP_2)], None),
            (&[(10, BEGIN), (50, END)], Some((3050, Overdue::Idle))),
            (&[(10, BEGIN), (50, END), (250, READ), (340, READ)], Some((350, Overdue::Head))),
            // Part of a head has come with the one before it, or while that is answered.
            (&[(10, READ_PART), (10, BEGIN), (50, END)], Some((150, Overdue::Head))),
            (&[(10, READ), (10, BEGIN), (20, READ_PART), (50, END)], Some((150, Overdue::Head))),
            (&[(10, READ_PART), (10, BEGIN_BODY), (50, END)], Some((3050, Overdue::Idle))),
            (&[(10, READ_PART), (10, BEGIN_HTTP_2), (50, END)], Some((3050, Overdue::Idle))),
            (&[(10, BEGIN), (50, END), (500, Draining)], Some((1500, Overdue::Idle))),
            (&[(10, BEGIN), (50, Draining), (500, END)], Some((1500, Overdue::Idle))),
            (&[(10, BEGIN), (50, Draining)], None),
            (&[(10, READ), (20, Draining)], Some((100, Overdue::Head))),
            (&[(10, PREFACE), (20, Draining)], Some((100, Overdue::Head))),
            (&[(10, BEGIN), (20, BEGIN), (30, END)], None),
            (&[(10, BEGIN_HTTP_2), (20, END), (200, READ)], Some((3020, Overdue::Idle))),
            (&[(10, BEGIN), (20, STALL), (30, STALL)], Some((220, Overdue::Write))),
            (&[(10, BEGIN), (20, STALL), (30, WRITE)], None),
            (&[(10, BEGIN), (20, STALL), (30, END), (40, Draining)], Some((220, Overdue::Write))),
            (&[(10, BEGIN), (20, STALL), (30, END), (40, WRITE)], Some((3040, Overdue::Idle))),
            (
                &[(10, BEGIN), (20, Refused), (30, END), (30, Closing)],
                Some((1030, Overdue::Lingering)),
            ),
            (&[(10, READ), (30, Closing), (40, READ)], Some((1030, Overdue::Lingering))),
            // There is nothing more to hear.
            (&[(10, BEGIN), (30, END), (30, Closing)], Some((3030, Overdue::Idle))),
        ] {
            let start = Instant::now();
            let at = |ms| start + Duration::from_millis(ms);
            let mut state = State::new(start);
            for (ms, event) in events {
                state.on(*event, at(*ms));
            }
            let Some((end, overdue)) = then else {
                let verdict = state.verdict(&ALLOWED, at(100_000));
                assert_eq!(verdict, Verdict::LookAt(at(100_100)), "{events:?}");
                continue;
            };
            let verdict = state.verdict(&ALLOWED, at(end - 1));
            assert_eq!(verdict, Verdict::LookAt(at(end)), "{events:?}");
            assert_eq!(state.verdict(&ALLOWED, at(end)), Verdict::CutOff(overdue), "{events:?}");
        }
    }
}

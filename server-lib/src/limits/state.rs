//! How far a connection is, and how long it may stay there.

use std::time::Duration;

use tokio::time::Instant;

/// How long a client is heard out that was refused while it was still sending: closed at once, the
/// connection would be reset, and the answer with it be lost (RFC 9112, section 9.6).
const LINGER: Duration = Duration::from_secs(1);

/// How long an idle client has to answer that the connection is about to end, which HTTP/2 waits for
/// (RFC 9113, section 6.8).
const GOODBYE: Duration = Duration::from_secs(1);

/// How long a connection may stay where it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allowed {
    pub(super) head: Duration,
    pub(super) idle: Duration,
    pub(super) write: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// It is sending the head of a request; or it has just begun.
    Head,
    /// It may begin a request, or not.
    Idle,
    /// A request of it is being answered.
    Busy,
    /// It has been answered and is heard out.
    Lingering,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct State {
    pub(super) phase: Phase,
    since: Instant,
    /// Requests that are being answered.
    answering: usize,
    /// Whether what comes in need not be of a request that begins: HTTP/2.
    is_multiplexed: bool,
    /// Whether something has come in since the last request.
    has_sent: bool,
    /// Whether the last request was refused before all of it had come.
    pub(super) is_refused: bool,
    /// Since when the client knows that the connection is about to end.
    pub(super) draining: Option<Instant>,
    /// Since when the client has taken nothing of what there is to write.
    stalled: Option<Instant>,
}

/// What is to be done about a connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
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
    pub(super) fn new(now: Instant) -> Self {
        Self {
            phase: Phase::Head,
            since: now,
            answering: 0,
            is_multiplexed: false,
            has_sent: false,
            is_refused: false,
            draining: None,
            stalled: None,
        }
    }

    fn enter(&mut self, phase: Phase, now: Instant) {
        (self.phase, self.since) = (phase, now);
    }

    pub(super) fn read(&mut self, is_preface: bool, now: Instant) {
        self.is_multiplexed |= is_preface && !self.has_sent && self.phase == Phase::Head;
        self.has_sent = true;
        if self.phase == Phase::Idle && !self.is_multiplexed {
            self.enter(Phase::Head, now);
        }
    }

    pub(super) fn written(&mut self, went_on: bool, now: Instant) {
        self.stalled = if went_on { None } else { self.stalled.or(Some(now)) };
    }

    pub(super) fn begin(&mut self, is_multiplexed: bool, now: Instant) {
        self.answering += 1;
        self.is_multiplexed |= is_multiplexed;
        (self.has_sent, self.is_refused) = (false, false);
        self.enter(Phase::Busy, now);
    }

    pub(super) fn end(&mut self, now: Instant) {
        self.answering -= 1;
        if self.answering == 0 && self.phase == Phase::Busy {
            self.enter(Phase::Idle, now);
        }
    }

    pub(super) fn linger(&mut self, now: Instant) -> bool {
        if self.phase == Phase::Lingering {
            return true;
        }
        let is_needed = self.is_refused || (self.phase == Phase::Head && self.has_sent);
        if is_needed {
            self.enter(Phase::Lingering, now);
        }
        is_needed
    }

    pub(super) fn verdict(&self, allowed: &Allowed, now: Instant) -> Verdict {
        // Were it to enter another phase, or to stall, just now, that would not be over before.
        let soonest = now + allowed.head.min(allowed.idle).min(allowed.write);
        let soonest = if self.draining.is_some() { soonest.min(now + GOODBYE) } else { soonest };
        let phase = match self.phase {
            Phase::Head => Some((self.since + allowed.head, Overdue::Head)),
            Phase::Idle => Some((self.since + allowed.idle, Overdue::Idle)),
            Phase::Lingering => Some((self.since + LINGER, Overdue::Lingering)),
            Phase::Busy => None,
        };
        let is_idle =
            self.phase == Phase::Idle || (self.phase == Phase::Head && self.is_multiplexed);
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
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALLOWED: Allowed = Allowed {
        head: Duration::from_millis(100),
        idle: Duration::from_secs(3),
        write: Duration::from_millis(200),
    };

    /// What happens to a connection.
    #[derive(Debug, Clone, Copy)]
    enum Event {
        Read,
        Preface,
        Begin,
        BeginMultiplexed,
        End,
        Stall,
        Write,
        Refuse,
        Linger,
        Drain,
    }

    #[test]
    fn a_connection_is_cut_off_where_it_stays_for_too_long() {
        use Event::*;
        for (events, then) in [
            (&[][..], Some((100, Overdue::Head))),
            // Byte by byte it takes no longer.
            (&[(10, Read), (90, Read)], Some((100, Overdue::Head))),
            (&[(10, Read), (20, Begin)], None),
            (&[(10, Begin), (50, End)], Some((3050, Overdue::Idle))),
            (&[(10, Begin), (50, End), (250, Read), (340, Read)], Some((350, Overdue::Head))),
            (&[(10, Begin), (50, End), (500, Drain)], Some((1500, Overdue::Idle))),
            (&[(10, Begin), (50, Drain), (500, End)], Some((1500, Overdue::Idle))),
            (&[(10, Begin), (50, Drain)], None),
            (&[(10, Read), (20, Drain)], Some((100, Overdue::Head))),
            (&[(10, Preface), (20, Drain)], Some((100, Overdue::Head))),
            (&[(10, Begin), (20, Begin), (30, End)], None),
            (&[(10, BeginMultiplexed), (20, End), (200, Read)], Some((3020, Overdue::Idle))),
            (&[(10, Begin), (20, Stall), (30, Stall)], Some((220, Overdue::Write))),
            (&[(10, Begin), (20, Stall), (30, Write)], None),
            (
                &[(10, Begin), (20, Refuse), (30, End), (30, Linger)],
                Some((1030, Overdue::Lingering)),
            ),
            (&[(10, Read), (30, Linger), (40, Read)], Some((1030, Overdue::Lingering))),
            // There is nothing more to hear.
            (&[(10, Begin), (30, End), (30, Linger)], Some((3030, Overdue::Idle))),
        ] {
            let start = Instant::now();
            let at = |ms| start + Duration::from_millis(ms);
            let mut state = State::new(start);
            for (ms, event) in events {
                let now = at(*ms);
                match event {
                    Read => state.read(false, now),
                    Preface => state.read(true, now),
                    Begin => state.begin(false, now),
                    BeginMultiplexed => state.begin(true, now),
                    End => state.end(now),
                    Stall => state.written(false, now),
                    Write => state.written(true, now),
                    Refuse => state.is_refused = true,
                    Drain => state.draining = Some(now),
                    Linger => drop(state.linger(now)),
                }
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

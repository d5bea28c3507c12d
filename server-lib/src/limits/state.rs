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

/// What happens to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// Something has come in, which may be what HTTP/2 begins with, or end with the end of a head.
    Read { is_preface: bool, ends_head: bool },
    /// Something was to be written.
    Written { went_on: bool },
    /// A request has come, which may be all head and no body.
    Begun { is_multiplexed: bool, is_bare: bool },
    /// The request is refused, and more of it may be coming.
    Refused,
    /// A request has got further.
    Moved { from: Stage, to: Stage },
    /// What is to come of a request's body is waited for, or is not any more.
    Wanted(bool),
    /// A request has been answered, or given up.
    Ended(Stage),
    /// The client is told that the connection is about to end.
    Draining,
    /// Nothing more is written.
    Closing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing has come in yet.
    New,
    /// It is sending the head of a request.
    Head,
    /// It may begin a request, or not.
    Idle,
    /// A request of it is being answered.
    Busy,
    /// It has been answered and is heard out.
    Lingering,
}

/// How far a request is that is being answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Its answer has not begun.
    Asked,
    /// There is something of its answer to take, or to be told that it is over.
    Offered,
    /// The application has no more of its answer for now.
    Awaited,
}

/// What is known of the request after the one that is being answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// Nothing: what comes in may be of the body.
    Unknown,
    /// Nothing of it has come in.
    Away,
    /// Some of it has come in.
    Here,
}

/// How far a connection is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct State {
    phase: Phase,
    since: Instant,
    /// Requests that are being answered, and those of them whose answer has begun.
    answering: usize,
    offered: usize,
    awaited: usize,
    /// Requests of whose body more is waited for.
    wanted: usize,
    /// When something went on last, in either direction.
    went_on: Instant,
    /// Whether what comes in need not be of a request that begins: HTTP/2.
    is_multiplexed: bool,
    next: Next,
    /// Whether what came in last may end with a head.
    ends_head: bool,
    /// Whether the last request was refused before all of it had come.
    is_refused: bool,
    /// Since when the client knows that the connection is about to end.
    draining: Option<Instant>,
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
            phase: Phase::New,
            since: now,
            answering: 0,
            offered: 0,
            awaited: 0,
            wanted: 0,
            went_on: now,
            is_multiplexed: false,
            next: Next::Unknown,
            ends_head: true,
            is_refused: false,
            draining: None,
            stalled: None,
        }
    }

    /// Notes what has happened.
    pub(super) fn on(&mut self, event: Event, now: Instant) {
        match event {
            Event::Read { is_preface, ends_head } => {
                self.ends_head = ends_head;
                self.went_on = now;
                match self.phase {
                    // Its time has begun with the connection.
                    Phase::New => {
                        self.is_multiplexed = is_preface;
                        self.phase = Phase::Head;
                    }
                    Phase::Idle if !self.is_multiplexed => self.enter(Phase::Head, now),
                    Phase::Busy if self.next == Next::Away => self.next = Next::Here,
                    _ => {}
                }
            }
            Event::Written { went_on: true } => {
                self.went_on = now;
                if self.stalled.take().is_some() && self.phase == Phase::Idle {
                    self.since = now;
                }
            }
            Event::Written { went_on: false } => self.stalled = self.stalled.or(Some(now)),
            Event::Begun { is_multiplexed, is_bare } => {
                self.answering += 1;
                self.is_multiplexed |= is_multiplexed;
                self.is_refused = false;
                self.next = match (is_bare, self.ends_head) {
                    (false, _) => Next::Unknown,
                    (true, true) => Next::Away,
                    (true, false) => Next::Here,
                };
                self.enter(Phase::Busy, now);
            }
            Event::Refused => self.is_refused = true,
            Event::Moved { from, to } => {
                self.count(from, |all| *all -= 1);
                self.count(to, |all| *all += 1);
                self.went_on = now;
            }
            Event::Wanted(is_wanted) => {
                self.wanted = if is_wanted { self.wanted + 1 } else { self.wanted - 1 };
                self.went_on = now;
            }
            Event::Ended(stage) => {
                self.count(stage, |all| *all -= 1);
                self.answering -= 1;
                self.went_on = now;
                if self.answering > 0 || self.phase != Phase::Busy {
                    return;
                }
                if self.next == Next::Here && !self.is_multiplexed {
                    self.enter(Phase::Head, now);
                } else {
                    self.enter(Phase::Idle, now);
                }
            }
            Event::Draining => self.draining = Some(now),
            Event::Closing => {
                let is_to_be_told = self.is_refused || self.phase == Phase::Head;
                if self.phase != Phase::Lingering && is_to_be_told {
                    self.enter(Phase::Lingering, now);
                }
            }
        }
    }

    fn count(&mut self, stage: Stage, change: impl FnOnce(&mut usize)) {
        match stage {
            Stage::Asked => {}
            Stage::Offered => change(&mut self.offered),
            Stage::Awaited => change(&mut self.awaited),
        }
    }

    /// Whether each request is the client's to go on with; before its answer has begun, it has a limit
    /// of its own.
    fn waits_for_client(&self) -> bool {
        self.offered + self.awaited == self.answering
            && self.offered + self.wanted >= self.answering
    }

    fn enter(&mut self, phase: Phase, now: Instant) {
        (self.phase, self.since) = (phase, now);
    }

    /// Whether the client is heard out, though nothing more is written.
    pub(super) fn is_heard_out(&self) -> bool {
        self.phase == Phase::Lingering
    }

    /// Whether a part of a head has come, and the rest has not.
    pub(super) fn is_amid_head(&self) -> bool {
        self.phase == Phase::Head && !self.is_multiplexed
    }

    /// Whether what comes in need not be of a request that begins: HTTP/2.
    pub(super) fn is_multiplexed(&self) -> bool {
        self.is_multiplexed
    }

    /// Returns what is to be done about it.
    pub(super) fn verdict(&self, allowed: &Allowed, now: Instant) -> Verdict {
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
}

#[cfg(test)]
mod tests {
    use super::*;

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

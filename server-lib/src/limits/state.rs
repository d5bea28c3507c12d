//! How far a connection is.

mod verdict;

use tokio::time::Instant;

pub(crate) use self::verdict::Overdue;
pub(super) use self::verdict::{Allowed, Verdict};

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
}

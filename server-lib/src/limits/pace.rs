//! What a connection notes of itself, to be cut off in time.

use std::sync::{Mutex, MutexGuard};

use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

use super::state::{Allowed, Event, Overdue, Stage, State, Verdict};
use crate::{config::Limits, lock::lock};

/// What HTTP/2 begins with, as much of it as no other protocol does (RFC 9113, section 3.4).
const HTTP_2: &[u8] = b"PRI * HTTP/2.0";

/// What the head of a request ends with, where its lines do as they should, and where they don't (RFC
/// 9112, section 2.2).
const ENDS_OF_HEAD: [&[u8]; 2] = [b"\n\r\n", b"\n\n"];

/// What a connection and those who answer its requests note of it.
#[derive(Debug)]
pub(crate) struct Pace {
    allowed: Allowed,
    state: Mutex<State>,
    /// Something may be over sooner than it is looked at.
    hurry: Notify,
}

impl Pace {
    /// The connection begins.
    pub(crate) fn new(limits: &Limits) -> Self {
        let allowed = Allowed {
            head: limits.header_timeout(),
            idle: limits.keep_alive_timeout(),
            write: limits.write_timeout(),
        };
        let state = Mutex::new(State::new(Instant::now()));
        Self { allowed, state, hurry: Notify::new() }
    }

    pub(crate) fn has_read(&self, bytes: &[u8]) {
        self.note(Event::Read {
            is_preface: bytes.starts_with(HTTP_2),
            ends_head: ends_head(bytes),
        });
    }

    /// Whether a write went on.
    pub(crate) fn has_written(&self, went_on: bool) {
        self.note(Event::Written { went_on });
    }

    pub(crate) fn request_begins(&self, is_multiplexed: bool, is_bare: bool) {
        self.note(Event::Begun { is_multiplexed, is_bare });
    }

    /// The request that is being answered is refused, and more of it may be coming.
    pub(crate) fn has_refused(&self) {
        self.note(Event::Refused);
    }

    pub(crate) fn request_moves(&self, from: Stage, to: Stage) {
        self.note(Event::Moved { from, to });
    }

    /// Whether more of a request's body is waited for; told as it changes.
    pub(crate) fn body_is_wanted(&self, is_wanted: bool) {
        self.note(Event::Wanted(is_wanted));
    }

    pub(crate) fn request_ends(&self, stage: Stage) {
        self.note(Event::Ended(stage));
    }

    /// Nothing more is written; says whether the client is to be heard out.
    pub(crate) fn lingers(&self) -> bool {
        let mut state = self.state();
        let lingered = state.is_heard_out();
        state.on(Event::Closing, Instant::now());
        let lingers = state.is_heard_out();
        // Once: it is polled by the very task that this wakes.
        if lingers && !lingered {
            self.hurry.notify_one();
        }
        lingers
    }

    /// The client is told that the connection is about to end.
    pub(crate) fn drains(&self) {
        self.note(Event::Draining);
        self.hurry.notify_one();
    }

    /// Whether a part of a head has come, and the rest has not.
    pub(crate) fn is_amid_head(&self) -> bool {
        self.state().is_amid_head()
    }

    /// Whether the client speaks HTTP/2.
    pub(crate) fn is_multiplexed(&self) -> bool {
        self.state().is_multiplexed()
    }

    /// Waits until the connection has stayed for too long where it is.
    ///
    /// It looks now and then, at the earliest time at which that could be so, so that what happens
    /// in between costs no more than a note.
    pub(crate) async fn overdue(&self) -> Overdue {
        loop {
            let verdict = self.state().verdict(&self.allowed, Instant::now());
            match verdict {
                Verdict::CutOff(overdue) => return overdue,
                // Either will do.
                Verdict::LookAt(then) => drop(timeout_at(then, self.hurry.notified()).await),
            }
        }
    }

    fn note(&self, event: Event) {
        self.state().on(event, Instant::now());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// Whether a head may end with these bytes: of so few that nobody can tell it may.
fn ends_head(bytes: &[u8]) -> bool {
    bytes.len() < 3 || ENDS_OF_HEAD.iter().any(|end| bytes.ends_with(end))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    /// Once time and again, so that a connection kept the processor busy while it lingered.
    #[tokio::test(start_paused = true)]
    async fn who_looks_is_woken_once_for_a_connection_that_lingers() {
        let pace = Pace::new(&Limits::default());
        pace.request_begins(false, false);
        pace.has_refused();
        pace.request_ends(Stage::Asked);
        let woken = || timeout(Duration::ZERO, pace.hurry.notified());
        assert!(pace.lingers());
        assert!(woken().await.is_ok());
        assert!(pace.lingers());
        assert!(woken().await.is_err());
        assert_eq!(pace.overdue().await, Overdue::Lingering);
    }
}

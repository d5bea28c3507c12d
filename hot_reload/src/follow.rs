//! The seam between the service's loop and a source: hints wake the loop, a look finds the truth.
//!
//! It is made of plain `poll` functions. A trait with async functions would put its bounds on the
//! error type into the future of `start`, and the compiler then can't see that this future is
//! `Send` for an error type with a lifetime in it, as `&'static str` is
//! ([rust-lang/rust#110338](https://github.com/rust-lang/rust/issues/110338)).

use std::{
    borrow::Cow,
    fmt,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use crate::error::{ReloadResult, ReloaderError};

/// Longer than a slow query takes, shorter than an operator's patience with a hung one.
const LOAD_TIMEOUT: Duration = Duration::from_secs(60);

/// A source as the loop sees it.
pub trait Follow<V, S> {
    /// Waits until the source may have changed; a wait that is given up loses no hint.
    ///
    /// After a look it is polled once the value is out: what a look can leave for later may be done
    /// then, and nobody waits for that.
    fn poll_hint(&mut self, cx: &mut Context<'_>) -> Poll<Hint>;

    /// Finds out what the source holds now; goes on with the look that is under way, if one is.
    fn poll_look(
        &mut self,
        cx: &mut Context<'_>,
        patience: Patience,
    ) -> Poll<ReloadResult<Look<V>, V, S>>;

    /// What is wrong although the last look found a value, as with one of the sources that it is made
    /// of: the value is published, and the status says this.
    fn shortfall(&mut self) -> Option<ReloaderError<V, S>> {
        None
    }

    /// Whether the value that the last look found lacks what a source of it that has failed would have
    /// given: it takes no place of one from disk, and is not kept there.
    fn is_partial(&self) -> bool {
        false
    }

    /// Gives up the look that is under way, which has hung or panicked.
    fn abandon_look(&mut self);

    /// Has the next look load, even where nothing seems to have changed.
    fn must_load(&mut self) {}

    /// Takes note that what the last look found was refused, and is to be found again by the next.
    fn was_refused(&mut self) {
        self.must_load();
    }

    /// How long the loop may wait for a hint before it looks all the same; `None`: for ever.
    fn look_again_after(&self) -> Option<Duration>;

    /// How long the loop waits after the look that has just failed, in place of the service's own
    /// backoff; whoever answers with one has spread it already.
    fn pause(&mut self) -> Option<Duration> {
        None
    }

    /// What the source is called in logs, where it has a name.
    fn name(&self) -> Option<Arc<str>> {
        None
    }

    /// How changes are noticed at this moment.
    fn mechanism(&self) -> Mechanism;

    /// When the last value that was found came to be in the source, where that can be known.
    fn edited(&self) -> Option<SystemTime> {
        None
    }

    /// How long one look may take, unless the user said.
    fn load_timeout(&self) -> Duration {
        LOAD_TIMEOUT
    }
}

/// A source that brings its own way of being followed, borrowed from its reloader.
pub type BoxFollow<'a, V, S> = Box<dyn Follow<V, S> + Send + 'a>;

/// Why the loop is woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hint {
    /// Something began; whether it is over can't be told, so wait for quiet.
    Touched,
    /// A periodic look found a difference, or that it is time for another: look at once.
    Due,
    /// Something is over: look at once.
    Finished,
}

/// Whether a writer that has not finished may still be waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// It may.
    Left,
    /// The settle ceiling is reached: take what is there if it is whole.
    Exhausted,
}

/// What a look found.
#[derive(Debug)]
pub enum Look<V> {
    /// This value.
    Value(V),
    /// What was found the last time.
    Unchanged,
    /// A writer that has not finished; look again after this long, or at the next hint.
    Unsettled(Duration),
}

/// How changes are noticed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mechanism {
    /// By looking every poll interval.
    Polling,
    /// By events alone.
    Events,
    /// By events, and by looking every poll interval in case one is missed.
    EventsAndPolling,
    /// By looking, because events were asked for and can't be had; with the reason.
    Degraded(Cow<'static, str>),
}

impl Mechanism {
    /// Returns it in one word, without the reason, as metrics have it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Polling => "polling",
            Self::Events => "events",
            Self::EventsAndPolling => "events_and_polling",
            Self::Degraded(_) => "degraded",
        }
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Polling => f.write_str("polling"),
            Self::Events => f.write_str("events"),
            Self::EventsAndPolling => f.write_str("events and polling"),
            Self::Degraded(reason) => write!(f, "polling, for want of events ({reason})"),
        }
    }
}

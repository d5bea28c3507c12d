//! What changed from one value to the next, when and why.

#[cfg(feature = "keys")]
mod keys;

use std::fmt;

use tokio::time::Instant;

use crate::channel::Snapshot;

/// Why a value was loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The service had just started.
    Initial,
    /// The source, or the file system, told of a change.
    Event,
    /// It was time to look.
    Poll,
    /// An earlier load had failed.
    Retry,
    /// Somebody asked, by [`ReloaderHandle::trigger`](crate::ReloaderHandle::trigger) or by
    /// resuming a service that was paused.
    Trigger,
    /// A signal asked.
    Signal,
    /// Somebody rolled back to it, or what came after it failed its probation.
    Rollback,
    /// The source could not be reached at the start, and it was the last good value on disk.
    Restored,
    /// It was sent by hand.
    Sent,
}

impl Reason {
    /// Returns it in one word, as logs and metrics have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Initial => "initial",
            Self::Event => "event",
            Self::Poll => "poll",
            Self::Retry => "retry",
            Self::Trigger => "trigger",
            Self::Signal => "signal",
            Self::Rollback => "rollback",
            Self::Restored => "restored",
            Self::Sent => "sent",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Where a published value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) reason: Reason,
    /// When it was heard of.
    pub(crate) seen: Instant,
    /// Whether it lacks what a source of it that has failed would have given.
    pub(crate) is_partial: bool,
}

impl Origin {
    /// That of a value that is whole.
    pub(crate) fn new(reason: Reason, seen: Instant) -> Self {
        Self { reason, seen, is_partial: false }
    }
}

/// One step from a value to the next; from
/// [`ReloaderReceiver::changed_with`](crate::ReloaderReceiver::changed_with).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Change<V> {
    /// What the receiver had the last time; `None` at its first change.
    pub old: Option<Snapshot<V>>,
    /// What is published now.
    pub new: Snapshot<V>,
}

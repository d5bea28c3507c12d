//! Where a running loop puts what it found.

use std::{sync::Arc, time::Duration};

use super::{gate::Refusal, record::Trial};
use crate::{change::Origin, status::Status};

/// Takes note of how the service is doing.
pub(crate) trait Report {
    fn report(&self, change: &mut dyn FnMut(&mut Status));

    /// What it says of itself now.
    fn status(&self) -> Status;
}

/// Why the source could not be loaded.
pub(crate) struct Failure {
    pub(crate) words: Arc<str>,
    /// There is nothing to load, rather than something bad.
    pub(crate) is_missing: bool,
}

/// What publishing does to the status; says whether who waits for the value is to have it before anything
/// else is done.
pub(crate) type OnPublish<'a> = &'a mut (dyn FnMut(&mut Status, bool) -> bool + Send);

/// What a look has found, and whether it may be published.
pub(crate) enum Found<A> {
    /// It may.
    New(A),
    /// It serves already.
    Same,
    /// It was tried, and taken back for this reason.
    Bad(Arc<str>),
    /// A writer at work, which no sink gets to see.
    Unsettled(Duration),
}

/// How what the source holds stands to what serves.
pub(crate) enum Standing<V> {
    /// It serves.
    Serves,
    /// It was refused, or a value of the past serves in its place.
    Held(V),
    /// It was taken back, for this reason.
    Bad(Arc<str>),
}

/// A value that served before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Recall {
    Generation(u64),
    /// The last that proved itself, in the place of the one on trial, which is bad.
    LastGood,
}

/// Why the last good value of an earlier run does not serve.
pub(crate) enum NotRestored {
    /// It was not read, since there is no thread for it, as this says.
    #[cfg_attr(not(feature = "last-good"), expect(dead_code, reason = "nothing is kept"))]
    NoThread(String),
    Refused(Refusal),
}

impl From<Refusal> for NotRestored {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Takes the values; what it remembers of those that it took is up to it.
pub(crate) trait Sink<V>: Report {
    /// A value that is let in: where there is a gate, it has to [pass](Self::pass) before it is
    /// published.
    type Admitted;

    /// What the source is to be called, if not as it calls itself.
    fn name(&self) -> Option<Arc<str>> {
        None
    }

    /// Resolves once nobody is left to take anything.
    async fn closed(&self);

    /// Whether that is so by now.
    fn is_closed(&self) -> bool;

    /// Tells whether `value` may be published, once it has [passed](Self::pass).
    ///
    /// # Errors
    ///
    /// Where that can't be told.
    fn admit(&self, value: V, origin: Origin) -> Result<Found<Self::Admitted>, Refusal>;

    /// Whether there is anything that a value has to pass.
    fn has_gate(&self) -> bool {
        false
    }

    /// Has a value pass whatever it has to pass first; each step may take as long as `limit`.
    async fn pass(&self, _admitted: &mut Self::Admitted, _limit: Duration) -> Result<(), Refusal> {
        Ok(())
    }

    /// Passes a value on, together with a change of the status, which is told whether there is a new
    /// generation; returns what that has to prove.
    async fn publish(&self, admitted: Self::Admitted, change: OnPublish<'_>) -> Option<Trial>;

    /// Passes on that the source could not be loaded.
    async fn failed(&self, _failure: Failure) {}

    /// What the source holds, compared with what serves.
    ///
    /// # Errors
    ///
    /// Where it can't be had.
    fn standing(&self) -> Result<Standing<V>, Refusal> {
        Ok(Standing::Serves)
    }

    /// Whether that generation can be had again.
    fn keeps(&self, _generation: u64) -> bool {
        false
    }

    /// Has a value of the past pass what a new one passes; with the generation that it was, or `None`
    /// if there is none.
    async fn recall(
        &self,
        _recall: Recall,
        _why: &Arc<str>,
        _limit: Duration,
    ) -> Result<Option<(Self::Admitted, u64)>, Refusal> {
        Ok(None)
    }

    /// Has the last good value of an earlier run pass it; `None` if there is none.
    async fn restore(&self, _limit: Duration) -> Result<Option<Self::Admitted>, NotRestored> {
        Ok(None)
    }

    /// What the newest value has yet to prove, where an earlier run has not seen the end of it.
    fn on_trial(&self) -> Option<Trial> {
        None
    }

    /// Takes note that the newest value has proved itself; true if it was found bad before.
    fn acquit(&self) -> bool {
        false
    }

    /// Whether what serves was found bad.
    fn serves_bad(&self) -> bool {
        false
    }

    /// Waits until what is kept for a later run is on disk.
    async fn flush(&self) {}
}

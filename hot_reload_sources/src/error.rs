//! What a store has to say when it has no entry.

use std::{error::Error, fmt, sync::Arc, time::Duration};

/// Why a store gave no entry; decides how it is tried again.
///
/// # Examples
///
/// ```
/// use hot_reload_sources::StoreError;
///
/// let error = StoreError::refused("user app may not read prod/limits; grant it that");
/// assert!(error.is_refused());
/// ```
#[derive(Debug, Clone)]
pub struct StoreError {
    kind: Kind,
    message: String,
    cause: Option<Arc<dyn Error + Send + Sync>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Unreachable,
    Refused,
    Throttled(Option<Duration>),
    Missing,
    /// There is no value, and what should hold one is there.
    Gone,
    Invalid,
}

impl StoreError {
    /// The store can't be reached, or the connection is lost: tried again soon, with full jitter.
    pub fn unreachable(message: impl Into<String>) -> Self {
        Self::new(Kind::Unreachable, message)
    }

    /// The store won't have it until somebody does something: wrong credentials, a certificate that
    /// does not fit, a right that is missing. Tried again ever more seldom.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::new(Kind::Refused, message)
    }

    /// The store has too much to do; tried again after `retry_after`, if it has said, and ever more
    /// seldom.
    pub fn throttled(message: impl Into<String>, retry_after: Option<Duration>) -> Self {
        Self::new(Kind::Throttled(retry_after), message)
    }

    /// What should hold the value is not there: a bucket, a table. A key that is not there is an
    /// [`Entry::gone`](crate::Entry::gone) instead, as the store can say when it comes.
    pub fn missing(message: impl Into<String>) -> Self {
        Self::new(Kind::Missing, message)
    }

    /// There is no value, and what should hold one is there.
    pub(crate) fn gone() -> Self {
        Self::new(Kind::Gone, "nothing there; put a value")
    }

    /// What the store holds can't be taken.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, message)
    }

    /// Adds what caused it, which must hold no secret.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.cause = Some(Arc::from(cause.into()));
        self
    }

    /// Puts `name` in front, so that whoever reads it knows of which store it is.
    #[must_use]
    pub(crate) fn of(mut self, name: &str) -> Self {
        self.message = format!("{name}: {}", self.message);
        self
    }

    /// Whether the store can't be reached.
    pub fn is_unreachable(&self) -> bool {
        self.kind == Kind::Unreachable
    }

    /// Whether somebody has to do something about it.
    pub fn is_refused(&self) -> bool {
        self.kind == Kind::Refused
    }

    /// Whether the store has too much to do.
    pub fn is_throttled(&self) -> bool {
        matches!(self.kind, Kind::Throttled(_))
    }

    /// Whether what the store holds can't be taken.
    pub fn is_invalid(&self) -> bool {
        self.kind == Kind::Invalid
    }

    /// Whether there is no value, or nothing that should hold one.
    pub fn is_missing(&self) -> bool {
        matches!(self.kind, Kind::Missing | Kind::Gone)
    }

    /// Whether whoever reads both can't tell them apart.
    pub(crate) fn says_the_same_as(&self, other: &Self) -> bool {
        let words = |error: &Self| error.cause.as_ref().map(ToString::to_string);
        self.kind == other.kind && self.message == other.message && words(self) == words(other)
    }

    /// Whether it is the value alone that is not there.
    #[cfg(feature = "layers")]
    pub(crate) fn is_gone(&self) -> bool {
        self.kind == Kind::Gone
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), cause: None }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}

//! What a service can say of itself.

use std::sync::Arc;

use crate::follow::Mechanism;

/// How a service is doing, at the moment it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// Whether the newest value is what the source holds.
    pub health: Health,
    /// How changes are noticed; `None` until the first look has ended.
    pub mechanism: Option<Mechanism>,
    /// Number of the newest value: 0 before the first, then one more at each.
    pub generation: u64,
    /// Failed loads since the last good one.
    pub failures: u32,
    /// The newest failure since the last good load. It may quote the source's text: show it to
    /// whoever may read the source.
    pub last_error: Option<Arc<str>>,
}

/// Whether the newest value can be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Health {
    /// Nothing was loaded since the service was started.
    Starting,
    /// The newest value is what the source held at the last look.
    Fresh,
    /// The source can't be read, or holds no good value; the last good one keeps serving.
    Retrying,
    /// The service was stopped; the value is as of then.
    Stopped,
}

impl Default for Status {
    fn default() -> Self {
        Self {
            health: Health::Starting,
            mechanism: None,
            generation: 0,
            failures: 0,
            last_error: None,
        }
    }
}

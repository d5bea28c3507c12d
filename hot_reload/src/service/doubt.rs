//! For how long the newest value has been in doubt.

use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

use super::sink::Report;
use crate::status::Health;

/// Since when the newest value may not be what the source holds.
pub(super) struct Doubt {
    max_staleness: Option<Duration>,
    since: Option<Instant>,
    is_told: bool,
}

impl Doubt {
    pub(super) fn new(max_staleness: Option<Duration>) -> Self {
        Self { max_staleness, since: None, is_told: false }
    }

    /// Takes note that it is in doubt, unless it has been since earlier.
    pub(super) fn arises(&mut self, now: Instant) {
        self.since.get_or_insert(now);
    }

    /// Has the status show that there is a change that is not applied yet, or a failure.
    pub(super) fn show(&self, sink: &impl Report) {
        sink.report(&mut |status| status.unapplied_since = self.since);
    }

    pub(super) fn clear(&mut self) {
        self.since = None;
        self.is_told = false;
    }

    /// When the service is stale.
    pub(super) fn limit(&self) -> Option<Instant> {
        let limit = self.since? + self.max_staleness?;
        (!self.is_told).then_some(limit)
    }

    pub(super) fn tell_staleness(&mut self, sink: &impl Report, source: Option<&str>) {
        self.is_told = true;
        sink.report(&mut |status| status.health = Health::Stale);
        warn!(target: "hot_reload::stale", source = source.map(display), "the newest value is stale: the source has not been good for too long");
    }
}

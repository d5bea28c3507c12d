//! What a service counts and measures, through the [`metrics`] facade; nothing without the feature.

#[cfg(not(feature = "metrics"))]
use std::marker::PhantomData;
#[cfg(feature = "metrics")]
use std::time::Duration;
use std::{sync::Arc, time::SystemTime};

use tokio::time::Instant;

#[cfg(feature = "metrics")]
use crate::change::Reason;
use crate::{change::Origin, status::Status};

/// What came of a load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Published,
    Unchanged,
    Failed,
    Refused,
}

/// The metrics of one service.
pub(super) struct Metrics {
    #[cfg(feature = "metrics")]
    source: metrics::SharedString,
}

#[cfg(feature = "metrics")]
mod name {
    pub(super) const LOADS: &str = "hot_reload_loads_total";
    pub(super) const LOAD_DURATION: &str = "hot_reload_load_duration_seconds";
    pub(super) const PUBLICATIONS: &str = "hot_reload_publications_total";
    pub(super) const APPLY: &str = "hot_reload_apply_seconds";
    pub(super) const EDIT_TO_VISIBLE: &str = "hot_reload_edit_to_visible_seconds";
    pub(super) const GENERATION: &str = "hot_reload_generation";
    pub(super) const LAST_CHANGE: &str = "hot_reload_last_change_timestamp_seconds";
    pub(super) const FAILURES: &str = "hot_reload_failures";
    pub(super) const ALIVE: &str = "hot_reload_alive_generations";
    pub(super) const READY: &str = "hot_reload_ready";
    pub(super) const MECHANISM: &str = "hot_reload_mechanism";
}

#[cfg(feature = "metrics")]
impl Metrics {
    pub(super) fn of(source: Option<&Arc<str>>) -> Self {
        use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

        describe_counter!(name::LOADS, "Loads, by what came of them.");
        describe_histogram!(
            name::LOAD_DURATION,
            Unit::Seconds,
            "How long loads took, validation and preparation included."
        );
        describe_counter!(name::PUBLICATIONS, "Publications, by reason.");
        describe_histogram!(
            name::APPLY,
            Unit::Seconds,
            "How long it took from the first hint of a change to its publication."
        );
        describe_histogram!(
            name::EDIT_TO_VISIBLE,
            Unit::Seconds,
            "How long it took from the edit of the source to its publication, where that is known."
        );
        describe_gauge!(name::GENERATION, "Number of the newest value.");
        describe_gauge!(
            name::LAST_CHANGE,
            Unit::Seconds,
            "When the newest value was published, in seconds since 1970."
        );
        describe_gauge!(name::FAILURES, "Failed loads since the last good one.");
        describe_gauge!(name::ALIVE, "Generations that are held.");
        describe_gauge!(name::READY, "1 while there is a value that may be served.");
        describe_gauge!(name::MECHANISM, "1 for how changes are noticed now, 0 for the others.");
        let source = source.map_or(metrics::SharedString::const_str(""), |source| {
            metrics::SharedString::from_shared(Arc::clone(source))
        });
        Self { source }
    }

    /// Measures a load, whose value, if it has a new one, may be known to have been `edited` then.
    pub(super) fn tally(
        &self,
        origin: Origin,
        begun: Instant,
        edited: impl FnOnce() -> Option<SystemTime>,
    ) -> Tally<'_> {
        // What was there before the service says nothing of how fast that is.
        let edited = if origin.reason == Reason::Initial { None } else { edited() };
        Tally { metrics: self, origin, begun, edited, ended: None }
    }

    /// Takes note of a publication, just now, of what no load has found.
    pub(super) fn published(&self, origin: Origin) {
        self.count_publication(origin, None, Instant::now());
    }

    /// Counts a publication of what was `edited` then, where that is known.
    fn count_publication(&self, origin: Origin, edited: Option<SystemTime>, published: Instant) {
        self.count(name::PUBLICATIONS, ("reason", origin.reason.as_str()));
        self.record(name::APPLY, published.saturating_duration_since(origin.seen));
        let now = SystemTime::now();
        let at = now.checked_sub(published.elapsed()).unwrap_or(now);
        let since_1970 = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        metrics::gauge!(name::LAST_CHANGE, "source" => self.source.clone()).set(since_1970);
        // A clock that was set back says nothing of how fast that was.
        if let Some(age) = edited.and_then(|edited| at.duration_since(edited).ok()) {
            self.record(name::EDIT_TO_VISIBLE, age);
        }
    }

    /// Takes note of how the service is doing.
    #[allow(clippy::cast_precision_loss, reason = "nobody counts that far")]
    pub(super) fn state(&self, status: impl FnOnce() -> Status) {
        use crate::{Health, Mechanism};

        let status = status();
        let gauge = |name: &'static str, value: f64| {
            metrics::gauge!(name, "source" => self.source.clone()).set(value);
        };
        gauge(name::GENERATION, status.generation as f64);
        gauge(name::FAILURES, status.failures.into());
        gauge(name::ALIVE, status.alive as f64);
        gauge(name::READY, f64::from(u8::from(status.is_ready())));
        let is_over = matches!(status.health, Health::Stopped | Health::Ended);
        let in_use = status.mechanism.filter(|_| !is_over);
        let in_use = in_use.as_ref().map(Mechanism::as_str);
        let all = [
            Mechanism::Polling,
            Mechanism::Events,
            Mechanism::EventsAndPolling,
            Mechanism::Degraded("".into()),
        ];
        for one in all.iter().map(Mechanism::as_str) {
            let is_it = f64::from(u8::from(Some(one) == in_use));
            let source = self.source.clone();
            metrics::gauge!(name::MECHANISM, "source" => source, "mechanism" => one).set(is_it);
        }
    }

    fn count(&self, name: &'static str, (label, value): (&'static str, &'static str)) {
        metrics::counter!(name, "source" => self.source.clone(), label => value).increment(1);
    }

    fn record(&self, name: &'static str, time: Duration) {
        metrics::histogram!(name, "source" => self.source.clone()).record(time);
    }
}

/// What is measured of a load, which is counted as this is dropped, if it came to anything.
#[cfg(feature = "metrics")]
pub(super) struct Tally<'a> {
    metrics: &'a Metrics,
    origin: Origin,
    begun: Instant,
    edited: Option<SystemTime>,
    /// What it came to, and when.
    ended: Option<(Outcome, Instant)>,
}

#[cfg(feature = "metrics")]
impl Tally<'_> {
    /// Takes note of what the load has come to.
    pub(super) fn end_in(&mut self, outcome: Outcome, now: Instant) {
        self.ended = Some((outcome, now));
    }
}

#[cfg(feature = "metrics")]
impl Drop for Tally<'_> {
    fn drop(&mut self) {
        let Some((outcome, at)) = self.ended.take() else { return };
        let words = match outcome {
            Outcome::Published => "published",
            Outcome::Unchanged => "unchanged",
            Outcome::Failed => "failed",
            Outcome::Refused => "refused",
        };
        self.metrics.count(name::LOADS, ("outcome", words));
        self.metrics.record(name::LOAD_DURATION, at.saturating_duration_since(self.begun));
        if outcome == Outcome::Published {
            self.metrics.count_publication(self.origin, self.edited, at);
        }
    }
}

#[cfg(not(feature = "metrics"))]
#[allow(clippy::unused_self, reason = "the same calls with and without")]
impl Metrics {
    pub(super) fn of(_source: Option<&Arc<str>>) -> Self {
        Self {}
    }

    pub(super) fn tally(
        &self,
        _origin: Origin,
        _begun: Instant,
        _edited: impl FnOnce() -> Option<SystemTime>,
    ) -> Tally<'_> {
        Tally(PhantomData)
    }

    pub(super) fn published(&self, _origin: Origin) {}

    pub(super) fn state(&self, _status: impl FnOnce() -> Status) {}
}

#[cfg(not(feature = "metrics"))]
pub(super) struct Tally<'a>(PhantomData<&'a Metrics>);

#[cfg(not(feature = "metrics"))]
#[allow(clippy::unused_self, reason = "the same calls with and without")]
impl Tally<'_> {
    pub(super) fn end_in(&mut self, _outcome: Outcome, _now: Instant) {}
}

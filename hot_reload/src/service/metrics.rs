//! What a service counts and measures, through the [`metrics`] facade; nothing without the feature.

use std::time::Duration;

use crate::status::Status;

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
impl Metrics {
    pub(super) fn of(source: Option<&str>) -> Self {
        metrics::describe_counter!("hot_reload_loads_total", "Loads, by what came of them.");
        metrics::describe_histogram!(
            "hot_reload_load_duration_seconds",
            metrics::Unit::Seconds,
            "How long loads took, validation and preparation included."
        );
        metrics::describe_histogram!(
            "hot_reload_apply_seconds",
            metrics::Unit::Seconds,
            "How long it took from the first hint of a change to its publication."
        );
        metrics::describe_counter!("hot_reload_publications_total", "Publications, by reason.");
        metrics::describe_gauge!("hot_reload_generation", "Number of the newest value.");
        metrics::describe_gauge!(
            "hot_reload_last_change_timestamp_seconds",
            metrics::Unit::Seconds,
            "When the newest value was published, in seconds since 1970."
        );
        metrics::describe_gauge!("hot_reload_failures", "Failed loads since the last good one.");
        metrics::describe_gauge!("hot_reload_alive_generations", "Generations that are held.");
        metrics::describe_gauge!(
            "hot_reload_ready",
            "1 while there is a value that may be served."
        );
        metrics::describe_gauge!("hot_reload_events", "1 while events tell of changes.");
        Self { source: source.unwrap_or_default().to_owned().into() }
    }

    /// Takes note of a load that is over.
    pub(super) fn loaded(&self, outcome: Outcome, took: Duration) {
        let outcome = match outcome {
            Outcome::Published => "published",
            Outcome::Unchanged => "unchanged",
            Outcome::Failed => "failed",
            Outcome::Refused => "refused",
        };
        let source = || self.source.clone();
        metrics::counter!("hot_reload_loads_total", "source" => source(), "outcome" => outcome)
            .increment(1);
        metrics::histogram!("hot_reload_load_duration_seconds", "source" => source()).record(took);
    }

    /// Takes note of a publication.
    pub(super) fn published(&self, reason: &'static str, latency: Duration) {
        let source = || self.source.clone();
        metrics::counter!("hot_reload_publications_total", "source" => source(), "reason" => reason)
            .increment(1);
        metrics::histogram!("hot_reload_apply_seconds", "source" => source()).record(latency);
        let now = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
        metrics::gauge!("hot_reload_last_change_timestamp_seconds", "source" => source())
            .set(now.as_secs_f64());
    }

    /// Takes note of how the service is doing.
    #[allow(clippy::cast_precision_loss, reason = "nobody counts that far")]
    pub(super) fn state(&self, status: impl FnOnce() -> Status) {
        use crate::Mechanism;

        let status = status();
        let gauge = |name: &'static str, value: f64| {
            metrics::gauge!(name, "source" => self.source.clone()).set(value);
        };
        gauge("hot_reload_generation", status.generation as f64);
        gauge("hot_reload_failures", status.failures.into());
        gauge("hot_reload_alive_generations", status.alive as f64);
        gauge("hot_reload_ready", f64::from(u8::from(status.is_ready())));
        let has_events =
            matches!(status.mechanism, Some(Mechanism::Events | Mechanism::EventsAndPolling));
        gauge("hot_reload_events", f64::from(u8::from(has_events)));
    }
}

#[cfg(not(feature = "metrics"))]
#[allow(clippy::unused_self, reason = "the same calls with and without")]
impl Metrics {
    pub(super) fn of(_source: Option<&str>) -> Self {
        Self {}
    }

    pub(super) fn loaded(&self, _outcome: Outcome, _took: Duration) {}

    pub(super) fn published(&self, _reason: &'static str, _latency: Duration) {}

    pub(super) fn state(&self, _status: impl FnOnce() -> Status) {}
}

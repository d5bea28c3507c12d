//! What a server counts and measures, and the text that Prometheus reads.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::http::StatusCode;
use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram,
    gauge, histogram, set_global_recorder,
};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::time::{MissedTickBehavior, interval};

/// Until then every measurement takes its own few bytes.
const UPKEEP: Duration = Duration::from_secs(5);

/// Upper bounds in seconds, from what is answered from memory to the default request timeout.
const BUCKETS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];

/// The kinds of status codes (<https://www.rfc-editor.org/rfc/rfc9110#section-15>).
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

mod name {
    pub(super) const REQUESTS: &str = "server_lib_requests_total";
    pub(super) const DURATION: &str = "server_lib_request_duration_seconds";
    pub(super) const CONNECTIONS: &str = "server_lib_connections";
    pub(super) const ACCEPTED: &str = "server_lib_connections_total";
    pub(super) const GENERATION: &str = "server_lib_generation";
    pub(super) const REFUSALS: &str = "server_lib_refusals_total";
}

/// What a server counts and measures; looked up once, so that a request costs a few additions.
pub(crate) struct Metrics {
    requests: [Counter; CLASSES.len()],
    duration: Histogram,
    connections: Gauge,
    accepted: Counter,
    generation: Gauge,
    refusals: Counter,
}

impl Metrics {
    /// Those of the recorder that is installed by now.
    pub(crate) fn of_the_recorder() -> Self {
        describe_counter!(name::REQUESTS, "Requests answered, by the class of their status code.");
        describe_histogram!(
            name::DURATION,
            Unit::Seconds,
            "How long it took from the head of a request to the head of its answer."
        );
        describe_gauge!(name::CONNECTIONS, "Connections that are open.");
        describe_counter!(name::ACCEPTED, "Connections accepted.");
        describe_gauge!(name::GENERATION, "Generation of the configuration in use.");
        describe_counter!(name::REFUSALS, "Configurations refused as a whole.");
        Self {
            requests: CLASSES.map(|class| counter!(name::REQUESTS, "code" => class)),
            duration: histogram!(name::DURATION),
            connections: gauge!(name::CONNECTIONS),
            accepted: counter!(name::ACCEPTED),
            generation: gauge!(name::GENERATION),
            refusals: counter!(name::REFUSALS),
        }
    }

    /// Those that go nowhere.
    pub(crate) fn none() -> Self {
        Self {
            requests: CLASSES.map(|_class| Counter::noop()),
            duration: Histogram::noop(),
            connections: Gauge::noop(),
            accepted: Counter::noop(),
            generation: Gauge::noop(),
            refusals: Counter::noop(),
        }
    }

    /// Takes note of a request that is answered.
    pub(crate) fn answered(&self, code: StatusCode, took: Duration) {
        let class = usize::from(code.as_u16() / 100);
        if let Some(requests) = class.checked_sub(1).and_then(|class| self.requests.get(class)) {
            requests.increment(1);
        }
        self.duration.record(took);
    }

    /// Counts a connection, as open for as long as what is returned lives.
    pub(crate) fn connected(self: &Arc<Self>) -> Connected {
        self.accepted.increment(1);
        self.connections.increment(1);
        Connected(Arc::clone(self))
    }

    /// Takes note of a configuration that is in use.
    #[allow(clippy::cast_precision_loss, reason = "nobody counts that far")]
    pub(crate) fn applied(&self, generation: u64) {
        self.generation.set(generation as f64);
    }

    /// Takes note of a configuration that is refused.
    pub(crate) fn refused(&self) {
        self.refusals.increment(1);
    }
}

/// A connection that is open.
pub(crate) struct Connected(Arc<Metrics>);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.connections.decrement(1);
    }
}

/// What makes the text that Prometheus reads, of everything that the process records.
#[derive(Clone)]
pub(crate) struct Exporter(PrometheusHandle);

/// The one of this process, if it has one: a recorder is for the whole of it.
static EXPORTER: OnceLock<Option<Exporter>> = OnceLock::new();

impl Exporter {
    /// Installs the recorder, once; an application's own, that is there already, stays.
    pub(crate) fn installed() -> Option<Self> {
        EXPORTER.get_or_init(Self::install).clone()
    }

    /// Returns the text in the format that [`CONTENT_TYPE`](Self::CONTENT_TYPE) names.
    pub(crate) fn render(&self) -> String {
        self.0.render()
    }

    /// Keeps what is measured small, for as long as it is polled.
    pub(crate) async fn keep_up(&self) {
        let mut again = interval(UPKEEP);
        again.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            again.tick().await;
            self.0.run_upkeep();
        }
    }

    /// Of the text: <https://prometheus.io/docs/instrumenting/exposition_formats/>.
    pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4";

    fn install() -> Option<Self> {
        let seconds = Matcher::Suffix("_seconds".to_owned());
        let builder = PrometheusBuilder::new().set_buckets_for_metric(seconds, &BUCKETS);
        let recorder = builder.expect("there are buckets").build_recorder();
        let exporter = Self(recorder.handle());
        set_global_recorder(recorder).is_ok().then_some(exporter)
    }
}

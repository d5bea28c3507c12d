//! What a server counts and measures, by way of the [`metrics`] facade.

mod exporter;

use std::{sync::Arc, time::Duration};

use axum::http::StatusCode;
use metrics::{
    Counter, Gauge, Histogram, NoopRecorder, Unit, counter, describe_counter, describe_gauge,
    describe_histogram, gauge, histogram, with_local_recorder,
};

pub(crate) use self::exporter::Exporter;

/// The kinds of status codes (<https://www.rfc-editor.org/rfc/rfc9110#section-15>).
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

pub(crate) mod name {
    pub(crate) const CERTIFICATE_EXPIRY: &str = "server_lib_certificate_expiry_timestamp_seconds";
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
        describe_gauge!(
            name::CERTIFICATE_EXPIRY,
            "Last second in which a certificate is valid, since 1970, by the path of its file."
        );
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
        with_local_recorder(&NoopRecorder, Self::of_the_recorder)
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

//! The text that Prometheus reads.

use std::{sync::OnceLock, time::Duration};

use metrics::set_global_recorder;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::time::{MissedTickBehavior, interval};

/// Until then every measurement takes its own few bytes.
const UPKEEP: Duration = Duration::from_secs(5);

/// Upper bounds in seconds, from what is answered from memory to the default request timeout.
const BUCKETS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];

/// What makes the text that Prometheus reads, of everything that the process records.
#[derive(Clone)]
pub(crate) struct Exporter(PrometheusHandle);

/// The one of this process, if it has one: a recorder is for the whole of it.
static EXPORTER: OnceLock<Option<Exporter>> = OnceLock::new();

impl Exporter {
    /// Of the text: <https://prometheus.io/docs/instrumenting/exposition_formats/>.
    pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4";

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

    fn install() -> Option<Self> {
        let seconds = Matcher::Suffix("_seconds".to_owned());
        let builder = PrometheusBuilder::new().set_buckets_for_metric(seconds, &BUCKETS);
        let recorder = builder.expect("there are buckets").build_recorder();
        let exporter = Self(recorder.handle());
        set_global_recorder(recorder).is_ok().then_some(exporter)
    }
}

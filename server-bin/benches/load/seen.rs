//! What clients have seen.

use std::{
    fmt::{Debug, Display},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

#[derive(Debug, Default)]
pub struct Seen {
    latencies: Mutex<Vec<Duration>>,
    failures: Mutex<Vec<String>>,
    streams: AtomicUsize,
}

impl Seen {
    /// Returns the latencies of those that were answered since the last call.
    pub fn take(&self) -> Vec<Duration> {
        std::mem::take(&mut self.latencies.lock().expect("no panic"))
    }

    /// What was not answered, and why.
    pub fn failures(&self) -> Vec<String> {
        self.failures.lock().expect("no panic").clone()
    }

    /// How many streams have come to a good end.
    pub fn streams(&self) -> usize {
        // Read once those who count are gone.
        self.streams.load(Ordering::Relaxed)
    }

    pub fn answered(&self, after: Duration) {
        self.latencies.lock().expect("no panic").push(after);
    }

    pub fn failed(&self, who: impl Debug, why: impl Display) {
        self.failures.lock().expect("no panic").push(format!("{who:?}: {why}"));
    }

    pub fn stream_ended(&self) {
        self.streams.fetch_add(1, Ordering::Relaxed);
    }
}

/// The 99th percentile, in seconds.
pub fn p99(mut latencies: Vec<Duration>) -> f64 {
    latencies.sort_unstable();
    let n = latencies.len().saturating_sub(1) * 99 / 100;
    latencies.get(n).map_or(f64::NAN, Duration::as_secs_f64)
}

/// The middle of an odd number of figures.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_unstable_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

//! What is said of a server, as JSON.

use std::{path::PathBuf, time::Duration};

use hot_reload::{Past, Status, WatchStrategy};
use serde::Serialize;

use super::asker::Asker;
use crate::{address::Address, status::ServerStatus, tls::CertificateStatus};

/// What `GET /status` says; durations are in seconds.
#[derive(Serialize)]
#[allow(clippy::struct_excessive_bools, reason = "they are as independent as what they tell of")]
pub(super) struct Report {
    name: String,
    health: &'static str,
    ready: bool,
    /// Whether the server is about to end.
    draining: bool,
    generation: u64,
    pinned: Option<u64>,
    paused: bool,
    restored: bool,
    age: Option<f64>,
    source: Option<String>,
    strategy: Option<&'static str>,
    mechanism: Option<String>,
    failures: u32,
    error: Option<String>,
    error_at: Option<SourcePosition>,
    refused_by: Option<String>,
    unapplied_for: Option<f64>,
    needs_restart: Vec<&'static str>,
    generations_alive: usize,
    addresses: Vec<Address>,
    /// Those of them that are over TLS.
    https_addresses: Vec<Address>,
    /// Of the application, in this moment.
    connections: u64,
    admin_address: Option<Address>,
    certificates: Vec<CertificateReport>,
}

/// One of `certificates` in `GET /status`.
#[derive(Serialize)]
struct CertificateReport {
    names: Vec<String>,
    /// Since 1970.
    not_after: i64,
    days_left: i64,
    expiry: &'static str,
    certificate: PathBuf,
    key: PathBuf,
    error: Option<String>,
}

impl From<&CertificateStatus> for CertificateReport {
    fn from(status: &CertificateStatus) -> Self {
        Self {
            names: status.names.clone(),
            not_after: status.not_after,
            days_left: status.days_left(),
            expiry: status.expiry.as_str(),
            certificate: status.certificate.clone(),
            key: status.key.clone(),
            error: status.error.as_deref().map(str::to_owned),
        }
    }
}

/// What takes more than the statuses to know.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) asker: Asker,
    pub(super) ready: bool,
    pub(super) draining: bool,
    pub(super) connections: u64,
}

#[derive(Serialize)]
struct SourcePosition {
    source: String,
    line: Option<usize>,
    column: Option<usize>,
}

/// One line of `GET /history`.
#[derive(Serialize)]
pub(super) struct Entry {
    generation: u64,
    reason: &'static str,
    age: f64,
    of: Option<u64>,
    bad: bool,
    /// The keys by which it differs from the one before; of the first there are none to tell.
    changed: Option<Vec<&'static str>>,
}

impl Entry {
    pub(super) fn new(past: &Past, changed: Option<Vec<&'static str>>) -> Self {
        Self {
            generation: past.generation,
            reason: past.reason.as_str(),
            age: seconds(past.published_at.elapsed()),
            of: past.of,
            bad: past.is_bad,
            changed,
        }
    }
}

impl Report {
    pub(super) fn new(name: String, status: Status, server: &ServerStatus, moment: Moment) -> Self {
        let error = moment.asker.error(&status);
        Self {
            name,
            health: status.health.as_str(),
            ready: moment.ready,
            draining: moment.draining,
            generation: server.generation,
            pinned: status.pinned,
            paused: status.is_paused,
            restored: status.is_restored,
            age: status.age().map(seconds),
            source: status.source.map(|source| source.to_string()),
            strategy: status.strategy.map(WatchStrategy::as_str),
            mechanism: status.mechanism.map(|mechanism| mechanism.to_string()),
            failures: status.failures,
            error,
            error_at: status.last_error_at.map(|at| SourcePosition {
                source: at.source.to_string(),
                line: at.line,
                column: at.column,
            }),
            refused_by: status.refused_by.map(|by| by.to_string()),
            unapplied_for: status.unapplied_since.map(|since| seconds(since.elapsed())),
            needs_restart: server.needs_restart.clone(),
            generations_alive: status.alive,
            addresses: server.local_addresses.clone(),
            https_addresses: server.https_addresses.clone(),
            connections: moment.connections,
            admin_address: server.admin_address.clone(),
            certificates: server.certificates.iter().map(CertificateReport::from).collect(),
        }
    }
}

/// To a millisecond, as nobody reads more.
fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_to_a_millisecond() {
        for (nanoseconds, want) in [
            (1_079_220_701, "1.079"),
            (999_600_000, "1.0"),
            (0, "0.0"),
            (90_000_000_000_001, "90000.0"),
        ] {
            let told = serde_json::to_string(&seconds(Duration::from_nanos(nanoseconds))).unwrap();
            assert_eq!(told, want);
        }
    }
}

//! What is measured, by way of the [`metrics`] facade.

use metrics::{describe_gauge, gauge};

use crate::config::CertificatePaths;

/// Last second in which a certificate is valid, since 1970; by the path of its file.
const EXPIRY: &str = "server_lib_certificate_expiry_timestamp_seconds";

#[allow(clippy::cast_precision_loss, reason = "exact for as long as there will be certificates")]
pub(super) fn tell_expiry(paths: &CertificatePaths, not_after: i64) {
    describe_gauge!(EXPIRY, "last second in which the certificate is valid, since 1970");
    gauge!(EXPIRY, "certificate" => label(paths)).set(not_after as f64);
}

/// Tells that a certificate is served no more.
///
/// The facade can't take a gauge back, and one that stays would raise an alarm some day; no
/// comparison with NaN holds.
pub(super) fn forget(paths: &CertificatePaths) {
    gauge!(EXPIRY, "certificate" => label(paths)).set(f64::NAN);
}

fn label(paths: &CertificatePaths) -> String {
    paths.certificate.display().to_string()
}

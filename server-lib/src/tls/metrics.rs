//! What is measured of certificates.

use metrics::{Gauge, gauge};

use crate::{config::CertificatePaths, metrics::name::CERTIFICATE_EXPIRY};

#[allow(clippy::cast_precision_loss, reason = "exact for as long as there will be certificates")]
pub(super) fn tell_expiry(paths: &CertificatePaths, not_after: i64) {
    expiry(paths).set(not_after as f64);
}

/// Tells that a certificate is served no more.
///
/// The facade can't take a gauge back, and one that stays would raise an alarm some day; no
/// comparison with NaN holds.
pub(super) fn forget(paths: &CertificatePaths) {
    expiry(paths).set(f64::NAN);
}

fn expiry(paths: &CertificatePaths) -> Gauge {
    gauge!(CERTIFICATE_EXPIRY, "certificate" => paths.certificate.display().to_string())
}

//! Which certificates are served.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{number, table};

/// Those who renew certificates do so a month before their end: this is when they have failed for a
/// while, and there is time left to find out why.
const EXPIRY_WARNING_DAYS: u32 = 21;

/// What is served over TLS.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct TlsConfig {
    /// Certificates to choose from, each for the names that it has; clients that ask for none of
    /// them, or for no name, get the first. None by default.
    #[serde(deserialize_with = "table::list")]
    pub certificates: Vec<CertificatePaths>,
    /// How long before its end a certificate is warned of, in days; 21 by default.
    #[serde(deserialize_with = "number::number")]
    pub expiry_warning_days: u32,
}

/// Where a certificate and its key are: two files, or one that has both.
///
/// Their content is live: it is followed, and taken as soon as both belong together. A relative path
/// is meant from the working directory.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CertificatePaths {
    /// The certificate and those that lead from it to a root, in this order; PEM.
    pub certificate: PathBuf,
    /// Its private key; PEM, not encrypted.
    pub key: PathBuf,
}

impl Default for TlsConfig {
    fn default() -> Self {
        Self { certificates: Vec::new(), expiry_warning_days: EXPIRY_WARNING_DAYS }
    }
}

/// Checks that there is a certificate if one `is_needed`.
pub(super) fn suffice(tls: &TlsConfig, is_needed: bool) -> Result<(), String> {
    if is_needed && tls.certificates.is_empty() {
        return Err(
            "an address over TLS needs a certificate: list one in [[tls.certificates]]".to_owned()
        );
    }
    Ok(())
}

/// Checks what can be checked without the files.
pub(super) fn check(tls: &TlsConfig) -> Result<(), String> {
    for (n, pair) in tls.certificates.iter().enumerate() {
        let name = pair.certificate.display();
        if pair.certificate.as_os_str().is_empty() || pair.key.as_os_str().is_empty() {
            return Err(format!("number {}: an empty path leads nowhere", n + 1));
        }
        if tls.certificates[..n].contains(pair) {
            return Err(format!("{name} is listed twice"));
        }
    }
    Ok(())
}

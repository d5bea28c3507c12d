//! What a server can say of itself.

use std::sync::Arc;

use crate::{address::Address, tls::CertificateStatus};

/// What a server is doing; from [`ServerContext::status`](crate::ServerContext::status).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerStatus {
    /// Generation of the configuration that is in use: 0 before the first.
    pub generation: u64,
    /// Addresses that are listened on, in the order of the configuration and with the ports that
    /// were found for port 0; empty before the first and after the last.
    pub local_addresses: Vec<Address>,
    /// Those of them that are listened on over TLS.
    pub https_addresses: Vec<Address>,
    /// Where whoever looks after the server is listened to, if anywhere.
    pub admin_address: Option<Address>,
    /// Certificates that are served, in the order of the configuration.
    pub certificates: Vec<CertificateStatus>,
    /// Parts of the configuration in use that the process had otherwise at its start, and that it
    /// takes only then, by their names in a file.
    pub needs_restart: Vec<&'static str>,
    /// The newest configuration, where it can't be used.
    pub refusal: Option<Refusal>,
}

/// A configuration that was refused as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// Generation of the configuration that is not in use.
    pub generation: u64,
    /// Which part can't work, and why.
    pub reason: Arc<str>,
}

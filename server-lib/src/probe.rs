//! Whether a configuration would work here and now.

use crate::{
    config::ServerConfig,
    error::BindError,
    socket,
    tls::{self, CertificateError, CertificateStatus},
};

/// Tries to bind each address of `config`, keeps none, and returns those that can't be.
///
/// It may block. For a moment each address is bound, so that nobody else can have it, and who connects
/// then is not answered. A socket of the file system that nobody listens on is removed, as a server
/// would do.
///
/// An address that [is in use](BindError::is_in_use) may well be in use by a server that is going
/// to be given this very configuration; any other failure is one for that server too.
pub fn probe(config: &ServerConfig) -> Vec<BindError> {
    // All at once, since one may be in the way of another.
    let probes: Vec<_> = config.endpoints().iter().map(socket::probe).collect();
    probes.into_iter().filter_map(Result::err).collect()
}

/// Tries to load each certificate of `config`, and returns how it is or why it can't be served.
///
/// It may block, on one whose key doesn't match for about a second, since it may be about to be
/// replaced.
pub fn probe_certificates(
    config: &ServerConfig,
) -> Vec<Result<CertificateStatus, CertificateError>> {
    tls::probe(&config.tls)
}

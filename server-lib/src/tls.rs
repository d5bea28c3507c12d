//! TLS: certificates and keys from files, which are followed while they are served.
//!
//! A pair of files is served only while its key belongs to its certificate; whatever else the files
//! hold, the last good pair goes on.

mod doubt;
mod error;
mod expiry;
mod follow;
mod handshake;
mod material;
mod metrics;
mod pair;
mod pem;
mod resolve;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use rustls::{ServerConfig, crypto::ring};
use tokio::{runtime::Handle, sync::watch};
use tokio_util::task::AbortOnDropHandle;

pub use self::{error::CertificateError, expiry::Expiry, pair::CertificateStatus};
use self::{follow::Follower, pair::Pair, resolve::Resolver};
pub(crate) use self::{handshake::handshake, resolve::Certificates};
use crate::{
    config::{CertificatePaths, TlsConfig},
    live::Live,
    lock::lock,
    status::ServerStatus,
};

/// In the order in which they are preferred, as RFC 7301 has them on the wire.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// What every handshake of a server goes by, and what keeps its certificates new.
pub(crate) struct Tls {
    /// Finds the certificates of the configuration in use, at each handshake.
    pub(crate) config: Arc<ServerConfig>,
    live: Arc<Live>,
    status: watch::Sender<ServerStatus>,
    followers: Mutex<HashMap<CertificatePaths, AbortOnDropHandle<()>>>,
}

impl Tls {
    pub(crate) fn new(live: &Arc<Live>, status: &watch::Sender<ServerStatus>) -> Self {
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring has what TLS 1.2 and 1.3 need")
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Resolver(Arc::clone(live))));
        config.alpn_protocols = ALPN.map(<[u8]>::to_vec).to_vec();
        Self {
            config: Arc::new(config),
            live: Arc::clone(live),
            status: status.clone(),
            followers: Mutex::default(),
        }
    }

    /// Finds the pairs of `config`: those that are served already, and the others from their files.
    ///
    /// # Errors
    ///
    /// When one of the others can't be served.
    pub(crate) async fn load(&self, config: &TlsConfig) -> Result<Certificates, CertificateError> {
        let mut pairs = Vec::with_capacity(config.certificates.len());
        for paths in &config.certificates {
            let served = self.live.load().certificates.find(paths);
            pairs.push(match served {
                Some(pair) => pair,
                None => Arc::new(Pair::load_unblocked(paths.clone()).await?),
            });
        }
        Ok(Certificates(pairs))
    }

    /// Follows the pairs of the configuration in use, and no others; on `runtime`.
    pub(crate) fn follow(&self, runtime: &Handle) {
        let applied = self.live.load();
        let mut followers = lock(&self.followers);
        followers.retain(|paths, _| {
            let is_listed = applied.certificates.find(paths).is_some();
            if !is_listed {
                metrics::forget(paths);
            }
            is_listed
        });
        for pair in &applied.certificates.0 {
            // It may be about to be warned of earlier than before.
            pair.look.notify_one();
            followers.entry(pair.paths.clone()).or_insert_with(|| {
                let follower = Follower {
                    pair: Arc::clone(pair),
                    live: Arc::downgrade(&self.live),
                    status: self.status.clone(),
                };
                AbortOnDropHandle::new(runtime.spawn(follower.follow()))
            });
        }
    }
}

/// Tries to load each pair of `config`; may block.
pub(crate) fn probe(config: &TlsConfig) -> Vec<Result<CertificateStatus, CertificateError>> {
    let pairs = config.certificates.iter().map(|paths| Pair::load(paths.clone()));
    pairs.map(|pair| Ok(pair?.status(config.expiry_warning_days))).collect()
}

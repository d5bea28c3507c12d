//! The configuration that is in use.

use arc_swap::ArcSwap;
use axum::http::HeaderMap;

use crate::{
    config::{InvalidConfig, ServerConfig},
    tls::Certificates,
};

/// A configuration in use, which every request takes one snapshot of.
pub(crate) type Live = ArcSwap<Applied>;

/// One configuration that works, made ready for requests.
#[derive(Debug, Default)]
pub(crate) struct Applied {
    pub(crate) config: ServerConfig,
    pub(crate) headers: HeaderMap,
    pub(crate) certificates: Certificates,
    /// 0 before the first.
    pub(crate) generation: u64,
}

impl Applied {
    /// The certificates are to be found for it.
    pub(crate) fn new(config: ServerConfig, generation: u64) -> Result<Self, InvalidConfig> {
        config.validate()?;
        let headers = config.headers()?;
        Ok(Self { config, headers, certificates: Certificates::default(), generation })
    }
}

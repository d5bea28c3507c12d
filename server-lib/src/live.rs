//! The configuration that is in use.

use arc_swap::ArcSwap;
use axum::http::HeaderMap;

use crate::config::{InvalidConfig, ServerConfig};

/// A configuration in use, which every request takes one snapshot of.
///
/// The receiver holds the newest value; this is the newest that works.
pub(crate) type Live = ArcSwap<Applied>;

/// One configuration that works, made ready for requests.
pub(crate) struct Applied {
    pub(crate) config: ServerConfig,
    pub(crate) headers: HeaderMap,
    pub(crate) generation: u64,
}

impl Applied {
    pub(crate) fn new(config: ServerConfig, generation: u64) -> Result<Self, InvalidConfig> {
        config.validate()?;
        let headers = config.headers()?;
        Ok(Self { config, headers, generation })
    }
}

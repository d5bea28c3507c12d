//! The configuration that is in use.

use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::http::HeaderMap;

use crate::{
    config::{InvalidConfig, ServerConfig},
    limits::Rate,
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
    /// Goes on counting from configuration to configuration, for as long as the limit is the same.
    pub(crate) rate: Option<Arc<Rate>>,
    /// 0 before the first.
    pub(crate) generation: u64,
}

impl Applied {
    /// Makes `config` ready to come after `before`; the certificates are to be found for it.
    pub(crate) fn new(
        config: ServerConfig,
        generation: u64,
        before: &Self,
    ) -> Result<Self, InvalidConfig> {
        config.validate()?;
        let headers = config.headers()?;
        let rate = config.limits.rate.as_ref().map(|limit| {
            let kept = before.rate.as_ref().filter(|rate| rate.limit() == limit);
            kept.cloned().unwrap_or_else(|| Arc::new(Rate::new(limit.clone())))
        });
        Ok(Self { config, headers, certificates: Certificates::default(), rate, generation })
    }
}

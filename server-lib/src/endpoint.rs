//! Where a server is to listen, and what for.

use crate::{address::Address, role::Role};

/// An address to listen on and what it is for; from [`ServerConfig::endpoints`].
///
/// [`ServerConfig::endpoints`]: crate::ServerConfig::endpoints
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// What it is for.
    pub role: Role,
    /// Where it is, as it is configured.
    pub address: Address,
}

//! Why a server can't run.

use std::{error::Error, io, net::SocketAddr};

use crate::config::InvalidConfig;

/// Why a server didn't start, or had to end.
///
/// A running server turns no configuration into its end: it refuses one that can't work, says so
/// in its [status](crate::ServerStatus) and goes on with the last good one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The first configuration can't work, whatever the system says.
    #[error("the first configuration can't work")]
    Invalid(#[from] InvalidConfig),
    /// An address of the first configuration can't be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The reloader service can't run as it was made.
    #[error("the configuration can't be followed")]
    Reloader(#[source] Box<dyn Error + Send + Sync>),
    /// The reloader service ended before it had published anything.
    #[error("the reloader service ended before it had a configuration")]
    NoConfig,
}

/// Why an address can't be listened on.
#[derive(Debug, thiserror::Error)]
#[error("{address} can't be bound")]
pub struct BindError {
    address: SocketAddr,
    #[source]
    cause: io::Error,
}

/// A [`ServerContextBuilder`](crate::ServerContextBuilder) that lacks the receiver.
#[derive(Debug, thiserror::Error)]
#[error("a server context needs a receiver: call context_rx()")]
pub struct IncompleteContext;

impl BindError {
    pub(crate) fn new(address: SocketAddr, cause: io::Error) -> Self {
        Self { address, cause }
    }

    /// Returns the address that is meant.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether someone else listens there, which may pass.
    pub fn is_in_use(&self) -> bool {
        self.cause.kind() == io::ErrorKind::AddrInUse
    }
}

/// Returns an error and all its causes on one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut told = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        told = format!("{told}: {cause}");
        next = cause.source();
    }
    told
}

//! Why a server can't run.

use std::{error::Error, io};

use crate::{address::Address, config::InvalidConfig, tls::CertificateError};

/// Why a server didn't start, or had to end.
///
/// A running server turns no configuration into its end: it refuses one that can't work, says so
/// in its [status](crate::ServerStatus) and goes on with the last good one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The first configuration can't work, whatever the system says.
    #[error(transparent)]
    Invalid(#[from] InvalidConfig),
    /// An address of the first configuration can't be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A certificate of the first configuration can't be served.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// A socket that the process was started with can't be listened on.
    #[error("an inherited socket can't be listened on")]
    Inherited(#[source] io::Error),
    /// The signals of a daemon can't be listened to.
    #[error("signals can't be listened to")]
    Signals(#[source] io::Error),
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
    address: Address,
    #[source]
    cause: io::Error,
}

/// A [`ServerContextBuilder`](crate::ServerContextBuilder) that lacks the receiver.
#[derive(Debug, thiserror::Error)]
#[error("a server context needs a receiver: call context_rx()")]
#[non_exhaustive]
pub struct IncompleteContext;

impl BindError {
    pub(crate) fn new(address: Address, cause: io::Error) -> Self {
        Self { address, cause }
    }

    /// Returns the address that is meant.
    pub fn address(&self) -> &Address {
        &self.address
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

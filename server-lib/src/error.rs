//! Why a server can't run.

use std::{error::Error, io};

use rustix::io::Errno;

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
#[error("{address} can't be bound{}", next_step(address, cause))]
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

/// What to do next, where that can be told from the cause: bind(2), ip(7), unix(7).
fn next_step(address: &Address, cause: &io::Error) -> &'static str {
    if is_without_descriptors(cause) {
        return RAISE_DESCRIPTORS;
    }
    match (cause.kind(), address) {
        (io::ErrorKind::AddrInUse, Address::Tcp(_)) => {
            ": end whoever listens there, or list another port"
        }
        (io::ErrorKind::AddrInUse, Address::Unix(_)) => {
            ": end whoever listens there, or list another path"
        }
        (io::ErrorKind::AlreadyExists, Address::Unix(_)) => {
            ": what is there is no socket: remove it, or name another path"
        }
        (io::ErrorKind::AddrNotAvailable, _) => ": list an address that this machine has",
        (io::ErrorKind::PermissionDenied, Address::Tcp(_)) => {
            ": list a higher port, or grant CAP_NET_BIND_SERVICE"
        }
        (io::ErrorKind::PermissionDenied, Address::Unix(_)) => {
            ": let this user write to the directory"
        }
        (io::ErrorKind::NotFound, Address::Unix(_)) => ": make its directory first",
        _ => "",
    }
}

/// What to do next where a process has no descriptors left.
pub(crate) const RAISE_DESCRIPTORS: &str = ": raise RLIMIT_NOFILE (LimitNOFILE= of systemd)";

/// Whether the process has as many descriptors as it may have: errno(3).
pub(crate) fn is_without_descriptors(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::MFILE.raw_os_error())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_to_do_next_where_that_can_be_told() {
        use io::ErrorKind::{
            AddrInUse, AddrNotAvailable, AlreadyExists, InvalidInput, NotFound, PermissionDenied,
        };
        for (address, cause, next) in [
            ("127.0.0.1:80", AddrInUse, ": end whoever listens there, or list another port"),
            (
                "127.0.0.1:80",
                PermissionDenied,
                ": list a higher port, or grant CAP_NET_BIND_SERVICE",
            ),
            ("192.0.2.1:80", AddrNotAvailable, ": list an address that this machine has"),
            ("unix:/a/b", AddrInUse, ": end whoever listens there, or list another path"),
            (
                "unix:/a/b",
                AlreadyExists,
                ": what is there is no socket: remove it, or name another path",
            ),
            ("unix:/a/b", PermissionDenied, ": let this user write to the directory"),
            ("unix:/a/b", NotFound, ": make its directory first"),
            ("unix:/a/b", InvalidInput, ""),
        ] {
            let failure = BindError::new(address.parse().unwrap(), cause.into());
            assert_eq!(failure.to_string(), format!("{address} can't be bound{next}"));
        }
        let cause = io::Error::from(Errno::MFILE);
        let failure = BindError::new("127.0.0.1:80".parse().unwrap(), cause);
        let want = "127.0.0.1:80 can't be bound: raise RLIMIT_NOFILE (LimitNOFILE= of systemd)";
        assert_eq!(failure.to_string(), want);
    }
}

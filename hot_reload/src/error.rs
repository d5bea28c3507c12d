//! The error of everything that can fail here.

use std::fmt::{self, Debug, Display};

use tokio::sync::watch::error::{RecvError, SendError};

/// A result whose error is a [`ReloaderError`].
pub type ReloadResult<T, V, S = &'static str> = Result<T, ReloaderError<V, S>>;

/// What can go wrong while a value is loaded, published or awaited.
///
/// A running service turns none of these into its own end: it keeps the last good value, says so
/// in its [status](crate::ReloaderReceiver::status) and tries again.
#[derive(thiserror::Error)]
pub enum ReloaderError<V, S = &'static str> {
    /// The service is gone, so no further change can arrive.
    #[error("the reloader service has ended")]
    WatchRecvError(#[from] RecvError),
    /// The last receiver is gone, so nobody can see the value.
    #[error("every receiver of the reloader service is gone")]
    WatchSendError(#[from] SendError<Option<V>>),
    /// A reloader says, in its own words, why it has no value.
    #[error("{0}")]
    Reload(S),
    /// Anything else; what keeps a file source from a value is a `FileError` in here, see
    /// `ReloaderError::file_error` of the feature `file-reloader`.
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

impl<V, S: Display> ReloaderError<V, S> {
    /// Returns what it says, with every cause.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Other(error) => format!("{error:#}"),
            Self::Reload(reason) => reason.to_string(),
            Self::WatchRecvError(error) => error.to_string(),
            Self::WatchSendError(error) => error.to_string(),
        }
    }
}

impl<V, S: Display> Debug for ReloaderError<V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WatchRecvError(error) => f.debug_tuple("WatchRecvError").field(error).finish(),
            Self::WatchSendError(error) => f.debug_tuple("WatchSendError").field(error).finish(),
            Self::Reload(reason) => {
                f.debug_tuple("Reload").field(&format_args!("{reason}")).finish()
            }
            Self::Other(error) => f.debug_tuple("Other").field(error).finish(),
        }
    }
}

#[cfg(feature = "file-reloader")]
impl<V, S> ReloaderError<V, S> {
    /// Returns what a file source has to say: which file, which line and column, and why.
    ///
    /// `None` where the failure is not one of a file source, and where a hand-written loader
    /// refused the file: what it said is a [`Reload`](Self::Reload).
    pub fn file_error(&self) -> Option<&crate::file_reloader::FileError> {
        match self {
            Self::Other(error) => error.downcast_ref(),
            _ => None,
        }
    }
}

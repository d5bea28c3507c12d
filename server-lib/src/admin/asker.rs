//! Who may be asking.

use hot_reload::{Status, Triggered};

use crate::address::Address;

/// Who may be asking, by where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asker {
    /// Whom the file of a socket lets in: its owner, or whom its mode was chosen for.
    Owner,
    /// Any user of this machine, as a loopback address asks nobody for leave: the configuration may be
    /// for its owner alone, and an error quotes it.
    Anyone,
}

impl Asker {
    pub(crate) fn at(address: &Address) -> Self {
        match address {
            Address::Unix(_) => Self::Owner,
            Address::Tcp(_) => Self::Anyone,
        }
    }

    /// What is wrong with the source, as far as it is this one's business.
    pub(super) fn error(self, status: &Status) -> Option<String> {
        let error = match self {
            Self::Owner => &status.last_error,
            Self::Anyone => &status.last_error_masked,
        };
        error.as_deref().map(str::to_owned)
    }

    /// The same of what came of an order.
    pub(super) fn outcome(self, outcome: Triggered) -> Triggered {
        match self {
            Self::Owner => outcome,
            Self::Anyone => outcome.without_content(),
        }
    }
}

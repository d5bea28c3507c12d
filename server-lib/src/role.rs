//! What an address is for.

use std::fmt;

/// What an address is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Role {
    /// The application, in clear text.
    Http,
    /// The application, over TLS.
    Https,
    /// Who looks after the server.
    Admin,
}

impl Role {
    /// Returns the key of a configuration that names addresses for it.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Http => "listen_addresses",
            Self::Https => "https_addresses",
            Self::Admin => "admin_address",
        }
    }

    /// Returns it in one word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

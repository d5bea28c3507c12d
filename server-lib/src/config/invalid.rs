//! Why a configuration can't work.

/// Why a configuration can't work, whatever the system says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct InvalidConfig {
    key: &'static str,
    problem: String,
}

impl InvalidConfig {
    pub(super) fn new(key: &'static str, problem: String) -> Self {
        Self { key, problem }
    }

    /// Of a socket over TLS that the process was started with.
    pub(crate) fn no_certificate() -> Self {
        let problem = "a socket over TLS, which was inherited, needs a certificate".to_owned();
        Self::new("tls.certificates", problem)
    }

    /// Returns the key that is meant, by its path in a file.
    pub fn key(&self) -> &'static str {
        self.key
    }

    /// Returns what is wrong with it.
    pub fn problem(&self) -> &str {
        &self.problem
    }
}

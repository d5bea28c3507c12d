//! Why a configuration can't work.

/// Why a configuration can't work, whatever the system says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", told(key, problem))]
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

/// What is wrong with a key; some say themselves of which one it is.
fn told(key: &str, problem: &str) -> String {
    let says_key = problem.strip_prefix(key).is_some_and(|rest| rest.starts_with(' '));
    if says_key { problem.to_owned() } else { format!("{key}: {problem}") }
}

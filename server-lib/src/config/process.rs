//! What a process takes once, at its start.

use std::num::NonZeroUsize;

use super::ServerConfig;
use serde::{Deserialize, Deserializer, de::Error};

/// More than any machine has cores; a number that is meant for something else starts no threads.
const MOST_THREADS: usize = 1024;

impl ServerConfig {
    /// The parts that are not hot, by their names in a file: a process takes them once, at its start.
    pub const NOT_HOT: &'static [&'static str] = &["worker_threads"];

    /// Returns the parts in which `other` differs and that are [not hot](Self::NOT_HOT).
    ///
    /// # Examples
    ///
    /// ```
    /// use server_lib::ServerConfig;
    ///
    /// let one = ServerConfig::default();
    /// let two = ServerConfig { id: 2, worker_threads: 4.try_into().ok(), ..one.clone() };
    /// assert_eq!(one.changed_parts(&two), ["id", "worker_threads"]);
    /// assert_eq!(one.restart_parts(&two), ["worker_threads"]);
    /// ```
    pub fn restart_parts(&self, other: &Self) -> Vec<&'static str> {
        let mut changed = self.changed_parts(other);
        changed.retain(|part| Self::NOT_HOT.contains(part));
        changed
    }
}

pub(super) fn check_threads(threads: Option<NonZeroUsize>) -> Result<(), String> {
    if threads.is_none_or(|threads| threads.get() <= MOST_THREADS) {
        return Ok(());
    }
    Err(format!("there are at most {MOST_THREADS} threads"))
}

pub(super) fn threads<'de, D>(deserializer: D) -> Result<Option<NonZeroUsize>, D::Error>
where
    D: Deserializer<'de>,
{
    let threads = Some(NonZeroUsize::deserialize(deserializer)?);
    check_threads(threads).map_err(D::Error::custom)?;
    Ok(threads)
}

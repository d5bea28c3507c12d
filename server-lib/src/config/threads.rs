//! How many threads may serve.

use std::num::NonZeroUsize;

use serde::{Deserializer, de::Error};

use super::number;

/// More than any machine has cores; a number that is meant for something else starts no threads.
const MOST_THREADS: usize = 1024;

pub(super) fn check(threads: Option<NonZeroUsize>) -> Result<(), String> {
    if threads.is_none_or(|threads| threads.get() <= MOST_THREADS) {
        return Ok(());
    }
    Err(format!("there are at most {MOST_THREADS} threads"))
}

pub(super) fn threads<'de, D>(deserializer: D) -> Result<Option<NonZeroUsize>, D::Error>
where
    D: Deserializer<'de>,
{
    let threads = number::optional(deserializer)?;
    check(threads).map_err(D::Error::custom)?;
    Ok(threads)
}

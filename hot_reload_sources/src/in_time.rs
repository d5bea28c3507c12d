//! Work that has a deadline.

use std::time::Duration;

use tokio::time::timeout;

use crate::error::StoreError;

/// Gives `work` up at its deadline.
pub(crate) async fn in_time<T>(
    work: impl Future<Output = Result<T, StoreError>>,
    deadline: Duration,
) -> Result<T, StoreError> {
    timeout(deadline, work).await.unwrap_or_else(|_| Err(no_answer(deadline)))
}

/// What is said of work that was given up.
pub(crate) fn no_answer(deadline: Duration) -> StoreError {
    StoreError::unreachable(format!(
        "no answer within {deadline:?}; a longer read_deadline gives it more"
    ))
}

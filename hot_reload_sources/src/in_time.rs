//! Work that has a deadline, or may panic.

use std::{panic::AssertUnwindSafe, time::Duration};

use futures_util::FutureExt;
use tokio::time::timeout;

use crate::error::StoreError;

/// Gives `work` up at its deadline.
pub(crate) async fn in_time<T>(
    work: impl Future<Output = Result<T, StoreError>>,
    deadline: Duration,
) -> Result<T, StoreError> {
    timeout(deadline, work).await.unwrap_or_else(|_| Err(no_answer(deadline)))
}

/// Makes an error of a panic in `work`, which nobody else catches, and which is dropped then.
pub(crate) async fn caught<T>(
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let done = AssertUnwindSafe(work).catch_unwind().await;
    done.unwrap_or_else(|_| Err(panicked()))
}

/// What is said of work that has panicked.
pub(crate) fn panicked() -> StoreError {
    StoreError::unreachable("its client has panicked")
}

/// What is said of work that was given up.
pub(crate) fn no_answer(deadline: Duration) -> StoreError {
    StoreError::unreachable(format!(
        "no answer within {deadline:?}; a longer read_deadline gives it more"
    ))
}

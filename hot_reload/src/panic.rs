//! What a panic said, and what must not panic.

use std::{
    any::Any,
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::Poll,
};

use tracing::error;

use crate::redact::mask;

/// Returns the words of a panic's payload.
pub(crate) fn words(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

/// Has a user's code at work that nothing may fail with; the error says that it panicked, and why.
pub(crate) fn caught<R>(work: impl FnOnce() -> R) -> Result<R, String> {
    let caught = catch_unwind(AssertUnwindSafe(work));
    caught.map_err(|panic| format!("it panicked: {}", words(&*panic)))
}

/// Drives a user's future; one that panics is never polled again.
pub(crate) async fn caught_future<F: Future + Unpin>(mut future: F) -> Result<F::Output, String> {
    poll_fn(|cx| match caught(|| Pin::new(&mut future).poll(cx)) {
        Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
        Ok(Poll::Pending) => Poll::Pending,
        Err(words) => Poll::Ready(Err(words)),
    })
    .await
}

/// Drops what may be a user's, whose `Drop` may panic.
pub(crate) fn drop_guarded<T>(value: T) {
    if let Err(words) = caught(|| drop(value)) {
        let panic = mask(&words);
        error!(target: "hot_reload::panicked", panic, "dropping a value panicked");
    }
}

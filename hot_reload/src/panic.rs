//! What a panic said, and what must not panic.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
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

/// Drops what may be a user's, whose `Drop` may panic.
pub(crate) fn drop_guarded<T>(value: T) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
        let panic = mask(words(&*panic));
        error!(name: "hot_reload.panicked", panic, "dropping a value panicked");
    }
}

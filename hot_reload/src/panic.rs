//! What a panic said, and what must not panic.

use std::{
    any::Any,
    ops::{Deref, DerefMut},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll, ready},
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

/// Calls `wake`, and again each time a waker panics, at most once for each of `waiting`, so that others are woken
/// all the same; save for those that tokio has taken off its list in one go with it, 31 at the most.
pub(crate) fn wake_all(waiting: usize, mut wake: impl FnMut()) {
    for _ in 0..=waiting {
        let Err(words) = caught(&mut wake) else { return };
        error!(target: "hot_reload::panicked", panic = mask(&words), "a waker panicked");
    }
}

/// What is a user's, and held where no panic may come from: one in its `Drop` is logged, wherever it is
/// let go of, and as a future it may panic as well, which is its output then.
pub(crate) struct Guarded<T>(Option<T>);

impl<T> Guarded<T> {
    pub(crate) fn new(held: T) -> Self {
        Self(Some(held))
    }

    /// Returns what was held, which is guarded no more.
    pub(crate) fn into_inner(mut self) -> T {
        self.0.take().expect(HELD)
    }
}

impl<T> Deref for Guarded<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect(HELD)
    }
}

impl<T> DerefMut for Guarded<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_mut().expect(HELD)
    }
}

impl<F: Future + Unpin> Future for Guarded<F> {
    type Output = Result<F::Output, String>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = caught(|| Pin::new(&mut **self).poll(cx));
        let output = match polled {
            Ok(polled) => Ok(ready!(polled)),
            Err(words) => Err(words),
        };
        // One that is over, or has panicked, is never polled again.
        drop_guarded(self.0.take());
        Poll::Ready(output)
    }
}

impl<T> Drop for Guarded<T> {
    fn drop(&mut self) {
        if let Some(held) = self.0.take() {
            drop_guarded(held);
        }
    }
}

/// Why there is something: what takes it ends the guard, or a future that is not polled again.
const HELD: &str = "it is held until it is over";

/// Drops what may be a user's, whose `Drop` may panic.
pub(crate) fn drop_guarded<T>(value: T) {
    if let Err(words) = caught(|| drop(value)) {
        let panic = mask(&words);
        error!(target: "hot_reload::panicked", panic, "dropping a value panicked");
    }
}

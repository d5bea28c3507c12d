//! What is ready is taken before anything is set up to wait for it.

use std::{
    future::poll_fn,
    pin::Pin,
    task::Poll::{Pending, Ready},
};

/// Polls `future` once, and returns its output if it is ready; otherwise it is to be polled again.
///
/// A timer costs more to set up than most looks take, and they wait for nothing.
pub(crate) async fn at_once<F: Future>(mut future: Pin<&mut F>) -> Option<F::Output> {
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Ready(output) => Ready(Some(output)),
        Pending => Ready(None),
    })
    .await
}

//! One look at a source that may panic or hang.

use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    task::Poll,
    time::Duration,
};

use tokio::time::timeout;
use tracing::Span;

use crate::{
    at_once::at_once,
    error::{ReloadResult, ReloaderError},
    follow::{Follow, Look, Patience},
    panic::words,
};

/// Looks once, within `span`: a look that panics or hangs has failed, no more.
pub(super) async fn look<V, S>(
    source: &mut (impl Follow<V, S> + ?Sized),
    patience: Patience,
    load_timeout: Duration,
    span: &Span,
) -> ReloadResult<Look<V>, V, S> {
    let looked = {
        let mut look = pin!(poll_fn(|cx| {
            // What panicked is dropped, and never polled again.
            span.in_scope(|| catch_unwind(AssertUnwindSafe(|| source.poll_look(cx, patience))))
                .unwrap_or_else(|panic| Poll::Ready(Err(panicked(&*panic))))
        }));
        match at_once(look.as_mut()).await {
            Some(looked) => Ok(looked),
            None => timeout(load_timeout, look).await,
        }
    };
    source.abandon_look();
    looked.unwrap_or_else(|_| {
        Err(ReloaderError::Other(anyhow::anyhow!(
            "the load was given up on after {load_timeout:?}; a longer load_timeout gives it more"
        )))
    })
}

fn panicked<V, S>(panic: &(dyn std::any::Any + Send)) -> ReloaderError<V, S> {
    ReloaderError::Other(anyhow::anyhow!("the loader panicked: {}", words(panic)))
}

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
    {
        let mut look = pin!(poll_fn(|cx| {
            let look = || source.poll_look(cx, patience);
            span.in_scope(|| catch_unwind(AssertUnwindSafe(look))).unwrap_or_else(|panic| {
                // It is dropped, and never polled again.
                source.abandon_look();
                Poll::Ready(Err(panicked(&*panic)))
            })
        }));
        if let Some(looked) = at_once(look.as_mut()).await {
            return looked;
        }
        if let Ok(looked) = timeout(load_timeout, look).await {
            return looked;
        }
    }
    source.abandon_look();
    Err(ReloaderError::Other(anyhow::anyhow!(
        "the load was given up on after {load_timeout:?}; a longer load_timeout gives it more"
    )))
}

#[cold]
fn panicked<V, S>(panic: &(dyn std::any::Any + Send)) -> ReloaderError<V, S> {
    ReloaderError::Other(anyhow::anyhow!("the loader panicked: {}", words(panic)))
}

//! One look at a source that may panic or hang.

use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    task::Poll,
    time::Duration,
};

use tokio::{
    task::unconstrained,
    time::{Instant, sleep},
};
use tracing::{Span, error};

use crate::{
    error::{ReloadResult, ReloaderError},
    follow::{Follow, Look, Patience},
    panic::{caught, words},
    redact::mask,
};

/// Looks once, within `span`, or goes on with the look whose time `began` then: one that panics or hangs
/// has failed, no more.
pub(super) async fn look<V, S>(
    source: &mut (impl Follow<V, S> + ?Sized),
    patience: Patience,
    (began, load_timeout): (Instant, Duration),
    span: &Span,
) -> ReloadResult<Look<V>, V, S> {
    // Set only where the look has to wait, as few have to.
    let mut limit = None;
    let looked = poll_fn(|cx| {
        let look = || source.poll_look(cx, patience);
        match span.in_scope(|| catch_unwind(AssertUnwindSafe(look))) {
            Ok(Poll::Ready(looked)) => return Poll::Ready(Some(looked)),
            Ok(Poll::Pending) => {}
            Err(panic) => {
                // It is dropped, and never polled again.
                span.in_scope(|| abandon(source));
                return Poll::Ready(Some(Err(panicked(&*panic))));
            }
        }
        // Whatever a load that is ever busy has left of the task's budget (`tokio::task::coop`).
        let set = || Box::pin(unconstrained(sleep(load_timeout.saturating_sub(began.elapsed()))));
        let limit = limit.get_or_insert_with(set);
        limit.as_mut().poll(cx).map(|()| None)
    });
    if let Some(looked) = looked.await {
        return looked;
    }
    span.in_scope(|| abandon(source));
    Err(ReloaderError::Other(anyhow::anyhow!(
        "the load was given up on after {load_timeout:?}; a longer load_timeout gives it more"
    )))
}

/// Gives up a look, of which a user's part may panic when it is dropped.
pub(super) fn abandon<V, S>(source: &mut (impl Follow<V, S> + ?Sized)) {
    if let Err(words) = caught(|| source.abandon_look()) {
        error!(target: "hot_reload::panicked", panic = mask(&words), "giving up a load panicked");
    }
}

#[cold]
fn panicked<V, S>(panic: &(dyn std::any::Any + Send)) -> ReloaderError<V, S> {
    ReloaderError::Other(anyhow::anyhow!("the loader panicked: {}", words(panic)))
}

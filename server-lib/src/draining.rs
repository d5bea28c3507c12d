//! That the server, or the address that a request came by, is about to close.

use tokio_util::sync::CancellationToken;

/// Tells a request that its connection is going to be closed: an extension of each request.
///
/// Whoever answers with a stream that has no end of its own, such as one of events, ends it then,
/// and its client may come again elsewhere. Whatever has not ended by itself is cut off once
/// `drain_timeout_ms` is over.
///
/// # Examples
///
/// ```
/// use std::{convert::Infallible, time::Duration};
///
/// use axum::{Extension, Router, body::Body, routing::get};
/// use server_lib::Draining;
/// use tokio::{sync::mpsc, time::interval};
/// use tokio_stream::wrappers::ReceiverStream;
///
/// async fn ticks(Extension(draining): Extension<Draining>) -> Body {
///     let (tell, events) = mpsc::channel::<Result<_, Infallible>>(1);
///     tokio::spawn(async move {
///         let mut ticks = interval(Duration::from_secs(1));
///         loop {
///             let (event, is_last) = tokio::select! {
///                 _ = ticks.tick() => ("data: tick\n\n", false),
///                 () = draining.begun() => ("event: goodbye\ndata:\n\n", true),
///             };
///             // The client may be gone.
///             if tell.send(Ok(event)).await.is_err() || is_last {
///                 break;
///             }
///         }
///     });
///     Body::from_stream(ReceiverStream::new(events))
/// }
///
/// let routes: Router = Router::new().route("/ticks", get(ticks));
/// ```
#[derive(Debug, Clone)]
pub struct Draining(CancellationToken);

impl Draining {
    pub(crate) fn new(stop: CancellationToken) -> Self {
        Self(stop)
    }

    /// Whether it has begun.
    pub fn has_begun(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Waits until it begins.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when it is dropped.
    pub async fn begun(&self) {
        self.0.cancelled().await;
    }
}

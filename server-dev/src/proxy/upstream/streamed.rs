//! The answer to a request, and what is kept until it has ended.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use http_body_util::BodyExt;
use hyper::body::{Bytes, Frame, Incoming, SizeHint};
use tokio::sync::OwnedSemaphorePermit;

use super::{Connection, MAX_IDLE, Upstream};
use crate::proxy::body::Body;

/// The body of an answer of which the head has come.
pub(in crate::proxy) struct Streamed {
    body: Incoming,
    lease: Lease,
}

/// A request on its way, until its answer has ended.
pub(super) struct Lease {
    pub(super) upstream: Upstream,
    pub(super) connection: Option<Connection>,
    pub(super) permit: Option<OwnedSemaphorePermit>,
    /// Whether the connection may serve another request: not while this one may still be sent.
    pub(super) is_kept: bool,
}

/// The body of an answer, byte for byte.
struct Answer {
    body: Incoming,
    lease: Lease,
    /// For a stream that has no end of its own.
    cut: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Streamed {
    pub(super) fn new(body: Incoming, lease: Lease) -> Self {
        Self { body, lease }
    }

    /// Passes it on; one without an end of its own holds up no replacement, and is cut off by it.
    pub(in crate::proxy) fn into_body(mut self, is_endless: bool) -> Body {
        let cut = is_endless.then(|| {
            self.lease.permit = None;
            Box::pin(self.lease.upstream.cut()) as _
        });
        Answer { body: self.body, lease: self.lease, cut }.boxed_unsync()
    }
}

impl Lease {
    /// The answer has come to its end.
    fn finish(&mut self) {
        self.permit = None;
        if let Some(connection) = self.connection.take()
            && self.is_kept
            && !self.upstream.0.begun.is_closed()
        {
            let mut idle = self.upstream.idle();
            if idle.len() < MAX_IDLE {
                idle.push(connection);
            }
        }
    }
}

impl hyper::body::Body for Answer {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if let Some(cut) = &mut self.cut
            && cut.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(None);
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if frame.is_none() || self.body.is_end_stream() {
            self.lease.finish();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

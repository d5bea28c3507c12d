//! A request, from its head to the last byte of its answer.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Buf, Frame, SizeHint};

use crate::limits::Pace;

/// A request from its beginning to the last of its answer.
pub(super) struct UnderWay(Arc<Pace>);

impl UnderWay {
    pub(super) fn begin(pace: &Arc<Pace>, is_multiplexed: bool, is_bare: bool) -> Self {
        pace.request_begins(is_multiplexed, is_bare);
        Self(Arc::clone(pace))
    }

    /// It is refused, and more of it may be coming.
    pub(super) fn is_refused(&self) {
        self.0.has_refused();
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.request_ends();
    }
}

/// The body of an answer.
pub(super) struct Answer {
    body: Body,
    /// None once the last part has it.
    under_way: Option<UnderWay>,
}

/// Some bytes of an answer.
///
/// However many there are, they are taken at once by who writes them, and dropped when they have been
/// written; so the last ones keep the request under way.
pub(super) struct Part {
    bytes: Bytes,
    _under_way: Option<UnderWay>,
}

impl Answer {
    pub(super) fn new(body: Body, under_way: UnderWay) -> Self {
        Self { body, under_way: Some(under_way) }
    }
}

impl HttpBody for Answer {
    type Data = Part;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Part>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        let is_last = self.body.is_end_stream();
        frame.map_ok(|frame| {
            frame.map_data(|bytes| {
                let under_way = if is_last { self.under_way.take() } else { None };
                Part { bytes, _under_way: under_way }
            })
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Buf for Part {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }
}

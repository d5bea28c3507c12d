//! A request, from its head to the last byte of its answer.

use std::{
    mem::replace,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Buf, Frame, Incoming, SizeHint};

use crate::limits::{Pace, Stage};

/// A request from its beginning to the last of its answer.
pub(super) struct UnderWay {
    pace: Arc<Pace>,
    stage: Stage,
}

impl UnderWay {
    pub(super) fn begin(pace: &Arc<Pace>, is_multiplexed: bool, is_bare: bool) -> Self {
        pace.request_begins(is_multiplexed, is_bare);
        Self { pace: Arc::clone(pace), stage: Stage::Asked }
    }

    /// It is refused, and more of it may be coming.
    pub(super) fn is_refused(&self) {
        self.pace.has_refused();
    }

    fn is_at(&mut self, stage: Stage) {
        let before = replace(&mut self.stage, stage);
        if before != stage {
            self.pace.request_moves(before, stage);
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.pace.request_ends(self.stage);
    }
}

/// The body of a request.
pub(super) struct Question {
    body: Incoming,
    pace: Arc<Pace>,
    is_wanted: bool,
}

impl Question {
    pub(super) fn new(body: Incoming, pace: &Arc<Pace>) -> Self {
        Self { body, pace: Arc::clone(pace), is_wanted: false }
    }

    fn is_wanted(&mut self, is_wanted: bool) {
        if replace(&mut self.is_wanted, is_wanted) != is_wanted {
            self.pace.body_is_wanted(is_wanted);
        }
    }
}

impl HttpBody for Question {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        self.is_wanted(frame.is_pending());
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        self.is_wanted(false);
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
    pub(super) fn new(body: Body, mut under_way: UnderWay) -> Self {
        under_way.is_at(Stage::Offered);
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
        if let Some(under_way) = &mut self.under_way {
            under_way.is_at(if frame.is_pending() { Stage::Awaited } else { Stage::Offered });
        }
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

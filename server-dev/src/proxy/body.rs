//! Bodies of answers.

use http_body_util::{BodyExt, Empty, Full, combinators::UnsyncBoxBody};
use hyper::body::{Body as _, Bytes};

/// The body of an answer, from wherever.
pub(super) type Body = UnsyncBoxBody<Bytes, hyper::Error>;

pub(super) fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

pub(super) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// Whether nothing is to be sent after the head.
pub(super) fn is_empty(body: &hyper::body::Incoming) -> bool {
    body.is_end_stream()
}

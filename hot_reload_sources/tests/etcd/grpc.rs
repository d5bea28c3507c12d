//! What a member says, for those that are played.

use std::time::Duration;

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, header::CONTENT_TYPE},
    response::IntoResponse,
};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use tokio::time::sleep;

/// A field of a protocol buffer that is a message, or bytes.
pub fn field(number: u8, content: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, u8::try_from(content.len()).unwrap()], content].concat()
}

/// A message of gRPC, with the header that all answers of etcd begin with: cluster 1, revision 7.
pub fn message(rest: &[u8]) -> Bytes {
    let content = [&*field(1, &[1 << 3, 1, 3 << 3, 7]), rest].concat();
    let length = u32::try_from(content.len()).unwrap().to_be_bytes();
    [&[0][..], &length, &content].concat().into()
}

/// What is told, and how it ends.
pub fn answer(told: Bytes, stands: Duration, status: &'static str) -> impl IntoResponse {
    let end = async move {
        sleep(stands).await;
        let name = HeaderName::from_static("grpc-status");
        Some(Ok(HeaderMap::from_iter([(name, HeaderValue::from_static(status))])))
    };
    let body = Body::new(Full::new(told).with_trailers(end));
    ([(CONTENT_TYPE, "application/grpc")], body)
}

/// The answer to a read of the key `s` that holds `value`.
pub fn holds(value: &str) -> Bytes {
    let pair = [field(1, b"s"), vec![3 << 3, 7, 4 << 3, 1], field(5, value.as_bytes())].concat();
    message(&field(2, &pair))
}

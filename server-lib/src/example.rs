//! What is answered where the application brings no routes of its own.

use std::sync::Arc;

use axum::{
    Extension, Router,
    body::Bytes,
    http::header,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Serialize;

use crate::live::Applied;

/// What `GET /` says.
#[derive(Serialize)]
struct Identity<'a> {
    id: u32,
    name: &'a str,
    greeting: &'a str,
    generation: u64,
}

/// A few routes that show the configuration.
pub(crate) fn routes() -> Router {
    Router::new()
        .route("/", get(root))
        .route("/healthz", get(async || "ok\n"))
        .route("/echo", post(async |body: Bytes| body))
}

/// Answers from the snapshot that the request has taken.
async fn root(Extension(applied): Extension<Arc<Applied>>) -> Response {
    let config = &applied.config;
    let identity = Identity {
        id: config.id,
        name: &config.name,
        greeting: &config.greeting,
        generation: applied.generation,
    };
    let text = serde_json::to_string(&identity).expect("numbers and texts are JSON");
    // With the end of a line, for whoever asks from a terminal.
    ([(header::CONTENT_TYPE, "application/json")], text + "\n").into_response()
}

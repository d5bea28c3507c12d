//! What stands around the application's routes: each request takes one snapshot of the configuration.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body, HttpBody},
    extract::{DefaultBodyLimit, Request, State},
    http::{StatusCode, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
};
use http_body_util::Limited;
use tokio::time::timeout;

use crate::{host, live::Live, metrics::Metrics};

/// What stands around the application's routes.
struct Around {
    live: Arc<Live>,
    metrics: Arc<Metrics>,
}

/// Who has sent a request, where it came by TCP: an extension of each.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Client(pub(crate) Option<IpAddr>);

/// Puts the configuration around the application's routes, and counts what they answer.
pub(crate) fn around(routes: Router, live: &Arc<Live>, metrics: &Arc<Metrics>) -> Router {
    let around = Around { live: Arc::clone(live), metrics: Arc::clone(metrics) };
    routes
        // The limit of axum's own, 2 MB, would stand beside ours.
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(Arc::new(around), with_snapshot))
}

/// Takes the one snapshot of a request, and applies what it says of every request.
async fn with_snapshot(
    State(around): State<Arc<Around>>,
    request: Request,
    next: Next,
) -> Response {
    let begun = Instant::now();
    let applied = around.live.load_full();
    let config = &applied.config;
    let client = request.extensions().get::<Client>().and_then(|client| client.0);
    let admitted = applied.rate.as_ref().map_or(Ok(()), |rate| rate.admit(client));
    let mut response = if let Err(wait) = admitted {
        too_many(wait)
    } else if host::of(&request).is_err() {
        (StatusCode::BAD_REQUEST, "say once which host is asked\n").into_response()
    // What it says of itself, before any of it is taken.
    } else if request.body().size_hint().lower() > config.max_body_bytes {
        StatusCode::PAYLOAD_TOO_LARGE.into_response()
    } else {
        // A body that can't be so large on this machine is not limited by it.
        let limit = usize::try_from(config.max_body_bytes).unwrap_or(usize::MAX);
        let mut request = request.map(|body| Body::new(Limited::new(body, limit)));
        request.extensions_mut().insert(Arc::clone(&applied));
        match timeout(config.request_timeout(), next.run(request)).await {
            Ok(response) => response,
            Err(_elapsed) => StatusCode::REQUEST_TIMEOUT.into_response(),
        }
    };
    response.headers_mut().extend(applied.headers.clone());
    around.metrics.answered(response.status(), begun.elapsed());
    response
}

/// Answers a client that is to come again after `wait`.
fn too_many(wait: Duration) -> Response {
    // Whole seconds, RFC 9110, section 10.2.3; one too early would only be refused again.
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    let headers = [(header::RETRY_AFTER, seconds.to_string())];
    (StatusCode::TOO_MANY_REQUESTS, headers).into_response()
}

//! What is answered, to whom has the token.

use std::{
    convert::Infallible,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, StatusCode, Uri, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::get,
};
use futures_util::stream;
use tokio::time::timeout;

use super::{Held, Value};

const HEARTBEAT: Duration = Duration::from_millis(200);

pub(super) fn app(state: Arc<Held>) -> Router {
    Router::new()
        .route("/value", get(value))
        .route("/v1/kv/{*key}", get(value))
        .route("/events", get(events))
        .route("/moved", get(moved))
        .layer(from_fn_with_state(Arc::clone(&state), admit))
        .with_state(state)
}

async fn admit(State(state): State<Arc<Held>>, request: Request, next: Next) -> Response {
    state.requests.fetch_add(1, Ordering::SeqCst);
    if state.is_throttled.load(Ordering::SeqCst) {
        return (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "1")]).into_response();
    }
    let wanted = format!("Bearer {}", state.token.lock().unwrap());
    let has_it = request.headers().get(header::AUTHORIZATION).is_some_and(|got| *got == wanted);
    if has_it { next.run(request).await } else { StatusCode::UNAUTHORIZED.into_response() }
}

/// What a long poll says: which index is known, and how long to wait for another.
fn blocking(uri: &Uri) -> Option<(u64, Duration)> {
    let mut query = url::form_urlencoded::parse(uri.query()?.as_bytes());
    let (_, index) = query.find(|(name, _)| name == "index")?;
    let (_, wait) = query.find(|(name, _)| name == "wait")?;
    let wait = wait.strip_suffix("ms")?.parse().ok()?;
    Some((index.parse().ok()?, Duration::from_millis(wait)))
}

async fn value(State(state): State<Arc<Held>>, uri: Uri, headers: HeaderMap) -> Response {
    let mut values = state.value.subscribe();
    if let Some((index, wait)) = blocking(&uri) {
        let mut unheard = state.is_unheard.subscribe();
        tokio::select! {
            biased;
            () = async { drop(unheard.wait_for(|is_unheard| *is_unheard).await) } => {
                return StatusCode::SERVICE_UNAVAILABLE.into_response();
            }
            // As Consul does: whoever knows an index that is higher waits, too.
            () = async { drop(timeout(wait, values.wait_for(|value| value.index > index)).await) } => {}
        }
    }
    let Value { era, index, text } = values.borrow_and_update().clone();
    let index_header = ("x-consul-index", index.to_string());
    let tag = format!("\"{era}-{index}\"");
    let Some(text) = text else { return (StatusCode::NOT_FOUND, [index_header]).into_response() };
    if headers.get(header::IF_NONE_MATCH).is_some_and(|known| *known == tag) {
        return (StatusCode::NOT_MODIFIED, [index_header]).into_response();
    }
    state.bodies.fetch_add(1, Ordering::SeqCst);
    ([index_header, ("etag", tag)], text).into_response()
}

async fn moved(uri: Uri) -> Response {
    let to = uri.query().and_then(|query| query.strip_prefix("to=")).unwrap_or_default();
    (StatusCode::FOUND, [(header::LOCATION, to.to_owned())]).into_response()
}

async fn events(State(state): State<Arc<Held>>, headers: HeaderMap) -> Response {
    if *state.is_unheard.borrow() {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let last_id = headers.get("last-event-id").map(|id| id.to_str().unwrap().to_owned());
    state.last_ids.lock().unwrap().extend(last_id);
    let retry = state.retry.lock().unwrap().map(|retry| format!("retry: {}\n", retry.as_millis()));
    let mut values = state.value.subscribe();
    values.mark_unchanged();
    let begin = format!("{}\n\n", retry.unwrap_or_else(|| ":".into()));
    let told = stream::unfold((values, state, Some(begin)), async |(mut values, state, begin)| {
        let piece = match begin {
            Some(begin) => begin,
            None => loop {
                match timeout(HEARTBEAT, values.changed()).await {
                    Ok(changed) => {
                        changed.ok()?;
                        break event(&values.borrow_and_update().clone());
                    }
                    Err(_) if *state.is_unheard.borrow() => return None,
                    Err(_) if state.is_silent.load(Ordering::SeqCst) => {}
                    Err(_) => break ":\n\n".into(),
                }
            },
        };
        Some((Ok::<_, Infallible>(Bytes::from(piece)), (values, state, None)))
    });
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(told)).into_response()
}

fn event(value: &Value) -> String {
    let text = value.text.as_deref().unwrap_or_default();
    let lines = text.split('\n').map(|line| format!("data: {line}\n"));
    format!("id: {}\n{}\n", value.index, lines.collect::<String>())
}

//! What whoever looks after the server can ask, and have done.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Path, Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use hot_reload::{Past, ReloaderHandle, Status, StatusReceiver, Triggered};
use serde::Serialize;
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{address::Address, limits::Slots, status::ServerStatus};

/// What a request that changes something has to have: no page of another site can send it without
/// asking first, which nobody here answers (<https://fetch.spec.whatwg.org/#cors-preflight-fetch>).
const HEADER: &str = "x-requested-by";

/// What is known and can be done.
#[derive(Clone)]
pub(crate) struct Admin {
    pub(crate) handle: ReloaderHandle,
    pub(crate) reloader: StatusReceiver,
    pub(crate) server: watch::Receiver<ServerStatus>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) slots: Arc<Slots>,
}

impl Admin {
    pub(crate) fn router(self) -> Router {
        Router::new()
            .route("/livez", get(async || "ok\n"))
            .route("/readyz", get(ready))
            .route("/status", get(status))
            .route("/history", get(history))
            .route("/reload", post(reload))
            .route("/rollback/{generation}", post(rollback))
            .route("/resume", post(resume))
            .layer(from_fn(guarded))
            .with_state(self)
    }
}

/// What `GET /status` says; durations are in seconds.
#[derive(Serialize)]
struct Report {
    health: &'static str,
    ready: bool,
    generation: u64,
    pinned: Option<u64>,
    age: Option<f64>,
    mechanism: Option<String>,
    failures: u32,
    error: Option<String>,
    error_at: Option<Place>,
    refused_by: Option<String>,
    unapplied_for: Option<f64>,
    needs_restart: Vec<&'static str>,
    generations_alive: usize,
    addresses: Vec<Address>,
    /// Of the application, in this moment.
    connections: u64,
}

#[derive(Serialize)]
struct Place {
    source: String,
    line: Option<usize>,
    column: Option<usize>,
}

/// One line of `GET /history`.
#[derive(Serialize)]
struct Entry {
    generation: u64,
    reason: &'static str,
    age: f64,
    of: Option<u64>,
    bad: bool,
}

impl From<Past> for Entry {
    fn from(past: Past) -> Self {
        let Past { generation, reason, published_at, of, is_bad, .. } = past;
        let age = published_at.elapsed().as_secs_f64();
        Self { generation, reason: reason.as_str(), age, of, bad: is_bad }
    }
}

impl Report {
    fn new(status: Status, server: &ServerStatus, ready: bool, connections: u64) -> Self {
        Self {
            health: status.health.as_str(),
            ready,
            generation: server.generation,
            pinned: status.pinned,
            age: status.age().as_ref().map(Duration::as_secs_f64),
            mechanism: status.mechanism.map(|mechanism| mechanism.to_string()),
            failures: status.failures,
            error: status.last_error.map(|error| error.to_string()),
            error_at: status.last_error_at.map(|at| Place {
                source: at.source.to_string(),
                line: at.line,
                column: at.column,
            }),
            refused_by: status.refused_by.map(|by| by.to_string()),
            unapplied_for: status.unapplied_since.map(|since| age(since).as_secs_f64()),
            needs_restart: server.needs_restart.clone(),
            generations_alive: status.alive,
            addresses: server.local_addresses.clone(),
            connections,
        }
    }
}

fn age(since: Instant) -> Duration {
    since.elapsed()
}

impl Admin {
    fn is_ready(&self, status: &Status) -> bool {
        let serves = self.server.borrow().generation > 0;
        serves && status.is_ready() && !self.shutdown.is_cancelled()
    }
}

async fn ready(State(admin): State<Admin>) -> Response {
    let status = admin.reloader.get();
    if admin.is_ready(&status) {
        return "ready\n".into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {}\n", status.health)).into_response()
}

async fn status(State(admin): State<Admin>) -> Json<Report> {
    let status = admin.reloader.get();
    let is_ready = admin.is_ready(&status);
    let server = admin.server.borrow();
    Json(Report::new(status, &server, is_ready, admin.slots.taken()))
}

async fn history(State(admin): State<Admin>) -> Json<Vec<Entry>> {
    Json(admin.handle.history().into_iter().map(Entry::from).collect())
}

async fn reload(State(admin): State<Admin>) -> Response {
    outcome(&admin.handle.trigger().await)
}

async fn rollback(State(admin): State<Admin>, Path(generation): Path<u64>) -> Response {
    outcome(&admin.handle.rollback(generation).await)
}

async fn resume(State(admin): State<Admin>) -> &'static str {
    admin.handle.resume();
    "resumed\n"
}

fn outcome(outcome: &Triggered) -> Response {
    let code = match outcome {
        Triggered::Published(_) | Triggered::Unchanged => StatusCode::OK,
        Triggered::Stopped => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::CONFLICT,
    };
    (code, format!("{outcome}\n")).into_response()
}

/// Lets nobody through whom a web page of another site may have sent.
async fn guarded(request: Request, next: Next) -> Response {
    match admit(request.method(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(why) => (StatusCode::FORBIDDEN, format!("{why}\n")).into_response(),
    }
}

/// Whether a request is let through, or why not.
///
/// By a name that was made to lead here (DNS rebinding) the page of another site would be of the
/// same origin, so only names that nobody can point elsewhere are taken.
fn admit(method: &Method, headers: &HeaderMap) -> Result<(), &'static str> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let host = text(header::HOST).unwrap_or("localhost");
    if !is_local(host) {
        return Err("ask by the name of localhost, or by a loopback address");
    }
    let origin = text(header::ORIGIN);
    let is_own = |origin: &str| origin.split_once("://").is_some_and(|(_, from)| from == host);
    if origin.is_some_and(|origin| !is_own(origin)) {
        return Err("pages of other sites have no business here");
    }
    let changes = *method != Method::GET && *method != Method::HEAD;
    if changes && !headers.contains_key(HEADER) {
        return Err("send the header X-Requested-By, with any value, to change something");
    }
    Ok(())
}

/// Whether a host, with or without a port, is this machine whoever asks.
fn is_local(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() => name,
        _ => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || address.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lets_nobody_through_whom_another_site_may_have_sent() {
        let get = Method::GET;
        let post = Method::POST;
        for (method, headers, is_let) in [
            (&get, &[("host", "127.0.0.1:9000")][..], true),
            (&get, &[("host", "[::1]:9000")], true),
            (&get, &[("host", "localhost")], true),
            (&get, &[], true),
            (&get, &[("host", "rebound.example:9000")], false),
            (&get, &[("host", "127.0.0.1.example")], false),
            (&get, &[("host", "localhost:9"), ("origin", "http://localhost:9")], true),
            (&get, &[("host", "localhost:9"), ("origin", "http://localhost:10")], false),
            (&get, &[("host", "localhost"), ("origin", "null")], false),
            (&post, &[("host", "localhost")], false),
            (&post, &[("host", "localhost"), ("x-requested-by", "me")], true),
        ] {
            let map = headers.iter().map(|(name, value)| {
                (name.parse().unwrap(), value.parse::<axum::http::HeaderValue>().unwrap())
            });
            let map: HeaderMap =
                map.collect::<Vec<(header::HeaderName, _)>>().into_iter().collect();
            assert_eq!(admit(method, &map).is_ok(), is_let, "{method} {headers:?}");
        }
    }
}

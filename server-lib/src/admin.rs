//! What whoever looks after the server can see, and have done.

mod asker;
mod events;
mod guard;
mod page;
mod report;

use std::sync::Arc;

use axum::{
    Extension, Json, Router,
    extract::{Path, State, rejection::PathRejection},
    http::{StatusCode, header},
    middleware::from_fn,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use hot_reload::{ReloaderHandle, Status, StatusReceiver, Triggered};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

pub(crate) use self::asker::Asker;
use self::report::{Entry, Moment, Report};
use crate::{metrics::Exporter, shared::Shared, status::ServerStatus};

/// What is known and can be done.
#[derive(Clone)]
pub(crate) struct Admin {
    pub(crate) handle: ReloaderHandle,
    pub(crate) reloader: StatusReceiver,
    pub(crate) server: watch::Receiver<ServerStatus>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) exporter: Option<Exporter>,
    pub(crate) shared: Shared,
    /// For readers of events, who stay as long as they like.
    pub(crate) readers: Arc<Semaphore>,
}

impl Admin {
    /// What is answered; each request takes an [`Asker`] as an extension.
    pub(crate) fn router(self) -> Router {
        Router::new()
            .route("/", get(page::page))
            .route("/livez", get(async || "ok\n"))
            .route("/readyz", get(ready))
            .route("/status", get(status))
            .route("/history", get(history))
            .route("/events", get(events::events))
            .route("/metrics", get(metrics))
            .route("/reload", post(reload))
            .route("/rollback/{generation}", post(rollback))
            .route("/resume", post(resume))
            .layer(from_fn(guard::guarded))
            .with_state(self)
    }

    fn is_ready(&self, status: &Status) -> bool {
        let serves = self.server.borrow().generation > 0;
        serves && status.is_ready() && !self.shutdown.is_cancelled()
    }

    fn report(&self, asker: Asker) -> Report {
        let status = self.reloader.get();
        let moment = Moment {
            asker,
            ready: self.is_ready(&status),
            draining: self.shutdown.is_cancelled(),
            connections: self.shared.slots.taken(),
        };
        let name = self.shared.live.load().config.name.clone();
        Report::new(name, status, &self.server.borrow(), moment)
    }

    /// The generations that can be served again, oldest first.
    fn history(&self) -> Vec<Entry> {
        let all = self.handle.history().into_iter();
        all.map(|past| Entry::new(&past, self.shared.changes.of(past.generation))).collect()
    }
}

async fn ready(State(admin): State<Admin>) -> Response {
    let status = admin.reloader.get();
    if admin.is_ready(&status) {
        return "ready\n".into_response();
    }
    let why = if admin.shutdown.is_cancelled() { "shutting down" } else { status.health.as_str() };
    (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")).into_response()
}

async fn status(State(admin): State<Admin>, Extension(asker): Extension<Asker>) -> Json<Report> {
    Json(admin.report(asker))
}

async fn history(State(admin): State<Admin>) -> Json<Vec<Entry>> {
    Json(admin.history())
}

async fn metrics(State(admin): State<Admin>) -> Response {
    if let Some(exporter) = admin.exporter {
        return ([(header::CONTENT_TYPE, Exporter::CONTENT_TYPE)], exporter.render())
            .into_response();
    }
    let why = "the application has a recorder of its own, or the server is no daemon: see \
               ServerContextBuilder::daemon\n";
    (StatusCode::NOT_IMPLEMENTED, why).into_response()
}

async fn reload(State(admin): State<Admin>, Extension(asker): Extension<Asker>) -> Response {
    outcome("", &asker.outcome(admin.handle.trigger().await))
}

async fn rollback(
    State(admin): State<Admin>,
    Extension(asker): Extension<Asker>,
    generation: Result<Path<u64>, PathRejection>,
) -> Response {
    let Ok(Path(generation)) = generation else {
        let why = "a generation is a number, such as 3\n";
        return (StatusCode::BAD_REQUEST, why).into_response();
    };
    outcome("", &asker.outcome(admin.handle.rollback(generation).await))
}

async fn resume(State(admin): State<Admin>, Extension(asker): Extension<Asker>) -> Response {
    outcome("resumed; ", &asker.outcome(admin.handle.resume_and_trigger().await))
}

/// Says what came of an order, after what is certain.
fn outcome(before: &str, outcome: &Triggered) -> Response {
    (code(outcome), format!("{before}{outcome}\n")).into_response()
}

fn code(outcome: &Triggered) -> StatusCode {
    match outcome {
        Triggered::Published(_) | Triggered::Unchanged => StatusCode::OK,
        Triggered::Stopped => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::CONFLICT,
    }
}

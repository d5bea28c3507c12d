//! One connection, HTTP/1 or HTTP/2 as the client begins.

use std::{future::pending, pin::pin, sync::Arc, time::Duration};

use axum::{Router, extract::Request};
use hyper::{body::Incoming, service::Service};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::SetOnce,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::live::Live;

/// A client that had connected before its address was closed has its request on the way: this is
/// a round trip to the other side of the earth. A longer one would hold up the end for clients
/// that connect in advance and say nothing.
pub(crate) const FIRST_REQUEST_GRACE: Duration = Duration::from_millis(250);

/// As long as hyper gives a client to finish the head of a request; before its first byte hyper
/// would wait for ever.
const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Serves a connection to its end; after `stop`, to the end of its requests under way, for as long
/// as the configuration allows.
pub(crate) async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    router: Router,
    live: Arc<Live>,
    stop: CancellationToken,
) {
    let mut builder = Builder::new(TokioExecutor::new());
    // With a timer, hyper gives up on a client that doesn't finish its head within 30 s.
    builder.http1().timer(TokioTimer::new());
    builder.http2().timer(TokioTimer::new());
    let begun = Arc::new(SetOnce::new());
    let service = Noting { begun: Arc::clone(&begun), answers: TowerToHyperService::new(router) };
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));

    let silent = async {
        if timeout(FIRST_REQUEST_TIMEOUT, begun.wait()).await.is_ok() {
            pending::<()>().await;
        }
    };
    let stopped = async {
        stop.cancelled().await;
        // Either will do: it has its request, or none is coming.
        let _ = timeout(FIRST_REQUEST_GRACE, begun.wait()).await;
    };
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => Some(ended),
        () = silent => return debug!("cut off: it has asked nothing"),
        () = stopped => None,
    };
    let ended = if let Some(ended) = ended {
        ended
    } else {
        connection.as_mut().graceful_shutdown();
        let drain_timeout = live.load().config.drain_timeout();
        tokio::select! {
            biased;
            ended = connection => ended,
            () = sleep(drain_timeout) => {
                return debug!("cut off: it took longer than drain_timeout_ms");
            }
        }
    };
    if let Err(error) = ended {
        debug!(%error, "ended by an error");
    }
}

/// Notes that a first request has begun.
struct Noting<S> {
    begun: Arc<SetOnce<()>>,
    answers: S,
}

impl<S: Service<Request<Incoming>>> Service<Request<Incoming>> for Noting<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        // Set already by an earlier one.
        let _ = self.begun.set(());
        self.answers.call(request)
    }
}

//! One connection, HTTP/1 or HTTP/2 as the client begins.

use std::{pin::pin, sync::Arc};

use axum::Router;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use tokio::{net::TcpStream, time::timeout};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::live::Live;

/// Serves a connection to its end; after `stop`, to the end of its requests under way, for as long
/// as the configuration allows.
pub(crate) async fn serve(
    stream: TcpStream,
    router: Router,
    live: Arc<Live>,
    stop: CancellationToken,
) {
    // Answers are written whole, so waiting to fill a segment only delays them (tcp(7)). A socket
    // that is gone already says so when it is read.
    let _ = stream.set_nodelay(true);
    let mut builder = Builder::new(TokioExecutor::new());
    // With a timer, hyper gives up on a client that doesn't finish its head within 30 s.
    builder.http1().timer(TokioTimer::new());
    builder.http2().timer(TokioTimer::new());
    let service = TowerToHyperService::new(router);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));

    let ended = tokio::select! {
        biased;
        () = stop.cancelled() => None,
        ended = connection.as_mut() => Some(ended),
    };
    let ended = if let Some(ended) = ended {
        ended
    } else {
        connection.as_mut().graceful_shutdown();
        let drain_timeout = live.load().config.drain_timeout();
        match timeout(drain_timeout, connection).await {
            Ok(ended) => ended,
            Err(_elapsed) => return debug!("cut off: it took longer than drain_timeout_ms"),
        }
    };
    if let Err(error) = ended {
        debug!(%error, "ended by an error");
    }
}

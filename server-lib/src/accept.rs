//! One task per listening address.

use std::{io, sync::Arc, time::Duration};

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Instrument, debug, warn};

use crate::{connection, live::Live};

/// Descriptors run out all at once and come back one by one: trying at once would only burn the
/// processor, and waiting longer would keep clients out that could be served.
const PAUSE_WITHOUT_DESCRIPTORS: Duration = Duration::from_millis(100);

/// Accepts connections until `stop`, and serves each in a task of its own.
pub(crate) async fn accept(
    listener: TcpListener,
    router: Router,
    live: Arc<Live>,
    connections: TaskTracker,
    stop: CancellationToken,
) {
    let mut is_short = false;
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                is_short = false;
                let span = tracing::debug_span!("connection", %peer);
                let served =
                    connection::serve(stream, router.clone(), Arc::clone(&live), stop.clone());
                connections.spawn(served.instrument(span));
            }
            Err(error) if is_of_the_client(&error) => debug!(%error, "a client was gone"),
            Err(error) => {
                if !is_short {
                    warn!(%error, "connections can't be accepted for now");
                }
                is_short = true;
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(PAUSE_WITHOUT_DESCRIPTORS) => {}
                }
            }
        }
    }
}

/// Whether an error is of the connection that was to be accepted, and not of ours: accept(2).
fn is_of_the_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}

//! One task per listening address.

use std::{io, sync::Arc, time::Duration};

use axum::Router;
use tokio::time::sleep;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, warn};

use crate::{
    connection,
    live::Live,
    metrics::Metrics,
    socket::{Listener, Stream},
    tls::handshake,
};

/// Descriptors run out all at once and come back one by one: trying at once would only burn the
/// processor, and waiting longer would keep clients out that could be served.
const PAUSE_WITHOUT_DESCRIPTORS: Duration = Duration::from_millis(100);

/// Where connections come in, and what each is served by.
pub(crate) struct Door {
    pub(crate) listener: Arc<Listener>,
    pub(crate) router: Router,
    pub(crate) live: Arc<Live>,
    pub(crate) metrics: Arc<Metrics>,
    /// What a handshake goes by, where there is one.
    pub(crate) tls: Option<Arc<rustls::ServerConfig>>,
    pub(crate) connections: TaskTracker,
    pub(crate) stop: CancellationToken,
}

impl Door {
    /// Accepts connections until it is stopped, and serves each in a task of its own.
    ///
    /// Those that the system had established by then are served as well: to their clients they
    /// were accepted.
    pub(crate) async fn attend(self) {
        let mut is_short = false;
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok(stream) => {
                    is_short = false;
                    self.serve(stream);
                }
                Err(error) if is_of_the_client(&error) => debug!(%error, "a client was gone"),
                Err(error) => {
                    if !is_short {
                        warn!(%error, "connections can't be accepted for now");
                    }
                    is_short = true;
                    tokio::select! {
                        () = self.stop.cancelled() => break,
                        () = sleep(PAUSE_WITHOUT_DESCRIPTORS) => {}
                    }
                }
            }
        }
        while let Ok(stream) = self.listener.accept_now() {
            self.serve(stream);
        }
    }

    fn serve(&self, stream: Stream) {
        let (router, live, stop) = (self.router.clone(), Arc::clone(&self.live), self.stop.clone());
        let (connected, tls) = (self.metrics.connected(), self.tls.clone());
        self.connections.spawn(async move {
            match tls {
                None => connection::serve(stream, router, live, stop).await,
                Some(tls) => {
                    if let Some(stream) = handshake(stream, tls, &live, &stop).await {
                        connection::serve(stream, router, live, stop).await;
                    }
                }
            }
            drop(connected);
        });
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

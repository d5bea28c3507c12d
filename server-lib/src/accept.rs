//! One task per listening address.

use std::{io, sync::Arc, time::Duration};

use axum::Router;
use tokio::time::sleep;
use tokio_util::{either::Either, sync::CancellationToken, task::TaskTracker};
use tracing::{debug, info, warn};

use crate::{
    connection,
    limits::{Slot, Slots, most_connections},
    live::Live,
    socket::{Listener, Stream},
};

/// Descriptors run out all at once and come back one by one: trying at once would only burn the
/// processor, and waiting longer would keep clients out that could be served.
const PAUSE_WITHOUT_DESCRIPTORS: Duration = Duration::from_millis(100);

/// Where connections come in, and what each is served by.
pub(crate) struct Door {
    pub(crate) listener: Arc<Listener>,
    pub(crate) router: Router,
    pub(crate) live: Arc<Live>,
    pub(crate) connections: TaskTracker,
    /// What each connection takes one of, where they are limited.
    pub(crate) slots: Option<Arc<Slots>>,
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
                    if is_short {
                        info!("connections are accepted again");
                    }
                    is_short = false;
                    let slot = self.slot().await;
                    self.serve(stream, slot);
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
            self.serve(stream, self.slots.as_deref().map(Slots::take_anyway));
        }
    }

    /// Waits until there is room for a connection; those behind it wait to be accepted.
    async fn slot(&self) -> Option<Slot> {
        let slots = self.slots.as_deref()?;
        let room = slots.take(|| most_connections(self.live.load().config.limits.max_connections));
        tokio::select! {
            biased;
            slot = room => Some(slot),
            () = self.stop.cancelled() => Some(slots.take_anyway()),
        }
    }

    fn serve(&self, stream: Stream, slot: Option<Slot>) {
        let client = match &stream {
            Either::Left(tcp) => tcp.peer_addr().ok(),
            Either::Right(_unnamed) => None,
        };
        let (router, live, stop) = (self.router.clone(), Arc::clone(&self.live), self.stop.clone());
        let connection = connection::serve(stream, client, router, live, stop);
        self.connections.spawn(async move {
            let _slot = slot;
            connection.await;
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

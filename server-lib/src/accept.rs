//! One task per listening address.

use std::{future::pending, io, net::SocketAddr, num::NonZeroU64, sync::Arc, time::Duration};

use axum::Router;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::{either::Either, sync::CancellationToken, task::TaskTracker};
use tracing::{debug, field::display, info, warn};

use crate::{
    connection,
    error::{RAISE_DESCRIPTORS, is_without_descriptors},
    limits::{Guest, Slot, Slots, most_connections},
    live::Live,
    metrics::Metrics,
    socket::{Listener, Stream},
    tls::handshake,
};

/// Descriptors run out all at once and come back one by one: trying at once would only burn the
/// processor, and waiting longer would keep clients out that could be served.
const PAUSE_WITHOUT_DESCRIPTORS: Duration = Duration::from_millis(100);

/// How long nothing may fail before that is said to be over: descriptors that come back one by one
/// are taken at once, and each would be told.
const CALM: Duration = Duration::from_secs(1);

/// Where connections come in, and what each is served by.
pub(crate) struct Acceptor {
    pub(crate) listener: Arc<Listener>,
    pub(crate) router: Router,
    pub(crate) live: Arc<Live>,
    pub(crate) metrics: Arc<Metrics>,
    /// What a handshake goes by, where there is one.
    pub(crate) tls: Option<Arc<rustls::ServerConfig>>,
    pub(crate) connections: TaskTracker,
    /// What each connection takes one of.
    pub(crate) slots: Arc<Slots>,
    /// How many of them there are, where the configuration doesn't say it.
    pub(crate) fixed: Option<u64>,
    pub(crate) stop: CancellationToken,
}

impl Acceptor {
    /// Accepts connections until it is stopped, and serves each in a task of its own; then closes the
    /// address.
    ///
    /// Those that the system had established by then are served as well: to their clients they
    /// were accepted.
    pub(crate) async fn run(self) {
        let mut calm: Option<Instant> = None;
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                accepted = self.listener.accept() => accepted,
                () = until(calm) => {
                    info!("connections are accepted again");
                    calm = None;
                    continue;
                }
            };
            match accepted {
                Ok(stream) => self.welcome(stream).await,
                Err(error) if is_of_the_client(&error) => debug!(%error, "a client was gone"),
                Err(error) => {
                    if calm.is_none() {
                        self.tell_refused(&error);
                    }
                    calm = Some(Instant::now() + CALM);
                    tokio::select! {
                        () = self.stop.cancelled() => break,
                        () = sleep(PAUSE_WITHOUT_DESCRIPTORS) => {}
                    }
                }
            }
        }
        let deadline = Instant::now() + self.live.load().config.drain_timeout();
        // Nothing that comes in between the last look and the end of this would be served: the listener
        // goes with it.
        tokio::select! {
            biased;
            () = self.accept_the_rest(deadline) => {}
            () = sleep_until(deadline) => debug!("some were never accepted"),
        }
    }

    fn tell_refused(&self, error: &io::Error) {
        let address = self.listener.local_address().ok();
        let address = address.as_ref().map(display);
        let next = if is_without_descriptors(error) { RAISE_DESCRIPTORS } else { "" };
        warn!(address, %error, "connections can't be accepted for now{next}");
    }

    /// Serves whoever has connected already.
    async fn accept_the_rest(&self, deadline: Instant) {
        let mut is_told = false;
        loop {
            // However few connections there may be: these were accepted long ago, to their clients.
            // All descriptors are not for them.
            let most = || self.fixed.unwrap_or_else(|| most_connections(u64::MAX));
            let slot = self.slots.take_late(most).await;
            let stream = match self.listener.accept_now() {
                Ok(stream) => stream,
                Err(error) if is_of_the_client(&error) => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => {
                    if !std::mem::replace(&mut is_told, true) {
                        self.tell_refused(&error);
                    }
                    sleep(PAUSE_WITHOUT_DESCRIPTORS).await;
                    continue;
                }
            };
            let client = client(&stream);
            let place = Place { _slot: slot, _guest: self.guest(client).ok().flatten() };
            self.serve(stream, client, place, Some(deadline));
        }
    }

    /// Serves a connection once there is room for it, unless its client has too many already; those
    /// behind it wait to be accepted.
    async fn welcome(&self, stream: Stream) {
        let client = client(&stream);
        let Ok(guest) = self.guest(client) else {
            return debug!(?client, "closed: beyond max_connections_per_client");
        };
        let place = Place { _slot: self.slot().await, _guest: guest };
        self.serve(stream, client, place, None);
    }

    fn guest(&self, client: Option<SocketAddr>) -> Result<Option<Guest>, TooMany> {
        // What one client may have is said of the application's.
        let Some(client) = client.filter(|_| self.fixed.is_none()) else { return Ok(None) };
        let limit = self.live.load().config.limits.max_connections_per_client;
        let clients = &self.slots.clients;
        clients.admit(client.ip(), limit.map(NonZeroU64::get)).map(Some).ok_or(TooMany)
    }

    async fn slot(&self) -> Slot {
        let configured = || self.live.load().config.limits.max_connections.get();
        let most = || self.fixed.unwrap_or_else(|| most_connections(configured()));
        tokio::select! {
            biased;
            slot = self.slots.take(most) => slot,
            () = self.stop.cancelled() => self.slots.take_anyway(),
        }
    }

    /// Serves a connection, to the `deadline` if there is one already.
    fn serve(
        &self,
        stream: Stream,
        client: Option<SocketAddr>,
        place: Place,
        deadline: Option<Instant>,
    ) {
        let (router, live, stop) = (self.router.clone(), Arc::clone(&self.live), self.stop.clone());
        let (slots, tls) = (Arc::clone(&self.slots), self.tls.clone());
        let connected = self.metrics.connected();
        self.connections.spawn(async move {
            let _until_its_end = (place, connected);
            let cut = drained(stop.clone(), Arc::clone(&live), deadline);
            let serve = async {
                let Some(tls) = tls else {
                    return connection::serve(stream, client, router, live, slots, stop).await;
                };
                if let Some(stream) = handshake(stream, tls, &live, &stop).await {
                    connection::serve(stream, client, router, live, slots, stop).await;
                }
            };
            tokio::select! {
                biased;
                () = serve => {}
                () = cut => debug!("cut off: it took longer than drain_timeout_ms"),
            }
        });
    }
}

/// Waits until a connection has had its time to end.
async fn drained(stop: CancellationToken, live: Arc<Live>, deadline: Option<Instant>) {
    stop.cancelled().await;
    let deadline = deadline.unwrap_or_else(|| Instant::now() + live.load().config.drain_timeout());
    sleep_until(deadline).await;
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}

/// What a connection takes up for as long as it lasts.
struct Place {
    _slot: Slot,
    _guest: Option<Guest>,
}

/// A client has as many connections as it may have.
struct TooMany;

/// Who is at the other end, where it is of the network.
fn client(stream: &Stream) -> Option<SocketAddr> {
    match stream {
        Either::Left(tcp) => tcp.peer_addr().ok(),
        Either::Right(_unnamed) => None,
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

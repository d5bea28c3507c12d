//! A process that is ready, and the connections to it.

mod streamed;

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http_body_util::BodyExt;
use hyper::{Method, Request, Response, body::Incoming, client::conn::http1, http::request::Parts};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use self::streamed::Lease;
pub(super) use self::streamed::Streamed;
use super::{
    MAX_HEADERS,
    body::{self, Body},
    http2::Http2,
};

/// Requests that one process may have begun.
const MAX_BEGUN: u32 = 1 << 16;
/// Connections that are kept for the next request.
const MAX_IDLE: usize = 64;

/// A process that is ready; all clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct Upstream(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    address: SocketAddr,
    /// A permit for each request that has not been answered to its end, but for streams.
    begun: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
    http2: Http2,
    cut: CancellationToken,
}

type Connection = http1::SendRequest<Body>;

/// Why there is no answer.
pub(super) enum NotSent {
    /// Nothing of it has left, so it may be sent elsewhere.
    Unsent(Box<(Parts, Incoming)>, io::Error),
    Lost(hyper::Error),
}

impl PartialEq for Upstream {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Upstream {}

impl Upstream {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self(Arc::new(Shared {
            address,
            begun: Arc::new(Semaphore::new(MAX_BEGUN as usize)),
            idle: Mutex::default(),
            http2: Http2::default(),
            cut: CancellationToken::new(),
        }))
    }

    /// Begins nothing any more, and waits until what has begun is answered, but for streams.
    pub(crate) async fn drained(&self, patience: Duration) {
        // Whoever waits for all of them is served before those who come later.
        let all = timeout(patience, self.0.begun.acquire_many(MAX_BEGUN)).await;
        self.0.begun.close();
        drop(all);
        self.idle().clear();
        self.0.http2.clear();
    }

    /// Ends what has no end of its own, after a while.
    pub(crate) async fn cut_after(self, pause: Duration) {
        sleep(pause).await;
        self.0.cut.cancel();
    }

    /// Waits until that is to end.
    pub(super) fn cut(&self) -> impl Future<Output = ()> + Send + 'static {
        self.0.cut.clone().cancelled_owned()
    }

    /// Sends a request, and returns the head of its answer with a body that is still to come; by HTTP/2 if the
    /// client speaks that, and the process understands it.
    pub(super) async fn send(
        &self,
        head: Parts,
        incoming: Incoming,
        is_http2: bool,
    ) -> Result<Response<Streamed>, NotSent> {
        let Ok(permit) = Arc::clone(&self.0.begun).try_acquire_owned() else {
            let error = io::Error::other("it is being replaced");
            return Err(NotSent::Unsent(Box::new((head, incoming)), error));
        };
        if is_http2 {
            match self.0.http2.is_understood(self.0.address).await {
                Ok(true) => return self.send_by_http2(head, incoming, permit).await,
                Ok(false) => {}
                Err(error) => return Err(NotSent::Unsent(Box::new((head, incoming)), error)),
            }
        }
        // What may be sent twice goes by a connection that the server may just be closing.
        let is_light = body::is_empty(&incoming) && is_repeatable(&head.method);
        let mut lost = None;
        while is_light
            && lost.is_none()
            && let Some(mut connection) = self.kept()
        {
            if connection.ready().await.is_err() {
                continue;
            }
            match connection.send_request(bodyless(head.clone())).await {
                Ok(response) => return Ok(self.lease(response, connection, permit, is_light)),
                // Cancelled, it has not left.
                Err(error) if error.is_canceled() => {}
                Err(error) => lost = Some(error),
            }
        }
        let mut connection = match (self.connect().await, lost) {
            (Ok(connection), _) => connection,
            // It may be what has ended the process; the next one is not to get it as well.
            (Err(_gone), Some(lost)) => return Err(self.lost(lost)),
            (Err(error), None) => {
                return Err(NotSent::Unsent(Box::new((head, incoming)), error));
            }
        };
        let request = if body::is_empty(&incoming) {
            bodyless(head)
        } else {
            Request::from_parts(head, incoming.boxed_unsync())
        };
        let response = connection.send_request(request).await.map_err(|lost| self.lost(lost))?;
        Ok(self.lease(response, connection, permit, is_light))
    }

    async fn send_by_http2(
        &self,
        head: Parts,
        incoming: Incoming,
        permit: OwnedSemaphorePermit,
    ) -> Result<Response<Streamed>, NotSent> {
        let response = self.0.http2.send(self.0.address, head, incoming).await?;
        let lease = Lease {
            upstream: self.clone(),
            connection: None,
            permit: Some(permit),
            is_kept: false,
        };
        Ok(response.map(|body| Streamed::new(body, lease)))
    }

    /// Most often the process has ended, of which connections may not have heard yet.
    fn lost(&self, error: hyper::Error) -> NotSent {
        self.idle().clear();
        NotSent::Lost(error)
    }

    fn lease(
        &self,
        response: Response<Incoming>,
        connection: Connection,
        permit: OwnedSemaphorePermit,
        is_kept: bool,
    ) -> Response<Streamed> {
        let (upstream, connection, permit) = (self.clone(), Some(connection), Some(permit));
        let lease = Lease { upstream, connection, permit, is_kept };
        response.map(|body| Streamed::new(body, lease))
    }

    async fn connect(&self) -> io::Result<Connection> {
        let stream = TcpStream::connect(self.0.address).await?;
        stream.set_nodelay(true)?;
        let handshake = http1::Builder::new()
            .max_headers(MAX_HEADERS)
            .preserve_header_case(true)
            .handshake(TokioIo::new(stream));
        let (sender, connection) = handshake.await.map_err(io::Error::other)?;
        // How it fails is said to whoever waits for an answer.
        tokio::spawn(connection.with_upgrades());
        Ok(sender)
    }

    /// Takes a connection that was kept.
    fn kept(&self) -> Option<Connection> {
        let mut idle = self.idle();
        std::iter::from_fn(|| idle.pop()).find(|connection| !connection.is_closed())
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        // It is pushed to, or taken from.
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a server does the same if it gets it twice, and it says so by itself (RFC 9110, section 9.2.1).
fn is_repeatable(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

fn bodyless(head: Parts) -> Request<Body> {
    Request::from_parts(head, body::empty())
}

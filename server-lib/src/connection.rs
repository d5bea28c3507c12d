//! One connection, HTTP/1 or HTTP/2 as the client begins.

mod under_way;

use std::{
    future::poll_fn,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use axum::{
    Router,
    body::{Body, HttpBody},
    extract::Request,
    http::{HeaderValue, Response, Version, header::CONNECTION},
};
use hyper::{body::Incoming, service::Service};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use self::under_way::{Answer, Question, UnderWay};
use crate::{
    config::Limits,
    draining::Draining,
    limits::{Pace, Paced, Slots},
    live::Live,
    router::Client,
};

/// A round trip to the other side of the earth.
pub(crate) const ROUND_TRIP: Duration = Duration::from_millis(250);

/// A client that had connected before its address was closed may have a request on the way. A longer
/// grace would hold up the end for clients that connect in advance, or keep a connection, and say
/// nothing.
pub(crate) const LAST_REQUEST_GRACE: Duration = ROUND_TRIP;

/// Streams of one HTTP/2 connection at once, as RFC 9113, section 6.5.2, has for the least.
const STREAMS: u32 = 100;

/// Streams of one HTTP/2 connection that the client has reset before they were even looked at, and
/// streams that were reset for errors of the client: beyond it the connection ends (CVE-2023-44487,
/// RUSTSEC-2024-0003).
const PENDING_RESETS: usize = 20;
const LOCAL_RESETS: usize = 256;

/// Serves a connection to its end; after `stop`, to the end of its requests under way, for as long
/// as it is polled.
pub(crate) async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    client: Option<SocketAddr>,
    router: Router,
    live: Arc<Live>,
    slots: Arc<Slots>,
    stop: CancellationToken,
) {
    let applied = live.load_full();
    let limits = &applied.config.limits;
    let pace = Arc::new(Pace::new(limits));
    let service = Noting {
        pace: Arc::clone(&pace),
        client: Client(client.map(|client| client.ip())),
        draining: Draining::new(stop.clone()),
        slots,
        answers: TowerToHyperService::new(router),
    };
    let stream = Paced::new(stream, Arc::clone(&pace));
    let builder = builder(limits);
    // A connection may be long.
    drop(applied);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));

    let to_its_end = async {
        tokio::select! {
            biased;
            ended = connection.as_mut() => return ended,
            () = stop.cancelled() => {}
        }
        // HTTP/2 has a word for it (GOAWAY, RFC 9113, section 6.8) that loses no request.
        if !pace.is_multiplexed() {
            // Whoever asks now is told that it is the last time; to end a connection that looks idle
            // would lose the request that is on its way.
            if let Ok(ended) = timeout(LAST_REQUEST_GRACE, connection.as_mut()).await {
                return ended;
            }
            // Nor is it idle once a part of a head is here: that has its time to come whole.
            let ended = poll_fn(|cx| match connection.as_mut().poll(cx) {
                Poll::Ready(ended) => Poll::Ready(Some(ended)),
                Poll::Pending if pace.is_amid_head() => Poll::Pending,
                Poll::Pending => Poll::Ready(None),
            });
            if let Some(ended) = ended.await {
                return ended;
            }
        }
        connection.as_mut().graceful_shutdown();
        pace.drains();
        connection.await
    };
    tokio::select! {
        biased;
        ended = to_its_end => {
            if let Err(error) = ended {
                debug!(%error, "ended by an error");
            }
        }
        overdue = pace.overdue() => debug!("cut off: it took longer than {}", overdue.as_str()),
    }
}

fn builder(limits: &Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    let header_bytes = usize::try_from(limits.max_header_bytes).unwrap_or(usize::MAX);
    // Time is kept by `Pace`, which tells a head that is slow from a connection that is idle.
    builder.http1().timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(header_bytes);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(limits.max_header_bytes)
        .max_concurrent_streams(STREAMS)
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .max_local_error_reset_streams(LOCAL_RESETS);
    builder
}

/// Notes when requests begin and end, and tells them, and those who ask, what there is to know of their
/// connection.
struct Noting<S> {
    pace: Arc<Pace>,
    client: Client,
    draining: Draining,
    slots: Arc<Slots>,
    answers: S,
}

impl<S> Service<Request<Incoming>> for Noting<S>
where
    S: Service<Request<Question>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = Response<Answer>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let is_http2 = request.version() == Version::HTTP_2;
        let has_body = !request.body().is_end_stream();
        let under_way = UnderWay::begin(&self.pace, is_http2, !has_body);
        request.extensions_mut().insert(self.client);
        request.extensions_mut().insert(self.draining.clone());
        let (draining, slots) = (self.draining.clone(), Arc::clone(&self.slots));
        let answer = self.answers.call(request.map(|body| Question::new(body, &self.pace)));
        Box::pin(async move {
            let mut response = answer.await?;
            // Others get a turn, rather than wait until this one has been idle for long enough.
            // The connection of which it is (RFC 9112, section 9.6); HTTP/2 has no such header.
            if !is_http2 && (draining.has_begun() || slots.is_full()) {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            if has_body && response.status().is_client_error() {
                under_way.is_refused();
            }
            Ok(response.map(|body| Answer::new(body, under_way)))
        })
    }
}

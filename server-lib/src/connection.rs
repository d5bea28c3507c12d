//! One connection, HTTP/1 or HTTP/2 as the client begins.

use std::{
    future::pending,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
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
    sync::SetOnce,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::live::Live;

/// A client that had connected before its address was closed may have a request on the way: this is
/// a round trip to the other side of the earth. A longer one would hold up the end for clients
/// that connect in advance, or keep a connection, and say nothing.
pub(crate) const LAST_REQUEST_GRACE: Duration = Duration::from_millis(250);

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
    let talk = Arc::new(Talk { begun: SetOnce::new(), stop: stop.clone() });
    let service = Noting { talk: Arc::clone(&talk), answers: TowerToHyperService::new(router) };
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));

    let silent = async {
        if timeout(FIRST_REQUEST_TIMEOUT, talk.begun.wait()).await.is_ok() {
            pending::<()>().await;
        }
    };
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => Some(ended),
        () = silent => return debug!("cut off: it has asked nothing"),
        () = stop.cancelled() => None,
    };
    let ended = if let Some(ended) = ended {
        ended
    } else {
        let drain_timeout = live.load().config.drain_timeout();
        let drained = async {
            // HTTP/2 has a word for it (GOAWAY, RFC 9113, section 6.8) that loses no request.
            if !talk.is_http2() {
                // Whoever asks now is told that it is the last time; to end a connection that looks idle
                // would lose the request that is on its way.
                if let Ok(ended) = timeout(LAST_REQUEST_GRACE, connection.as_mut()).await {
                    return ended;
                }
            }
            connection.as_mut().graceful_shutdown();
            connection.as_mut().await
        };
        match timeout(drain_timeout, drained).await {
            Ok(ended) => ended,
            Err(_elapsed) => return debug!("cut off: it took longer than drain_timeout_ms"),
        }
    };
    if let Err(error) = ended {
        debug!(%error, "ended by an error");
    }
}

/// What is known of the requests on a connection.
#[derive(Debug)]
struct Talk {
    /// Set by the first request, to whether it is one of HTTP/2.
    begun: SetOnce<bool>,
    stop: CancellationToken,
}

impl Talk {
    fn is_http2(&self) -> bool {
        self.begun.get() == Some(&true)
    }
}

/// Takes note of requests, and tells clients of HTTP/1 when one is the last.
struct Noting<S> {
    talk: Arc<Talk>,
    answers: S,
}

impl<S, B> Service<Request<Incoming>> for Noting<S>
where
    S: Service<Request<Incoming>, Response = Response<B>>,
    S::Future: Send + 'static,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<B>, S::Error>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let is_http2 = request.version() == Version::HTTP_2;
        // Set already by an earlier one.
        let _ = self.talk.begun.set(is_http2);
        let talk = Arc::clone(&self.talk);
        let answer = self.answers.call(request);
        Box::pin(async move {
            let mut response = answer.await?;
            // The connection of which it is (RFC 9112, section 9.6); HTTP/2 has no such header.
            if talk.stop.is_cancelled() && !is_http2 {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response)
        })
    }
}

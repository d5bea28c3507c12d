//! HTTP/2 without TLS to a process that understands it, for clients that speak it: a call of gRPC goes both
//! ways at once, and ends with trailers.

use std::{
    io,
    net::SocketAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hyper::{
    Request, Response, Uri, Version,
    body::Incoming,
    client::conn::http2::{Builder, SendRequest},
    header,
    http::{request::Parts, uri::Scheme},
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::OnceCell,
    time::timeout,
};

use super::{MAX_HEADER_LIST, upstream::NotSent};

/// What a client says first (RFC 9113, section 3.4), with settings that set nothing.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// A process that says nothing for so long is taken not to understand.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// What is known of HTTP/2 at one address.
#[derive(Debug, Default)]
pub(super) struct Http2 {
    is_understood: OnceCell<bool>,
    /// All requests go by one connection.
    sender: Mutex<Option<SendRequest<Incoming>>>,
}

impl Http2 {
    /// Whether it is understood there; that is found out once.
    pub(super) async fn is_understood(&self, address: SocketAddr) -> io::Result<bool> {
        let asks = async || {
            let mut stream = TcpStream::connect(address).await?;
            Ok(timeout(ANSWER_TIMEOUT, begins(&mut stream)).await.unwrap_or(false))
        };
        self.is_understood.get_or_try_init(asks).await.copied()
    }

    /// Sends a request, and returns the head of its answer; a connection that ends before the request has left
    /// is replaced once.
    pub(super) async fn send(
        &self,
        address: SocketAddr,
        head: Parts,
        mut body: Incoming,
    ) -> Result<Response<Incoming>, NotSent> {
        let mut is_another = false;
        loop {
            let mut sender = match self.sender(address).await {
                Ok(sender) => sender,
                Err(error) => return Err(NotSent::Unsent(Box::new((head, body)), error)),
            };
            let sent = sender.try_send_request(request(head.clone(), body)).await;
            let mut failed = match sent {
                Ok(response) => return Ok(response),
                Err(failed) => failed,
            };
            let unsent = failed.take_message();
            let error = failed.into_error();
            body = match unsent {
                Some(unsent) => unsent.into_body(),
                None => return Err(NotSent::Lost(error)),
            };
            if is_another {
                return Err(NotSent::Unsent(Box::new((head, body)), io::Error::other(error)));
            }
            is_another = true;
            self.clear();
        }
    }

    /// A connection that takes requests.
    async fn sender(&self, address: SocketAddr) -> io::Result<SendRequest<Incoming>> {
        let kept = self.kept().clone();
        if let Some(mut sender) = kept
            && sender.ready().await.is_ok()
        {
            return Ok(sender);
        }
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut builder = Builder::new(TokioExecutor::new());
        builder.timer(TokioTimer::new()).max_header_list_size(MAX_HEADER_LIST);
        let (sender, connection) =
            builder.handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        // How it fails is said to whoever waits for an answer.
        tokio::spawn(connection);
        *self.kept() = Some(sender.clone());
        Ok(sender)
    }

    /// Sends nothing more by the connection that was kept.
    pub(super) fn clear(&self) {
        *self.kept() = None;
    }

    fn kept(&self) -> MutexGuard<'_, Option<SendRequest<Incoming>>> {
        // It is set, or taken from.
        self.sender.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the first word of a server is one of HTTP/2: its settings.
async fn begins(stream: &mut TcpStream) -> bool {
    let mut frame = [0; 9];
    let answers =
        stream.write_all(PREFACE).await.is_ok() && stream.read_exact(&mut frame).await.is_ok();
    answers && frame[3] == 4 && frame[5..] == [0; 4]
}

/// Makes a request of HTTP/1.1 one of HTTP/2, which names its host elsewhere.
fn request(mut head: Parts, body: Incoming) -> Request<Incoming> {
    let host = head.headers.remove(header::HOST);
    let host = host.and_then(|host| host.as_bytes().try_into().ok());
    let mut uri = head.uri.into_parts();
    uri.scheme = Some(Scheme::HTTP);
    uri.authority = host.or_else(|| "localhost".parse().ok());
    head.uri = Uri::from_parts(uri).unwrap_or_default();
    head.version = Version::HTTP_2;
    Request::from_parts(head, body)
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::poll;
    use http_body_util::BodyExt;
    use hyper::{client::conn::http1, server, service::service_fn};
    use tokio::{net::TcpListener, time::Instant};

    use super::*;
    use crate::proxy::body;

    const PATIENCE: Duration = Duration::from_secs(60);

    async fn listen() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    /// A body as it comes in.
    async fn incoming() -> Incoming {
        let (client, mut server) = tokio::io::duplex(1024);
        let (mut sender, connection) = http1::handshake(TokioIo::new(client)).await.unwrap();
        tokio::spawn(connection);
        let asks = sender.send_request(Request::new(body::empty()));
        let answers = async {
            assert_ne!(server.read(&mut [0; 1024]).await.unwrap(), 0);
            server.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbody").await.unwrap();
        };
        tokio::join!(asks, answers).0.unwrap().into_body()
    }

    /// A server that neither understood it nor refused it once held up every request.
    #[tokio::test(start_paused = true)]
    async fn whoever_stays_silent_is_asked_once() {
        let (_silent, address) = listen().await;
        let (http2, begun) = (Http2::default(), Instant::now());
        for _ in 0..3 {
            assert!(!http2.is_understood(address).await.unwrap());
        }
        assert!(begun.elapsed() < ANSWER_TIMEOUT * 2, "{:?}", begun.elapsed());
    }

    /// It was once lost with the connection that it was to go by.
    #[tokio::test]
    async fn a_request_that_has_not_left_goes_by_another_connection() {
        let (listener, address) = listen().await;
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let echo = service_fn(|request: Request<Incoming>| async {
                Ok::<_, std::convert::Infallible>(Response::new(request.into_body()))
            });
            let builder = server::conn::http2::Builder::new(TokioExecutor::new());
            builder.serve_connection(TokioIo::new(stream), echo).await
        });
        let http2 = Http2::default();
        let (ours, _theirs) = tokio::io::duplex(1024);
        let handshake = Builder::new(TokioExecutor::new()).handshake(TokioIo::new(ours));
        let (sender, connection) = handshake.await.unwrap();
        *http2.kept() = Some(sender);
        // It takes requests, and ends before it has sent the next.
        let mut connection = Box::pin(connection);
        assert!(poll!(&mut connection).is_pending());
        let (head, ()) = Request::post("/echo").body(()).unwrap().into_parts();
        let mut sends = pin!(http2.send(address, head, incoming().await));
        assert!(poll!(&mut sends).is_pending());
        drop(connection);
        let Ok(response) = timeout(PATIENCE, sends).await.unwrap() else { panic!("it is lost") };
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "body");
    }
}

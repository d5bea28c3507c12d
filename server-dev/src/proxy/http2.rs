//! HTTP/2 without TLS to a process that understands it, for clients that speak it: a call of gRPC goes both
//! ways at once, and ends with trailers.

use std::{
    io,
    net::SocketAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hyper::{
    Request, Uri, Version,
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

use super::{MAX_HEADER_LIST, body::Body};

/// What a client says first (RFC 9113, section 3.4), with settings that set nothing.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// A process that says nothing for so long is taken not to understand.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// What is known of HTTP/2 at one address.
#[derive(Debug, Default)]
pub(super) struct Http2 {
    is_understood: OnceCell<bool>,
    /// All requests go by one connection.
    sender: Mutex<Option<SendRequest<Body>>>,
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

    /// A connection that takes requests.
    pub(super) async fn sender(&self, address: SocketAddr) -> io::Result<SendRequest<Body>> {
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

    fn kept(&self) -> MutexGuard<'_, Option<SendRequest<Body>>> {
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
pub(super) fn request(mut head: Parts, body: Body) -> Request<Body> {
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
    use tokio::{net::TcpListener, time::Instant};

    use super::*;

    async fn listen() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
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
}

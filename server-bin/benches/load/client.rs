//! Clients that never forgive: whatever is not answered with 200 and a whole body has failed.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::{
        AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt,
        BufReader,
    },
    net::TcpStream,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{seen::Seen, trust::Trust};

/// Longer than any answer may take.
pub const LONGEST: Duration = Duration::from_secs(10);

/// How a client asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One request after another on one connection, for as long as the server keeps it.
    KeepAlive,
    /// Each request on a connection of its own.
    Fresh,
    /// The head of a request in pieces, over a third of a second.
    Slow,
}

/// By what a client asks.
#[derive(Debug, Clone, Copy)]
pub enum Over {
    Tcp,
    Tls,
}

/// Whom clients ask, until when, and what they see.
pub struct Load {
    pub http: SocketAddr,
    pub https: SocketAddr,
    pub admin: SocketAddr,
    pub trust: Arc<Trust>,
    pub seen: Seen,
    pub stop: CancellationToken,
}

/// What can be talked over.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

type Connection = BufReader<Box<dyn Stream>>;

/// The head of an answer with 200.
#[derive(Debug, Default)]
pub struct Head {
    pub length: Option<usize>,
    pub is_chunked: bool,
    /// Whether the server closes the connection after it.
    pub is_last: bool,
}

/// Asks until the load stops.
pub async fn ask(kind: Kind, over: Over, load: &Load) {
    while !load.stop.is_cancelled() {
        // Whoever comes anew waits for a connection as well.
        let mut begun = Instant::now();
        let mut stream = match within(LONGEST, connect(over, load)).await {
            Ok(stream) => stream,
            Err(error) => {
                load.seen.failed((kind, over, "connecting"), error);
                continue;
            }
        };
        loop {
            match within(LONGEST, exchange(&mut stream, kind)).await {
                Ok(is_kept) => {
                    // How long a slow client takes says nothing of the server.
                    if kind != Kind::Slow {
                        load.seen.answered(begun.elapsed());
                    }
                    if !is_kept || load.stop.is_cancelled() {
                        break;
                    }
                }
                Err(error) => {
                    load.seen.failed((kind, over, "asking"), error);
                    break;
                }
            }
            begun = Instant::now();
        }
    }
}

/// Waits no longer than that for it.
pub async fn within<T>(
    longest: Duration,
    action: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    timeout(longest, action).await?
}

async fn connect(over: Over, load: &Load) -> io::Result<Connection> {
    let address = match over {
        Over::Tcp => load.http,
        Over::Tls => load.https,
    };
    let stream = TcpStream::connect(address).await?;
    // A socket that is gone already says so when it is read.
    let _ = stream.set_nodelay(true);
    Ok(BufReader::new(match over {
        Over::Tcp => Box::new(stream),
        Over::Tls => Box::new(load.trust.shake(stream).await?),
    }))
}

/// Asks once; returns whether the connection may be used again.
async fn exchange(stream: &mut Connection, kind: Kind) -> io::Result<bool> {
    let request = match kind {
        Kind::KeepAlive => "GET / HTTP/1.1\r\nhost: load\r\n\r\n",
        Kind::Fresh | Kind::Slow => "GET / HTTP/1.1\r\nhost: load\r\nconnection: close\r\n\r\n",
    };
    if kind == Kind::Slow {
        for piece in request.as_bytes().chunks(16) {
            stream.write_all(piece).await?;
            stream.flush().await?;
            sleep(Duration::from_millis(100)).await;
        }
    } else {
        stream.write_all(request.as_bytes()).await?;
        stream.flush().await?;
    }
    let head = head(stream).await?;
    let length = head.length.ok_or_else(|| io::Error::other("an answer without a length"))?;
    stream.read_exact(&mut vec![0; length]).await?;
    Ok(!head.is_last)
}

/// Reads the head of an answer, which is to be 200.
pub async fn head(stream: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Head> {
    let status = line(stream).await?;
    if status != "http/1.1 200 ok" {
        return Err(io::Error::other(status));
    }
    let mut head = Head::default();
    loop {
        let line = line(stream).await?;
        match line.split_once(": ") {
            _ if line.is_empty() => return Ok(head),
            Some(("content-length", value)) => head.length = value.parse().ok(),
            Some(("transfer-encoding", "chunked")) => head.is_chunked = true,
            Some(("connection", "close")) => head.is_last = true,
            _ => {}
        }
    }
}

/// Reads a line, in lower case and without its end.
pub async fn line(stream: &mut (impl AsyncBufRead + Unpin)) -> io::Result<String> {
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    match line.strip_suffix("\r\n") {
        Some(line) => Ok(line.to_ascii_lowercase()),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

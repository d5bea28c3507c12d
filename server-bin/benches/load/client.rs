//! Clients that never forgive: whatever is not answered with 200 and a whole body has failed.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::{sleep, timeout},
};

/// Longer than any answer may take.
const LONGEST: Duration = Duration::from_secs(10);

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

/// What clients have seen so far.
#[derive(Debug, Default)]
pub struct Seen {
    latencies: Mutex<Vec<Duration>>,
    failures: Mutex<Vec<String>>,
}

impl Seen {
    /// Returns the latencies of those that were answered since the last call.
    pub fn take(&self) -> Vec<Duration> {
        std::mem::take(&mut self.latencies.lock().expect("no panic"))
    }

    /// What was not answered, and why.
    pub fn failures(&self) -> Vec<String> {
        self.failures.lock().expect("no panic").clone()
    }

    fn answered(&self, after: Duration) {
        self.latencies.lock().expect("no panic").push(after);
    }

    fn failed(&self, kind: Kind, step: &str, error: &io::Error) {
        self.failures.lock().expect("no panic").push(format!("{kind:?}: {step}: {error}"));
    }
}

/// Asks at `address` until `stop`.
pub async fn ask(kind: Kind, address: SocketAddr, seen: &Seen, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let connected = timeout(LONGEST, TcpStream::connect(address)).await;
        let stream = match connected.map_err(io::Error::from).flatten() {
            Ok(stream) => stream,
            Err(error) => {
                seen.failed(kind, "connecting", &error);
                continue;
            }
        };
        // A socket that is gone already says so when it is read.
        let _ = stream.set_nodelay(true);
        let mut stream = BufReader::new(stream);
        loop {
            let begun = Instant::now();
            match timeout(LONGEST, exchange(&mut stream, kind)).await.map_err(io::Error::from) {
                Ok(Ok(is_kept)) => {
                    // How long a slow client takes says nothing of the server.
                    if kind != Kind::Slow {
                        seen.answered(begun.elapsed());
                    }
                    if !is_kept || stop.load(Ordering::Relaxed) {
                        break;
                    }
                }
                Ok(Err(error)) | Err(error) => {
                    seen.failed(kind, "asking", &error);
                    break;
                }
            }
        }
    }
}

/// Asks once; returns whether the connection may be used again.
async fn exchange(stream: &mut BufReader<TcpStream>, kind: Kind) -> io::Result<bool> {
    let head = match kind {
        Kind::KeepAlive => "GET / HTTP/1.1\r\nhost: load\r\n\r\n",
        Kind::Fresh | Kind::Slow => "GET / HTTP/1.1\r\nhost: load\r\nconnection: close\r\n\r\n",
    };
    if kind == Kind::Slow {
        for piece in head.as_bytes().chunks(16) {
            stream.write_all(piece).await?;
            sleep(Duration::from_millis(100)).await;
        }
    } else {
        stream.write_all(head.as_bytes()).await?;
    }
    let (mut is_kept, mut length, mut line) = (true, None, String::new());
    for n in 0.. {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let text = line.trim_end().to_ascii_lowercase();
        match text.split_once(": ") {
            _ if n == 0 && text != "http/1.1 200 ok" => return Err(io::Error::other(text)),
            _ if text.is_empty() => break,
            Some(("content-length", value)) => length = value.parse().ok(),
            Some(("connection", "close")) => is_kept = false,
            _ => {}
        }
    }
    let length = length.ok_or_else(|| io::Error::other("an answer without a length"))?;
    stream.read_exact(&mut vec![0; length]).await?;
    Ok(is_kept)
}

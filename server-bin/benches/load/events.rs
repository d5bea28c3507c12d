//! Clients that hold a stream of events open: it may end, but only as a whole.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

use crate::client::{LONGEST, Load, head, line, within};

/// Longer than a stream of events may say nothing: it shows every 15 seconds that it is there.
const QUIET: Duration = Duration::from_secs(20);

const REQUEST: &[u8] = b"GET /events HTTP/1.1\r\nhost: localhost\r\n\r\n";

/// Follows the events, and asks anew whenever their stream has ended, until the load stops.
pub async fn follow(load: &Load) {
    let follow = async {
        loop {
            match stream(load.admin).await {
                Ok(()) => load.seen.stream_ended(),
                Err(error) => load.seen.failed("events", error),
            }
        }
    };
    tokio::select! {
        biased;
        () = load.stop.cancelled() => {}
        () = follow => {}
    }
}

/// Reads one stream to its last chunk, and to the end of its connection.
async fn stream(address: SocketAddr) -> io::Result<()> {
    let mut stream = BufReader::new(within(LONGEST, TcpStream::connect(address)).await?);
    within(LONGEST, stream.write_all(REQUEST)).await?;
    if !within(LONGEST, head(&mut stream)).await?.is_chunked {
        return Err(io::Error::other("not in chunks"));
    }
    while !within(QUIET, is_last_chunk(&mut stream)).await? {}
    match within(LONGEST, stream.read(&mut [0])).await? {
        0 => Ok(()),
        _ => Err(io::Error::other("something after the last chunk")),
    }
}

/// Reads a chunk (RFC 9112, section 7.1).
async fn is_last_chunk(stream: &mut BufReader<TcpStream>) -> io::Result<bool> {
    let size = usize::from_str_radix(&line(stream).await?, 16).map_err(io::Error::other)?;
    stream.read_exact(&mut vec![0; size]).await?;
    match line(stream).await?.as_str() {
        "" => Ok(size == 0),
        _ => Err(io::Error::other("a chunk longer than it says")),
    }
}

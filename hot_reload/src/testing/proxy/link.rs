//! What flows through one connection.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::{mpsc, watch},
    time::{Instant, sleep, sleep_until},
};

use super::{Control, Mode, Open};

/// As much as is held of one direction; then the sender has to wait, as in a real network.
const HELD_CHUNKS: usize = 256;
const CHUNK: usize = 16 * 1024;
/// Throttled, a second's worth flows in so many pieces.
const PIECES: u32 = 20;

/// Something on its way.
struct Chunk {
    bytes: Vec<u8>,
    arrived: Instant,
}

/// Carries what the two ends say until both have said all, or one is gone.
pub(super) async fn link(
    client: &mut TcpStream,
    server: &mut TcpStream,
    control: watch::Receiver<Control>,
    open: Open,
) {
    let half_closes = control.borrow().half_closes;
    let mut halves = control.clone();
    let (from_client, mut to_client) = client.split();
    let (from_server, mut to_server) = server.split();
    let down = async {
        tokio::select! {
            biased;
            // The sender goes with the proxy, and this with it.
            _ = halves.wait_for(|now| now.half_closes != half_closes) => {}
            carried = carry(from_server, &mut to_client, control.clone(), None) => carried?,
        }
        to_client.shutdown().await
    };
    let up = async {
        carry(from_client, &mut to_server, control.clone(), Some(open)).await?;
        to_server.shutdown().await
    };
    // An end that is gone ends both directions.
    let _gone: io::Result<((), ())> = async { tokio::try_join!(up, down) }.await;
}

/// Carries one direction to its end.
async fn carry(
    mut from: ReadHalf<'_>,
    to: &mut WriteHalf<'_>,
    mut control: watch::Receiver<Control>,
    open: Option<Open>,
) -> io::Result<()> {
    let (held, mut holds) = mpsc::channel(HELD_CHUNKS);
    let read = async move {
        // Both end with what there is to read: the count, and the queue.
        let (open, held) = (open, held);
        let mut buffer = vec![0; CHUNK];
        loop {
            let length = from.read(&mut buffer).await?;
            if let Some(open) = &open {
                open.has_sent(length);
            }
            let chunk = Chunk { bytes: buffer[..length].to_vec(), arrived: Instant::now() };
            if length == 0 || held.send(chunk).await.is_err() {
                return Ok(());
            }
        }
    };
    let write = async {
        while let Some(chunk) = holds.recv().await {
            deliver(&chunk, to, &mut control).await?;
        }
        // The end is held in a black hole, like all else; the sender goes with the proxy.
        drop(control.wait_for(|now| now.mode != Mode::BlackHole).await);
        Ok(())
    };
    tokio::try_join!(read, write).map(|((), ())| ())
}

#[expect(clippy::cast_precision_loss, reason = "a chunk is small")]
async fn deliver(
    chunk: &Chunk,
    to: &mut WriteHalf<'_>,
    control: &mut watch::Receiver<Control>,
) -> io::Result<()> {
    let mut rest = chunk.bytes.as_slice();
    while !rest.is_empty() {
        let mode = control.borrow_and_update().mode;
        match mode {
            Mode::Pass => rest = &rest[to.write(rest).await?..],
            Mode::Delay(delay) if chunk.arrived.elapsed() >= delay => {
                rest = &rest[to.write(rest).await?..];
            }
            Mode::Delay(delay) => wait(sleep_until(chunk.arrived + delay), control).await,
            Mode::Throttle(rate) => {
                let piece = (rate / PIECES).max(1) as usize;
                let written = to.write(&rest[..piece.min(rest.len())]).await?;
                rest = &rest[written..];
                let pause = Duration::from_secs(1).mul_f64(written as f64 / f64::from(rate));
                wait(sleep(pause), control).await;
            }
            Mode::BlackHole | Mode::Refuse => wait(std::future::pending(), control).await,
        }
    }
    Ok(())
}

/// Waits for `time`, or until there is something else to do.
async fn wait(time: impl Future<Output = ()>, control: &mut watch::Receiver<Control>) {
    tokio::select! {
        () = time => {}
        // The sender goes with the proxy, and this with it.
        Ok(()) = control.changed() => {}
        else => {}
    }
}

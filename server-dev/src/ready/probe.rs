//! Whether a process takes connections, or answers, where it alone does.

use std::{net::SocketAddr, time::Duration};

use http_body_util::Empty;
use hyper::{Request, body::Bytes, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpStream,
    time::{sleep, timeout},
};
use tokio_util::task::AbortOnDropHandle;

/// The pause between two attempts while it starts.
const POLL_INTERVAL: Duration = Duration::from_millis(5);
/// One that takes longer is asked anew.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// Waits until a connection succeeds.
pub(super) async fn connects(address: SocketAddr) {
    while !TcpStream::connect(address).await.is_ok_and(|stream| !is_its_own(&stream)) {
        sleep(POLL_INTERVAL).await;
    }
}

/// Whether a connection is with itself, as TCP allows where nobody listens (RFC 9293, section 3.5).
fn is_its_own(stream: &TcpStream) -> bool {
    matches!((stream.local_addr(), stream.peer_addr()), (Ok(ours), Ok(theirs)) if ours == theirs)
}

/// Waits until `path` is answered with success.
pub(super) async fn answers(address: SocketAddr, path: &str) {
    while timeout(ANSWER_TIMEOUT, ask(address, path)).await != Ok(Some(true)) {
        sleep(POLL_INTERVAL).await;
    }
}

async fn ask(address: SocketAddr, path: &str) -> Option<bool> {
    let stream = TcpStream::connect(address).await.ok()?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
    let request = Request::get(path)
        .header(header::HOST, "localhost")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .ok()?;
    let _talking = AbortOnDropHandle::new(tokio::spawn(connection));
    Some(sender.send_request(request).await.ok()?.status().is_success())
}

//! Whether a process takes connections, or answers, where it alone does.

use std::{
    error::Error,
    fmt::{self, Display},
    net::SocketAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use http_body_util::Empty;
use hyper::{Request, StatusCode, body::Bytes, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpStream,
    time::{Instant, sleep, timeout},
};
use tokio_util::task::AbortOnDropHandle;

use super::POLL_INTERVAL;

/// The longest pause between two requests: each of them is work for whoever starts.
const LONGEST_INTERVAL: Duration = Duration::from_millis(250);
/// One that takes longer is asked anew.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// What came of the last request to a process that is not ready.
#[derive(Debug, Default)]
pub(crate) struct LastLook(Mutex<Option<String>>);

impl LastLook {
    fn set(&self, path: &str, came: &impl Display) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(format!("{path}: {came}"));
    }
}

/// Says nothing where nobody was asked.
impl Display for LastLook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.iter().try_for_each(|last| write!(f, "; the last look at {last}"))
    }
}

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
pub(super) async fn answers(address: SocketAddr, path: &str, last: &LastLook) {
    let begun = Instant::now();
    loop {
        match timeout(ANSWER_TIMEOUT, ask(address, path)).await {
            Ok(Ok(status)) if status.is_success() => return,
            Ok(Ok(status)) => last.set(path, &format_args!("it answered {status}")),
            Ok(Err(error)) => last.set(path, &error),
            Err(_elapsed) => last.set(path, &format_args!("no answer within {ANSWER_TIMEOUT:?}")),
        }
        sleep(pause(begun.elapsed())).await;
    }
}

/// The pause after requests for so long: a tenth of it is not noticed.
fn pause(after: Duration) -> Duration {
    (after / 10).clamp(POLL_INTERVAL, LONGEST_INTERVAL)
}

async fn ask(address: SocketAddr, path: &str) -> Result<StatusCode, Box<dyn Error + Send + Sync>> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(path)
        .header(header::HOST, "localhost")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())?;
    let _talking = AbortOnDropHandle::new(tokio::spawn(connection));
    Ok(sender.send_request(request).await?.status())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_often_at_first_and_then_less() {
        for (after, want) in [(0, 5), (50, 5), (51, 5), (100, 10), (2500, 250), (60_000, 250)] {
            let pause = pause(Duration::from_millis(after));
            assert_eq!(pause.as_millis(), want, "{after}");
        }
    }
}

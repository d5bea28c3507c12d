//! The beginning of a connection over TLS.

use std::{io, sync::Arc};

use rustls::{ServerConfig, server::Acceptor};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{sleep, timeout},
};
use tokio_rustls::{LazyConfigAcceptor, server::TlsStream};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::{connection::LAST_REQUEST_GRACE, live::Live};

/// Shakes hands with a client, which may take as long as the head of a request; `None` where nothing
/// comes of it.
///
/// After `stop` a client that has begun may finish, and one that has not is waited for as long as for a
/// first request.
pub(crate) async fn handshake<S>(
    stream: S,
    config: Arc<ServerConfig>,
    live: &Live,
    stop: &CancellationToken,
) -> Option<TlsStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let shaking = async {
        let hello = tokio::select! {
            biased;
            hello = LazyConfigAcceptor::new(Acceptor::default(), stream) => hello?,
            () = after(stop) => return Err(io::ErrorKind::TimedOut.into()),
        };
        hello.into_stream(config).await
    };
    let limit = live.load().config.limits.header_timeout();
    match timeout(limit, shaking).await {
        Ok(Ok(stream)) => Some(stream),
        // Port scans and plain HTTP are no news to anybody.
        Ok(Err(error)) => {
            debug!(%error, "no handshake");
            None
        }
        Err(_elapsed) => {
            debug!("cut off: its handshake took too long");
            None
        }
    }
}

async fn after(stop: &CancellationToken) {
    stop.cancelled().await;
    sleep(LAST_REQUEST_GRACE).await;
}

#[cfg(test)]
mod tests {
    use tokio::{io::duplex, sync::watch, time::Instant};

    use super::*;
    use crate::tls::Tls;

    #[tokio::test(start_paused = true)]
    async fn gives_up_on_a_client_that_says_nothing() {
        let live = Arc::new(Live::default());
        let config = Tls::new(&live, &watch::Sender::default()).config;
        let limit = live.load().config.limits.header_timeout();
        for (is_stopped, want) in [(false, limit), (true, LAST_REQUEST_GRACE)] {
            let (_client, stream) = duplex(1024);
            let stop = CancellationToken::new();
            if is_stopped {
                stop.cancel();
            }
            let begun = Instant::now();
            assert!(handshake(stream, Arc::clone(&config), &live, &stop).await.is_none());
            assert_eq!(begun.elapsed(), want);
        }
    }
}

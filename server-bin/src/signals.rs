//! What ends the daemon.

use std::io;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// Returns what SIGINT and SIGTERM cancel; elsewhere than on Unix, Ctrl-C. A second one ends the
/// process at once.
pub(crate) fn shutdown() -> io::Result<CancellationToken> {
    let mut signals = Signals::new()?;
    let shutdown = CancellationToken::new();
    let guard = shutdown.clone().drop_guard();
    tokio::spawn(async move {
        let signal = signals.next().await;
        info!(signal, "told to end");
        drop(guard);
        let signal = signals.next().await;
        warn!(signal, "told again: ending at once");
        std::process::exit(1);
    });
    Ok(shutdown)
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};

        let (interrupt, terminate) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        Ok(Self { interrupt, terminate })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    #[allow(clippy::unnecessary_wraps, reason = "it may fail on Unix")]
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> &'static str {
        match tokio::signal::ctrl_c().await {
            Ok(()) => "Ctrl-C",
            // Then nothing can be heard, and only a kill ends it.
            Err(_deaf) => std::future::pending().await,
        }
    }
}

//! What ends the daemon.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::log::Written;

/// SIGINT and SIGTERM, from when it is made on, whichever runtime it is waited for in.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// What is waited for before the process ends at once.
    written: Written,
}

impl Signals {
    /// Takes signals over from the system, which would end the process without a word, or not at all where
    /// it is the first of a container (`pid_namespaces(7)`).
    pub(crate) fn new(written: Written) -> io::Result<Self> {
        // A handler stays once it is set; while there is nothing to load anew or to replace, they do nothing.
        for order in [SignalKind::hangup(), SignalKind::user_defined2()] {
            drop(signal(order)?);
        }
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            written,
        })
    }

    /// Waits until the process is told to end.
    pub(crate) async fn told(&mut self) {
        let signal = self.next().await;
        info!(signal, "told to end");
    }

    /// Returns what the first one cancels. A second one ends the process at once.
    pub(crate) fn shutdown(mut self) -> CancellationToken {
        let shutdown = CancellationToken::new();
        let guard = shutdown.clone().drop_guard();
        tokio::spawn(async move {
            self.told().await;
            drop(guard);
            let signal = self.next().await;
            warn!(signal, "told again: ending at once");
            self.written.wait();
            std::process::exit(1);
        });
        shutdown
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

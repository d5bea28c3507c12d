//! What ends the daemon.

use std::io;

use tokio_util::sync::CancellationToken;
use tracing::info;

/// Returns what SIGINT and SIGTERM cancel; elsewhere than on Unix, Ctrl-C.
pub(crate) fn shutdown() -> io::Result<CancellationToken> {
    let told = first()?;
    let shutdown = CancellationToken::new();
    let guard = shutdown.clone().drop_guard();
    tokio::spawn(async move {
        let signal = told.await;
        info!(signal, "told to end");
        drop(guard);
    });
    Ok(shutdown)
}

#[cfg(unix)]
fn first() -> io::Result<impl Future<Output = &'static str>> {
    use tokio::signal::unix::{SignalKind, signal};

    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => "SIGINT",
            _ = terminate.recv() => "SIGTERM",
        }
    })
}

#[cfg(not(unix))]
fn first() -> io::Result<impl Future<Output = &'static str>> {
    Ok(async {
        match tokio::signal::ctrl_c().await {
            Ok(()) => "Ctrl-C",
            // Then nothing can be heard, and only a kill ends it.
            Err(_deaf) => std::future::pending().await,
        }
    })
}

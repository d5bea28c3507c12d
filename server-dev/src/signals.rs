//! The signals that end everything.

use std::io;

use procfs::process::Process;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The signals that end this process; whoever has started it may have it ignore some of them, as nohup(1) does
/// with SIGHUP, and a shell without job control with SIGINT for what it runs in the background.
pub(crate) fn of_the_end() -> io::Result<Vec<Signal>> {
    let ignored = ignored();
    let maybe = [SignalKind::interrupt(), SignalKind::hangup(), SignalKind::quit()];
    let heeded = maybe.into_iter().filter(|kind| !is_in(ignored, kind.as_raw_value()));
    heeded.chain([SignalKind::terminate()]).map(signal).collect()
}

/// See `SigIgn` in `proc_pid_status(5)`; where it can't be read, none is.
fn ignored() -> u64 {
    let status = Process::myself().and_then(|own| own.status());
    status.map_or(0, |status| status.sigign)
}

/// Whether a signal, by its number, is one of a mask of `proc_pid_status(5)`: the lowest bit is that of 1.
pub(crate) fn is_in(mask: u64, signal: i32) -> bool {
    mask & 1 << (signal - 1) != 0
}

/// The first signal has everything end, the second at once.
pub(crate) async fn attend(
    mut signals: Vec<Signal>,
    over: CancellationToken,
    hurry: CancellationToken,
) {
    loop {
        let any = signals.iter_mut().map(|signal| Box::pin(signal.recv()));
        futures_util::future::select_all(any).await;
        // It may have been asked for by a key before.
        if over.is_cancelled() {
            return hurry.cancel();
        }
        over.cancel();
    }
}

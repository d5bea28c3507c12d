//! What becomes of the terminal under this process: the shell's while this is stopped by Ctrl-Z or in the
//! background, and of another size.

use std::{
    io,
    sync::{Arc, Weak},
};

use rustix::process::{self, getpid, getppid, kill_process};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{report::Report, stat::Stat, terminal::Terminal};

/// Hears the signals by which the terminal is taken, given back or resized.
pub(crate) struct Stops {
    terminal: Weak<Terminal>,
    report: Arc<Report>,
    stopped: Signal,
    continued: Signal,
    resized: Signal,
}

impl Stops {
    pub(crate) fn of(terminal: &Arc<Terminal>, report: &Arc<Report>) -> io::Result<Self> {
        let of = |kind: process::Signal| signal(SignalKind::from_raw(kind.as_raw()));
        Ok(Self {
            terminal: Arc::downgrade(terminal),
            report: Arc::clone(report),
            stopped: of(process::Signal::TSTP)?,
            continued: of(process::Signal::CONT)?,
            resized: of(process::Signal::WINCH)?,
        })
    }

    pub(crate) async fn attend(mut self) {
        loop {
            let is_stopped = tokio::select! {
                _ = self.stopped.recv() => true,
                _ = self.continued.recv() => false,
                _ = self.resized.recv() => false,
            };
            let Some(terminal) = self.terminal.upgrade() else { return };
            if !is_stopped {
                if terminal.take() {
                    self.report.show();
                } else {
                    self.report.hide().await;
                }
            } else if has_shell() {
                self.report.hide().await;
                terminal.give_back();
                // What the signal would have done if it were not attended to. Other threads stop a moment
                // later, so that all else waits until it is continued.
                let _ = kill_process(getpid(), process::Signal::STOP);
            }
        }
    }
}

/// Whether the parent, as a shell, can continue this process: where nobody could, the kernel would not stop
/// it either (credentials(7), of orphaned process groups).
fn has_shell() -> bool {
    let parent = getppid().and_then(Stat::of);
    parent
        .zip(Stat::own())
        .is_some_and(|(parent, own)| parent.session == own.session && parent.group != own.group)
}

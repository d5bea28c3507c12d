//! Lines on their way to stderr, for which nobody waits.
//!
//! Whoever reads them may take none: a terminal that is stopped by Ctrl-S, a pipe whose reader hangs. A
//! thread waits for that then, and the daemon goes on without what is too much to keep.

use std::{
    io::{self, Write, stderr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};

/// Some minutes of what is logged of a busy daemon, in at most some MiB.
const MOST_LINES: usize = 8192;

/// Takes lines, and loses those that there is no room for.
#[derive(Clone)]
pub(super) struct Lines {
    queue: NonBlocking,
    /// How many of those lost have been told of.
    told: Arc<AtomicUsize>,
}

/// Makes it, and what waits for a second at the most, when it is dropped, until all are written.
pub(super) fn to_stderr() -> (Lines, WorkerGuard) {
    let builder = NonBlockingBuilder::default().lossy(true).buffered_lines_limit(MOST_LINES);
    let (queue, written) = builder.thread_name("log").finish(stderr());
    (Lines { queue, told: Arc::default() }, written)
}

impl Lines {
    fn lost(&self) -> usize {
        self.queue.error_counter().dropped_lines()
    }
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let lost = self.lost();
        let length = self.queue.write(line)?;
        // Relaxed: it only counts.
        let told = self.told.load(Ordering::Relaxed);
        if lost > told && self.lost() == lost {
            // There is room again.
            self.told.store(lost, Ordering::Relaxed);
            let those = lost - told;
            let lines = if those == 1 { "line" } else { "lines" };
            writeln!(
                self.queue,
                "{those} {lines} of the log before this one were not taken, and are lost"
            )?;
        }
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.queue.flush()
    }
}

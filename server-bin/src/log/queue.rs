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

/// Makes it, and what waits until all are written when it is dropped, if anybody takes them.
pub(super) fn to_stderr() -> (Lines, WorkerGuard) {
    queue(stderr(), MOST_LINES)
}

fn queue(writer: impl Write + Send + 'static, most: usize) -> (Lines, WorkerGuard) {
    let builder = NonBlockingBuilder::default().lossy(true).buffered_lines_limit(most);
    let (queue, written) = builder.thread_name("log").finish(writer);
    (Lines { queue, told: Arc::default() }, written)
}

impl Lines {
    /// Tells how many were lost since that was told last, where there is room for that again.
    fn tell_of_lost(&mut self) -> io::Result<()> {
        let (told, lost) = (self.told.load(Ordering::Relaxed), self.lost());
        // Relaxed: they only count. Whoever exchanges it tells it.
        let is_new = lost > told
            && self.told.compare_exchange(told, lost, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if is_new {
            let notice = format!(
                "lines of the log that nobody took in time, and are lost: {}\n",
                lost - told
            );
            self.queue.write_all(notice.as_bytes())?;
            if self.lost() > lost {
                // There was not; it is no line of the log itself.
                self.told.store(told + 1, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    fn lost(&self) -> usize {
        self.queue.error_counter().dropped_lines()
    }
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.tell_of_lost()?;
        self.queue.write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.queue.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::mpsc::{Receiver, Sender, channel},
        time::{Duration, Instant},
    };

    use super::*;

    /// Takes one line for each word that it is given.
    struct Reader {
        words: Receiver<()>,
        taken: Sender<String>,
    }

    impl Write for Reader {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            if self.words.recv().is_ok() {
                self.taken.send(String::from_utf8_lossy(line).into_owned()).unwrap();
            }
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_nobody_takes_is_lost_and_told_of_in_one_line_and_in_sum() {
        let ((words, heard), (taken, lines)) = (channel(), channel());
        let (mut log, _written) = queue(Reader { words: heard, taken }, 4);
        for n in 0..100 {
            writeln!(log, "{n}").unwrap();
        }
        let (mut kept, mut lost) = (0, 0);
        let begun = Instant::now();
        for n in 100.. {
            words.send(()).unwrap();
            let line = lines.recv_timeout(Duration::from_secs(20)).unwrap();
            match line.split_once("are lost: ") {
                Some((_, told)) => lost += told.trim().parse::<usize>().unwrap(),
                None => kept += 1,
            }
            // All that were written before this one and are not queued.
            if lost >= 95 {
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "{kept} taken, {lost} lost");
            writeln!(log, "{n}").unwrap();
        }
        assert!(kept >= 1);
    }
}

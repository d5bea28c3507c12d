//! Lines on their way to stderr, for which nobody waits.
//!
//! Whoever reads them may take none: a terminal that is stopped by Ctrl-S, a pipe whose reader hangs. A
//! thread waits for that then, and the daemon goes on without what is too much to keep.

use std::{
    io::{self, Write, stderr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};

/// Some minutes of what is logged of a busy daemon, in at most some MiB.
const MOST_LINES: usize = 8192;

/// Takes lines, and loses those that there is no room for.
#[derive(Clone)]
pub(super) struct Lines(Arc<Mutex<Queue>>);

/// Where one line is added at a time: the queue itself doesn't say which one it has lost.
struct Queue {
    lines: NonBlocking,
    /// How many of those lost have been told of.
    told: usize,
}

/// Makes it, and what waits until all are written when it is dropped, if anybody takes them.
pub(super) fn to_stderr() -> (Lines, WorkerGuard) {
    queue(stderr(), MOST_LINES)
}

fn queue(writer: impl Write + Send + 'static, most: usize) -> (Lines, WorkerGuard) {
    let builder = NonBlockingBuilder::default().lossy(true).buffered_lines_limit(most);
    let (lines, written) = builder.thread_name("log").finish(writer);
    (Lines(Arc::new(Mutex::new(Queue { lines, told: 0 }))), written)
}

impl Lines {
    /// Nothing in it panics halfway.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// Tells how many were lost since that was told last, where there is room for that again.
    fn tell_of_lost(&mut self) -> io::Result<()> {
        let lost = self.lost();
        if lost > self.told {
            let notice = format!(
                "lines of the log that nobody took in time, and are lost: {}\n",
                lost - self.told
            );
            self.lines.write_all(notice.as_bytes())?;
            // Where there was not, it is lost as well; it is no line of the log itself.
            self.told = if self.lost() > lost { self.told + 1 } else { lost };
        }
        Ok(())
    }

    fn lost(&self) -> usize {
        self.lines.error_counter().dropped_lines()
    }
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut queue = self.lock();
        queue.tell_of_lost()?;
        queue.lines.write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.lock().lines.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::mpsc::{Receiver, Sender, channel},
        thread::{sleep, spawn},
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

    /// Takes its time for each line, and keeps it.
    #[derive(Clone, Default)]
    struct Slow(Arc<Mutex<Vec<u8>>>);

    impl Write for Slow {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            sleep(Duration::from_micros(20));
            self.0.lock().unwrap().extend_from_slice(line);
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What other threads lost while one told of it was told of twice, or never.
    #[test]
    fn what_several_threads_lose_is_told_of_in_sum() {
        const THREADS: usize = 4;
        const LINES: usize = 20_000;
        for _round in 0..3 {
            let slow = Slow::default();
            let (mut log, written) = queue(slow.clone(), 64);
            let threads: Vec<_> = (0..THREADS)
                .map(|_| {
                    let mut log = log.clone();
                    spawn(move || {
                        for n in 0..LINES {
                            log.write_all(b"line\n").unwrap();
                            if n % 64 == 0 {
                                // Long enough for some room.
                                sleep(Duration::from_micros(300));
                            }
                        }
                    })
                })
                .collect();
            for thread in threads {
                thread.join().unwrap();
            }
            let all = THREADS * LINES + told_of_all(&mut log);
            drop(written);
            let text = String::from_utf8(slow.0.lock().unwrap().clone()).unwrap();
            let kept = text.lines().filter(|line| *line == "line").count();
            let told = text.lines().filter_map(|line| line.split_once("are lost: "));
            let told: usize = told.map(|(_, lost)| lost.parse::<usize>().unwrap()).sum();
            assert!(told > 0);
            assert_eq!(kept + told, all);
        }
    }

    /// Has it told of all that are lost, which takes a line for which there is room, and returns how many it took.
    fn told_of_all(log: &mut Lines) -> usize {
        let begun = Instant::now();
        for taken in 1.. {
            log.write_all(b"line\n").unwrap();
            let queue = log.lock();
            if queue.told == queue.lost() {
                return taken;
            }
            drop(queue);
            assert!(begun.elapsed() < Duration::from_secs(20), "there is no room");
            sleep(Duration::from_millis(1));
        }
        unreachable!("it is told, or the time is over");
    }
}

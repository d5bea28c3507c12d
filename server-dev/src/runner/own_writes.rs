//! Files that a server writes while it starts: each would have it started anew, for ever.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use rustix::time::{ClockId, clock_gettime};

/// So many starts in a row, at each of which the same file was written, are no chance.
const STARTS: u32 = 6;
/// More files than that are written by somebody else.
const FEW: usize = 8;
/// A server writes at about the same time after each start; who saves a file while it starts doesn't. Up to
/// twice as long, and this.
const SCATTER: Duration = Duration::from_millis(100);

/// What is known of them.
#[derive(Debug, Default)]
pub(super) struct OwnWrites {
    /// When a process began to start, and when it was ready, or was not any more.
    start: Option<(SystemTime, Option<SystemTime>)>,
    /// What was written at each of the last starts.
    files: BTreeSet<PathBuf>,
    starts: u32,
    /// How long after the last of them.
    after: Duration,
    /// Whether nothing is started for these files.
    rests: bool,
}

/// What is to be done about edits.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Judged {
    Heeded,
    /// Nothing is started for these files from here on.
    Found(Vec<PathBuf>),
    /// As was said before.
    Ignored,
}

/// The clock by which a kernel dates files, which goes by ticks: what is written later has no earlier time.
pub(super) fn now() -> SystemTime {
    let now = clock_gettime(ClockId::RealtimeCoarse);
    let seconds = Duration::from_secs(now.tv_sec.try_into().unwrap_or(0));
    SystemTime::UNIX_EPOCH + seconds + Duration::from_nanos(now.tv_nsec.try_into().unwrap_or(0))
}

impl OwnWrites {
    pub(super) fn begins(&mut self, now: SystemTime) {
        self.start = Some((now, None));
    }

    /// It is ready, or will not be.
    pub(super) fn is_over(&mut self, now: SystemTime) {
        if let Some((_, end)) = &mut self.start {
            end.get_or_insert(now);
        }
    }

    /// Somebody asks for a start.
    pub(super) fn asked(&mut self) {
        // If they are written at that one as well, once is enough.
        if std::mem::take(&mut self.rests) {
            self.starts = STARTS - 1;
        }
    }

    /// Judges the edits that need something, by their files and times.
    pub(super) fn judge<'a>(
        &mut self,
        edits: impl Iterator<Item = (&'a Path, Option<SystemTime>)>,
    ) -> Judged {
        let edits: Vec<_> = edits.collect();
        if self.rests && edits.iter().all(|(file, _)| self.files.contains(*file)) {
            return Judged::Ignored;
        }
        if self.rests {
            self.asked();
            return Judged::Heeded;
        }
        let after = edits.iter().map(|(_, written)| self.after_start(*written));
        let after = after.collect::<Option<Vec<_>>>().and_then(|all| all.into_iter().max());
        let Some(after) = after.filter(|_| edits.len() <= FEW) else {
            (self.files, self.starts) = (BTreeSet::new(), 0);
            return Judged::Heeded;
        };
        let written: BTreeSet<_> = edits.into_iter().map(|(file, _)| file.to_owned()).collect();
        let both: BTreeSet<_> = self.files.intersection(&written).cloned().collect();
        let (less, more) = (after.min(self.after), after.max(self.after));
        if both.is_empty() || (self.starts < STARTS - 1 && more > less * 2 + SCATTER) {
            (self.files, self.starts) = (written, 1);
        } else {
            (self.files, self.starts) = (both, self.starts + 1);
        }
        self.after = after;
        self.rests = self.starts >= STARTS;
        if self.rests {
            Judged::Found(self.files.iter().cloned().collect())
        } else {
            Judged::Heeded
        }
    }

    /// How long after the start, if before its end.
    fn after_start(&self, written: Option<SystemTime>) -> Option<Duration> {
        let ((begin, end), written) = self.start.zip(written)?;
        let is_before = end.is_none_or(|end| written < end);
        written.duration_since(begin).ok().filter(|_| is_before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(milliseconds)
    }

    /// A start a second, at which `file` is written after so many milliseconds; ready after 500.
    fn start(own: &mut OwnWrites, n: u64, file: &str, after: u64) -> Judged {
        own.begins(at(n * 1000));
        own.is_over(at(n * 1000 + 500));
        own.judge([(Path::new(file), Some(at(n * 1000 + after)))].into_iter())
    }

    fn found() -> Judged {
        Judged::Found(vec!["app.log".into()])
    }

    #[test]
    fn a_file_that_is_written_at_each_start_is_found_and_left_alone_until_something_else_is_asked()
    {
        let mut own = OwnWrites::default();
        for n in 1..6 {
            assert_eq!(start(&mut own, n, "app.log", 100 + n), Judged::Heeded);
        }
        assert_eq!(start(&mut own, 6, "app.log", 130), found());
        let log = (Path::new("app.log"), Some(at(6900)));
        assert_eq!(own.judge([log].into_iter()), Judged::Ignored);
        // Another file; then once is enough.
        let code = (Path::new("code"), Some(at(6950)));
        assert_eq!(own.judge([log, code].into_iter()), Judged::Heeded);
        assert_eq!(start(&mut own, 7, "app.log", 100), found());
        own.asked();
        assert_eq!(start(&mut own, 8, "app.log", 100), found());
    }

    #[test]
    fn what_somebody_saves_again_and_again_is_heeded() {
        // When it is ready, or at times as a person saves; another file each time; many at once.
        let mut own = OwnWrites::default();
        for n in 1..20 {
            assert_eq!(start(&mut own, n, "code", 500), Judged::Heeded);
        }
        for n in 1..20 {
            assert_eq!(start(&mut own, n, "code", 20 + n % 2 * 300), Judged::Heeded);
        }
        for n in 1..20 {
            assert_eq!(start(&mut own, n, &n.to_string(), 100), Judged::Heeded);
        }
        for n in 1..20 {
            own.begins(at(n * 1000));
            let files: Vec<_> = (0..20).map(|n| n.to_string()).collect();
            let edits = files.iter().map(|file| (Path::new(file), Some(at(n * 1000 + 100))));
            assert_eq!(own.judge(edits), Judged::Heeded);
        }
    }
}

//! Files that a server writes while it starts: each would have it started anew, for ever.
//!
//! Who saves a file again and again while it starts looks the same, and of those edits none may be lost. So
//! they are put off at first: the start goes on to its end, and after a pause there is one more for them.
//! Only what was written at the same times after several of these starts, and never in a pause, is the
//! server's own.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use rustix::time::{ClockId, clock_gettime};

/// So many starts in a row, at each of which the same file was written, are no chance.
const STARTS: u32 = 6;
/// So many of them that nothing has cut short, besides.
const WHOLE_STARTS: u32 = 3;
/// After each of these it is seen whether a file is written at other times as well. The first pause; then
/// longer by this each time, so that nobody who saves on a clock keeps step.
const PAUSE: Duration = Duration::from_secs(1);
/// More files than that are written by somebody else.
const FEW: usize = 8;
/// A server writes at about the same time after each start: up to this sooner or later, and to this part of
/// the time that it takes.
const SCATTER: Duration = Duration::from_millis(200);
const SCATTERED_PART: u32 = 8;

/// What is known of them.
#[derive(Debug, Default)]
pub(super) struct OwnWrites {
    /// When a process began to start, and when it was ready, or was not any more.
    start: Option<(SystemTime, Option<SystemTime>)>,
    /// When they were written at this start.
    written: Option<Times>,
    files: BTreeSet<PathBuf>,
    known: Known,
}

/// What the last starts tell of the files.
#[derive(Debug, Clone, Copy)]
enum Known {
    /// They were written at so many in a row, and when.
    Counted(u32, Times),
    /// They were written at so many whole starts in a row, and when.
    Watched(u32, Option<Times>),
    /// Nothing is started for what is written at these times.
    Proven(Times),
}

/// After a start, the first and the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Times {
    first: Duration,
    last: Duration,
}

/// What is to be done about edits.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Judged {
    Heeded,
    /// Once the start and a pause are over, unless they turn out to be the server's own.
    PutOff,
    /// As was said before.
    Ignored,
}

/// The clock by which a kernel dates files, which goes by ticks: what is written later has no earlier time.
pub(super) fn now() -> SystemTime {
    let now = clock_gettime(ClockId::RealtimeCoarse);
    let seconds = Duration::from_secs(now.tv_sec.try_into().unwrap_or(0));
    SystemTime::UNIX_EPOCH + seconds + Duration::from_nanos(now.tv_nsec.try_into().unwrap_or(0))
}

impl Default for Known {
    fn default() -> Self {
        Self::Counted(0, Times::default())
    }
}

impl Times {
    fn with(self, other: Self) -> Self {
        Self { first: self.first.min(other.first), last: self.last.max(other.last) }
    }

    fn agree(self, other: Self) -> bool {
        are_near(self.first, other.first) && are_near(self.last, other.last)
    }

    /// Whether what was written so far may be the beginning of these.
    fn begin_with(self, other: Self) -> bool {
        are_near(self.first, other.first)
            && (other.last <= self.last || are_near(self.last, other.last))
    }
}

fn are_near(one: Duration, other: Duration) -> bool {
    one.abs_diff(other) <= SCATTER + one.min(other) / SCATTERED_PART
}

impl OwnWrites {
    pub(super) fn begins(&mut self, now: SystemTime) {
        self.start = Some((now, None));
        self.written = None;
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
        if let Known::Proven(times) = self.known {
            self.known = Known::Watched(WHOLE_STARTS - 1, Some(times));
        }
    }

    /// Judges the edits that need something, by their files and times.
    pub(super) fn judge<'a>(
        &mut self,
        edits: impl Iterator<Item = (&'a Path, Option<SystemTime>)>,
    ) -> Judged {
        let edits: Vec<_> = edits.collect();
        let Some(times) = self.times(&edits) else {
            let is_one = edits.iter().any(|(file, _)| self.files.contains(*file));
            return self.heed(is_one);
        };
        let mut files: BTreeSet<_> = edits.into_iter().map(|(file, _)| file.to_owned()).collect();
        let all = self.written.map_or(times, |written| written.with(times));
        let are_known = files.is_subset(&self.files);
        match self.known {
            Known::Proven(known) if are_known && known.begin_with(all) => {
                self.written = Some(all);
                Judged::Ignored
            }
            Known::Watched(whole, _) if are_known || whole == 0 => {
                self.files.append(&mut files);
                self.written = Some(all);
                Judged::PutOff
            }
            Known::Proven(_) | Known::Watched(..) => self.heed(false),
            Known::Counted(starts, before) => {
                let both: BTreeSet<_> = self.files.intersection(&files).cloned().collect();
                let (less, more) = (before.last.min(times.last), before.last.max(times.last));
                // Nothing is lost by what is only suspected.
                if both.is_empty() || more > less * 2 + SCATTER {
                    (self.files, self.known) = (files, Known::Counted(1, times));
                    return Judged::Heeded;
                }
                self.files = both;
                if starts + 1 < STARTS {
                    self.known = Known::Counted(starts + 1, times);
                    return Judged::Heeded;
                }
                self.known = Known::Watched(0, None);
                self.written = Some(times);
                Judged::PutOff
            }
        }
    }

    /// How long it is seen after the start whether anything else is written.
    pub(super) fn pause(&self) -> Duration {
        match self.known {
            Known::Watched(whole, _) => PAUSE * (whole + 1),
            Known::Counted(..) | Known::Proven(_) => PAUSE,
        }
    }

    /// The start at which edits were put off, and the pause after it, are over. Returns the files for which
    /// nothing is started from here on; there is a start for those edits otherwise.
    pub(super) fn found(&mut self) -> Option<Vec<PathBuf>> {
        let (Known::Watched(whole, before), Some(times)) = (self.known, self.written) else {
            return None;
        };
        let agrees = before.is_none_or(|before| before.agree(times));
        let whole = if agrees { whole + 1 } else { 1 };
        if whole < WHOLE_STARTS {
            self.known = Known::Watched(whole, Some(times));
            return None;
        }
        self.known = Known::Proven(times);
        Some(self.files.iter().cloned().collect())
    }

    /// `is_one` where one of the files is written at other times as well: by somebody else, maybe.
    fn heed(&mut self, is_one: bool) -> Judged {
        match self.known {
            Known::Proven(_) => self.asked(),
            Known::Watched(..) if !is_one => {}
            Known::Watched(..) | Known::Counted(..) => {
                (self.files, self.known) = (BTreeSet::new(), Known::default());
            }
        }
        Judged::Heeded
    }

    /// How long after the start, if there are a few, and all before its end.
    fn times(&self, edits: &[(&Path, Option<SystemTime>)]) -> Option<Times> {
        let after = edits.iter().map(|(_, written)| self.after_start(*written));
        let after = after.collect::<Option<Vec<_>>>().filter(|after| after.len() <= FEW)?;
        let (first, last) = after.iter().min().zip(after.iter().max())?;
        Some(Times { first: *first, last: *last })
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

    fn judge(own: &mut OwnWrites, file: &str, written: u64) -> Judged {
        own.judge([(Path::new(file), Some(at(written)))].into_iter())
    }

    /// A start every ten seconds, at which `file` is written after so many milliseconds; ready after 500.
    fn start(own: &mut OwnWrites, n: u64, file: &str, after: u64) -> Judged {
        own.begins(at(n * 10_000));
        own.is_over(at(n * 10_000 + 500));
        judge(own, file, n * 10_000 + after)
    }

    /// `app.log`, written 100 milliseconds after each start; the last one was the eighth.
    fn found() -> OwnWrites {
        let mut own = OwnWrites::default();
        for n in 1..6 {
            assert_eq!(start(&mut own, n, "app.log", 100 + n), Judged::Heeded);
        }
        for n in 6..8 {
            assert_eq!(start(&mut own, n, "app.log", 130), Judged::PutOff);
            assert_eq!(own.found(), None);
        }
        found_at(&mut own, 8);
        own
    }

    fn found_at(own: &mut OwnWrites, n: u64) {
        assert_eq!(start(own, n, "app.log", 100), Judged::PutOff);
        assert_eq!(own.found(), Some(vec!["app.log".into()]));
    }

    #[test]
    fn a_file_that_is_written_at_each_start_is_found_and_left_alone_until_something_else_is_asked()
    {
        let mut own = found();
        assert_eq!(judge(&mut own, "app.log", 80_120), Judged::Ignored);
        // Another file; then once is enough.
        assert_eq!(judge(&mut own, "code", 80_200), Judged::Heeded);
        found_at(&mut own, 9);
        own.asked();
        found_at(&mut own, 10);
    }

    /// All of them were ignored.
    #[test]
    fn what_was_found_is_heeded_at_other_times() {
        let times = [Some(at(80_450)), Some(at(80_500)), Some(at(99_000)), Some(at(70_000)), None];
        for written in times {
            let mut own = found();
            let verdict = own.judge([(Path::new("app.log"), written)].into_iter());
            assert_eq!(verdict, Judged::Heeded, "{written:?}");
        }
    }

    /// As of many edits only the last are remembered.
    #[test]
    fn edits_of_which_nobody_knows_are_heeded() {
        assert_eq!(found().judge(std::iter::empty()), Judged::Heeded);
    }

    #[test]
    fn what_somebody_saves_again_and_again_is_heeded() {
        // When it is ready, or at times as a person saves; another file each time; many at once.
        let mut own = OwnWrites::default();
        for n in 1..20 {
            assert_eq!(start(&mut own, n, "code", 500), Judged::Heeded);
        }
        for n in 1..20 {
            assert_eq!(start(&mut own, n, "code", 20 + n % 2 * 400), Judged::Heeded);
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

    /// Each start takes three seconds.
    #[test]
    fn what_somebody_saves_on_a_clock_is_never_found() {
        for period in (200..3000).step_by(50) {
            let (mut own, mut begin, mut over) = (OwnWrites::default(), 0, None);
            for save in (1..400).map(|n| n * period) {
                let end = begin + 3000;
                if over.is_some_and(|over| over < save) {
                    assert_eq!(own.found(), None, "every {period} ms");
                    begin = over.take().unwrap_or(begin);
                    own.begins(at(begin));
                } else if end <= save {
                    own.is_over(at(end));
                }
                match judge(&mut own, "code", save) {
                    Judged::Heeded => {
                        (begin, over) = (save + 50, None);
                        own.begins(at(begin));
                    }
                    Judged::PutOff => {
                        over = Some(begin + 3000 + own.pause().as_secs() * 1000);
                    }
                    Judged::Ignored => panic!("every {period} ms"),
                }
            }
        }
    }
}

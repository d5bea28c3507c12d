//! A loader that opens its file for writing, as to lock it, and so wakes its own follower.

use std::time::Duration;

use tokio::time::Instant;

/// How often a file was read for a writer that was done with it, and had left it as it was.
#[derive(Debug, Default)]
pub(super) struct Echo {
    reads: u32,
    /// When the last of these was.
    last: Option<Instant>,
}

/// How soon it is read for the third time: the second may be for a write within one tick of the first.
const SHORTEST: Duration = Duration::from_millis(1);
/// The longest pause before it is read again; it is twice as long each time.
const LONGEST: Duration = Duration::from_secs(1);

impl Echo {
    /// Says how long to wait before the file is read once more.
    pub(super) fn before_reading(&mut self, now: Instant) -> Option<Duration> {
        let pause = match self.reads {
            0 => Duration::ZERO,
            reads => SHORTEST.saturating_mul(1 << (reads - 1).min(16)).min(LONGEST),
        };
        let since = self.last.map_or(Duration::MAX, |last| now.saturating_duration_since(last));
        let left = pause.saturating_sub(since);
        if !left.is_zero() {
            return Some(left);
        }
        // One that wakes itself comes back as soon as it may.
        let is_over = since > pause + LONGEST;
        self.reads = if is_over { 1 } else { self.reads.saturating_add(1) };
        self.last = Some(now);
        None
    }

    /// Takes note that the file is another.
    pub(super) fn is_over(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads as soon as it may for `how_long`, and returns how often that was.
    fn reads(echo: &mut Echo, now: &mut Instant, how_long: Duration) -> u32 {
        let (end, mut reads) = (*now + how_long, 0);
        while *now < end {
            match echo.before_reading(*now) {
                Some(wait) => *now += wait,
                None => reads += 1,
            }
        }
        reads
    }

    #[test]
    fn what_stays_as_it_was_is_read_ever_more_seldom() {
        let (mut echo, mut now) = (Echo::default(), Instant::now());
        assert_eq!(reads(&mut echo, &mut now, LONGEST), 10);
        assert_eq!(reads(&mut echo, &mut now, 10 * LONGEST), 10);
    }

    #[test]
    fn what_is_another_or_has_rested_is_read_at_once() {
        let (mut echo, mut now) = (Echo::default(), Instant::now());
        reads(&mut echo, &mut now, LONGEST);
        echo.is_over();
        assert_eq!(echo.before_reading(now), None);
        reads(&mut echo, &mut now, LONGEST);
        now += 3 * LONGEST;
        assert_eq!(echo.before_reading(now), None);
        assert_eq!(echo.before_reading(now), Some(SHORTEST));
    }
}

//! What happens again and again and comes to nothing.

use std::time::Duration;

use tokio::time::Instant;

/// Counts what came to nothing, as events of a log beside a file.
#[derive(Debug, Default)]
pub(super) struct Noise {
    /// How often in a row it did, without a rest in between.
    in_a_row: u32,
    last: Option<Instant>,
}

/// So much of it in a row is followed by pauses; a file that is replaced makes a little.
const NOISY: u32 = 100;

impl Noise {
    /// Takes note of some that came `now`, and returns whether there is so much of it that what comes next is to
    /// be put off: after a `rest` without any, what comes next may be the first of an edit.
    pub(super) fn goes_on(&mut self, now: Instant, rest: Duration) -> bool {
        let has_rested = self.last.replace(now).is_none_or(|last| now - last > rest);
        self.in_a_row = if has_rested { 1 } else { self.in_a_row.saturating_add(1) };
        self.in_a_row > NOISY
    }
}

/// How long nothing is heard of a file that its own loader tells of again and again.
const LULL: Duration = Duration::from_millis(10);
/// Longer than that and a load on a busy machine.
const REST: Duration = Duration::from_millis(500);

/// Finds out that it is a file's own loader that is heard to be done with it, as one that opens it for writing.
#[derive(Debug, Default)]
pub(super) struct Echo {
    /// A hash of what the files were when they were read last.
    read: u64,
    noise: Noise,
    goes_on: bool,
}

impl Echo {
    /// Takes note that files with this hash are read, and whether somebody `was_done` with them.
    pub(super) fn note_read(&mut self, files: u64, was_done: bool) {
        let is_same = std::mem::replace(&mut self.read, files) == files;
        self.goes_on = is_same && was_done && self.noise.goes_on(Instant::now(), REST);
    }

    /// How long nothing is to be heard after that.
    pub(super) fn lull(&mut self) -> Option<Duration> {
        std::mem::take(&mut self.goes_on).then_some(LULL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_put_off_only_while_it_goes_on() {
        let (mut now, mut noise) = (Instant::now(), Noise::default());
        let mut goes_on = |pause| {
            now += pause;
            noise.goes_on(now, REST)
        };
        let pause = Duration::from_millis(1);
        // However much there was in an hour.
        assert!((0..10 * NOISY).all(|_| !goes_on(REST + pause)));
        assert_eq!((0..2 * NOISY).filter(|_| goes_on(pause)).count(), NOISY as usize + 1);
        assert!(!goes_on(REST + pause));
    }
}

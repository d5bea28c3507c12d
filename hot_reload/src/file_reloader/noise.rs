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
/// After so long without any, what comes next may be the first of an edit, and is not put off.
const REST: Duration = Duration::from_millis(20);

impl Noise {
    /// Takes note of some that came `now`, and returns whether there is so much of it that what comes next is to
    /// be put off; for less than it takes to be a rest.
    pub(super) fn goes_on(&mut self, now: Instant) -> bool {
        let has_rested = self.last.replace(now).is_none_or(|last| now - last > REST);
        self.in_a_row = if has_rested { 1 } else { self.in_a_row.saturating_add(1) };
        self.in_a_row > NOISY
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
            noise.goes_on(now)
        };
        let pause = Duration::from_millis(1);
        // However much there was in an hour.
        assert!((0..10 * NOISY).all(|_| !goes_on(REST + pause)));
        assert_eq!((0..2 * NOISY).filter(|_| goes_on(pause)).count(), NOISY as usize + 1);
        assert!(!goes_on(REST + pause));
    }
}

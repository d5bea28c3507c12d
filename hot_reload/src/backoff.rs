//! Pauses that grow with every failure in a row, capped and jittered.

use std::time::Duration;

/// The shortest and the longest pause between two attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Backoff {
    pub(crate) floor: Duration,
    pub(crate) ceiling: Duration,
}

impl Backoff {
    /// The pause after `failures` failures in a row, of which the first is number 1.
    ///
    /// Doubles from the floor to the ceiling; `luck` in 0..1 takes off up to half of it, so that
    /// sources that failed together are not retried together.
    pub(crate) fn pause(self, failures: u32, luck: f64) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        let full = self.floor.saturating_mul(1 << doublings).min(self.ceiling);
        full.mul_f64(1.0 - luck / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff =
        Backoff { floor: Duration::from_millis(100), ceiling: Duration::from_secs(1) };

    #[test]
    fn doubles_up_to_the_ceiling() {
        for (failures, want) in
            [(1, 100), (2, 200), (3, 400), (4, 800), (5, 1000), (u32::MAX, 1000)]
        {
            assert_eq!(BACKOFF.pause(failures, 0.0), Duration::from_millis(want), "{failures}");
        }
    }

    #[test]
    fn jitter_takes_off_at_most_half() {
        assert_eq!(BACKOFF.pause(1, 1.0), Duration::from_millis(50));
        assert_eq!(BACKOFF.pause(9, 0.5), Duration::from_millis(750));
    }
}

//! One key, watched.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::{cluster::Seat, news::Mark};
use crate::{content::Entry, error::StoreError};

/// So often in a row the same is read without a pause: values are written once more, and a key of the
/// same name in another database changes.
const SAME_AT_ONCE: u32 = 4;
/// As often as a key is read at most whose server tells of changes that are none.
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

pub(super) struct Watch {
    seat: Seat,
    mark: Mark,
    last: Option<Entry>,
    /// How often in a row that was read.
    same: u32,
    read_at: Instant,
}

impl Watch {
    pub(super) async fn start(seat: Seat) -> Result<Self, StoreError> {
        let mark = seat.follow().await?;
        Ok(Self { seat, mark, last: None, same: 0, read_at: Instant::now() })
    }

    /// Reads at first, and after every change: only what was read has the server tell of the next.
    ///
    /// A server that remembers fewer keys than are followed, by `tracking-table-max-keys`, forgets one
    /// for each that is read, and tells so like a change: without a pause that would go round for ever.
    pub(super) async fn next(&mut self) -> Result<Entry, StoreError> {
        if self.last.is_some() {
            self.mark.changed().await?;
            sleep_until(self.read_at + pause(self.same)).await;
        }
        self.read_at = Instant::now();
        let entry = self.seat.read(Some(&mut self.mark)).await?;
        self.same =
            if self.last.as_ref() == Some(&entry) { self.same.saturating_add(1) } else { 0 };
        self.last = Some(entry.clone());
        Ok(entry)
    }
}

/// How long after one read the next may be.
fn pause(same: u32) -> Duration {
    match same.checked_sub(SAME_AT_ONCE) {
        None => Duration::ZERO,
        Some(doublings) => {
            let pause = Duration::from_millis(1).saturating_mul(1 << doublings.min(16));
            pause.min(LONGEST_PAUSE)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stays_the_same_is_read_less_often() {
        for (same, want) in [(0, 0), (3, 0), (4, 1), (5, 2), (11, 128), (12, 250), (u32::MAX, 250)]
        {
            assert_eq!(pause(same), Duration::from_millis(want), "{same}");
        }
    }
}

//! What was read and is the same again.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::content::Entry;

/// Reads in a row that find the same before there is a pause: what is put twice, or by several, or in
/// another database of Redis.
const SAME_AT_ONCE: u32 = 4;
/// No change has to wait longer, if it is among so many reasons to look, as anybody may give who may notify.
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// How fast is read what a store only says to look at, which it may say of what is no change.
#[derive(Debug, Default)]
pub(crate) struct Again {
    last: Option<(Entry, Instant)>,
    /// How often in a row that was read again.
    same: u32,
}

impl Again {
    /// Waits until the next read may begin.
    pub(crate) async fn rest(&self) {
        if let Some((_, read_at)) = &self.last {
            sleep_until(*read_at + pause(self.same)).await;
        }
    }

    /// Notes what was read just now.
    pub(crate) fn reads(&mut self, entry: &Entry) {
        // Where it stands may be told anew each time.
        let entry = Entry { revision: None, ..entry.clone() };
        let is_same = self.last.as_ref().is_some_and(|(last, _)| *last == entry);
        self.same = if is_same { self.same.saturating_add(1) } else { 0 };
        self.last = Some((entry, Instant::now()));
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
    use crate::content::Revision;

    #[tokio::test(start_paused = true)]
    async fn only_what_stays_the_same_is_read_less_often() {
        let mut again = Again::default();
        again.rest().await;
        let texts = [("a", 0), ("a", 0), ("a", 0), ("a", 0), ("a", 1), ("a", 2), ("b", 0)];
        for (number, (text, want)) in (0..).zip(texts) {
            again.reads(&Entry::one(text).at(Revision::new("", number)));
            let read = Instant::now();
            again.rest().await;
            assert_eq!(read.elapsed(), Duration::from_millis(want), "{text}");
        }
    }

    #[test]
    fn a_pause_is_never_long() {
        for (same, want) in [(0, 0), (3, 0), (4, 1), (5, 2), (11, 128), (12, 250), (u32::MAX, 250)]
        {
            assert_eq!(pause(same), Duration::from_millis(want), "{same}");
        }
    }
}

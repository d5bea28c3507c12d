//! Long polling as changes.

use std::{sync::Arc, time::Duration};

use futures_util::stream;
use tokio::time::{Instant, sleep};

use super::{channel::LongPoll, read::Found, session::Session};
use crate::{content::Entry, error::StoreError, store::Changes};

/// What is left of the silence is for the server's own spread, a sixteenth, and the way.
const WAIT: f64 = 0.75;
/// Changes in a row that are asked for as fast as they come.
const BURST: u32 = 10;
/// Then one in this time, so that values that churn don't make a busy loop.
const REFILL: Duration = Duration::from_millis(100);
/// A server that answers at once although nothing is new is asked this seldom in the end.
const LONGEST_IDLE: Duration = Duration::from_secs(5);

struct Polling {
    session: Arc<Session>,
    names: LongPoll,
    first: Option<Entry>,
    /// Of what was handed on, not of what others have read: whatever is newer has to come.
    index: u64,
    limit: Limit,
}

pub(super) async fn poll(session: Arc<Session>, names: LongPoll) -> Result<Changes, StoreError> {
    let Found { entry, index } = session.look().await?;
    let index = index.ok_or_else(|| {
        StoreError::refused(
            "an answer without the header of the index; check that the URL is of long polling",
        )
    })?;
    let limit = Limit::new(Instant::now());
    let polling = Polling { session, names, first: Some(entry), index, limit };
    Ok(Box::pin(stream::try_unfold(polling, async |mut polling| {
        let next = polling.next().await?;
        Ok(Some((next, polling)))
    })))
}

impl Polling {
    async fn next(&mut self) -> Result<Entry, StoreError> {
        if let Some(first) = self.first.take() {
            return Ok(first);
        }
        loop {
            sleep(self.limit.pause(Instant::now())).await;
            let asked = Instant::now();
            if let Some(entry) = self.poll().await? {
                self.limit.answered(true);
                return Ok(entry);
            }
            self.limit.answered(asked.elapsed() > self.session.place.silence / 2);
        }
    }

    /// Waits for the index to move on; `None` where it has not.
    async fn poll(&mut self) -> Result<Option<Entry>, StoreError> {
        let Self { session, names: LongPoll { index, wait, .. }, .. } = self;
        let asked = session.memory().position;
        let silence = session.place.silence;
        let mut url = session.place.url.clone();
        // With 0 a server answers at once.
        let known = self.index.max(1).to_string();
        let longest = format!("{}ms", silence.mul_f64(WAIT).as_millis());
        url.query_pairs_mut().append_pair(index, &known).append_pair(wait, &longest);
        let answer = session.in_time(silence, session.wait_for(&url)).await?;
        let told = session.index(&answer);
        let deadline = session.place.http.read_deadline;
        let content = session.in_time(deadline, session.content(answer)).await?;
        let told = told.ok_or_else(|| StoreError::invalid("an answer without its index"))?;
        if told == self.index {
            return Ok(None);
        }
        let entry = content.map_or_else(Entry::gone, Entry::one);
        if let Some(entry) = session.placed(entry, Some(told), asked, false) {
            self.index = told;
            return Ok(Some(entry));
        }
        // It went backwards: begin anew.
        let Found { entry, index } = session.look().await?;
        self.index = index.unwrap_or_default();
        Ok(Some(entry))
    }
}

/// How fast is asked: at once as long as that is seldom.
#[derive(Debug)]
struct Limit {
    /// When nothing is owed any more, each request being worth a [`REFILL`].
    even: Instant,
    idle: Duration,
}

impl Limit {
    fn new(now: Instant) -> Self {
        Self { even: now, idle: Duration::ZERO }
    }

    fn pause(&mut self, now: Instant) -> Duration {
        let owed = self.even.saturating_duration_since(now);
        self.even = self.even.max(now) + REFILL;
        owed.saturating_sub(REFILL * BURST).max(self.idle)
    }

    /// Notes whether an answer was worth it: something new, or waited for.
    fn answered(&mut self, was_worth: bool) {
        let more = (self.idle * 2).clamp(REFILL, LONGEST_IDLE);
        self.idle = if was_worth { Duration::ZERO } else { more };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_asked_for_at_once_until_they_churn() {
        let start = Instant::now();
        let mut limit = Limit::new(start);
        let mut now = start;
        for _ in 0..=BURST {
            assert_eq!(limit.pause(now), Duration::ZERO);
        }
        for _ in 0..5 {
            assert_eq!(limit.pause(now), REFILL);
            now += REFILL;
        }
        now += REFILL * (BURST + 1);
        assert_eq!(limit.pause(now), Duration::ZERO);
    }

    #[test]
    fn a_server_that_does_not_wait_is_asked_ever_more_seldom() {
        let start = Instant::now();
        let mut limit = Limit::new(start);
        for want in [100, 200, 400, 800, 1600, 3200, 5000, 5000] {
            limit.answered(false);
            assert_eq!(limit.pause(start), Duration::from_millis(want));
        }
        limit.answered(true);
        assert_eq!(limit.pause(start + LONGEST_IDLE), Duration::ZERO);
    }
}

//! Keys, kept as they are.

use std::{sync::Arc, time::Duration};

use etcd_client::{Event, WatchResponse, WatchStream};
use futures_util::stream;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, timeout_at},
};

use super::{
    History,
    fault::cancelled,
    keys::Keys,
    link::{At, Link, Reading, number},
};
use crate::{content::Entry, error::StoreError, store::Changes};

/// How many messages a server keeps for a watch that takes none (`chanBufLen`).
const BACKLOG: u32 = 128;
/// After a pause of this length nothing is under way any more.
const REST: Duration = Duration::from_secs(1);
/// Of what never pauses, this is as long as something may be missing.
const RESTLESS: Duration = Duration::from_secs(30);

/// What is watched, and over what.
pub(super) struct Watch {
    pub(super) link: Arc<Link>,
    pub(super) keys: Arc<Keys>,
    pub(super) history: Arc<History>,
}

impl Watch {
    /// Returns what is there, and then what it has become.
    ///
    /// A task takes over all changes as they come. Whoever is slow to take them finds the last of them,
    /// and never holds up the others on the connection, whose flow control is one for all.
    pub(super) async fn begin(self) -> Result<Changes, StoreError> {
        let (reading, changes) = self.list().await?;
        let (keep, mut kept) = watch::channel(reading);
        // The first is there without a change.
        kept.mark_changed();
        let mut keeping = JoinSet::new();
        keeping.spawn(self.keep(changes, keep));
        Ok(Box::pin(stream::try_unfold(Kept { kept, keeping }, |mut kept| async move {
            Ok(Some((kept.next().await?, kept)))
        })))
    }

    /// Reads it, and watches what comes after.
    async fn list(&self) -> Result<(Reading, WatchStream), StoreError> {
        let reading = self.link.read(&self.keys, &self.history).await?;
        let changes = self.link.watch(&self.keys, reading.at.revision).await?;
        Ok((reading, changes))
    }

    /// Keeps it to the end of the watch, and returns why that is.
    async fn keep(self, mut changes: WatchStream, keep: watch::Sender<Reading>) -> StoreError {
        let mut flow = Flow::default();
        loop {
            if let Err(error) = self.take_over(&mut changes, &mut flow, &keep).await {
                break error;
            }
        }
    }

    /// Takes over one message, or all that there is where messages may be missing.
    async fn take_over(
        &self,
        changes: &mut WatchStream,
        flow: &mut Flow,
        keep: &watch::Sender<Reading>,
    ) -> Result<(), StoreError> {
        let Some(message) = flow.unless_doubtful(self.link.next(changes)).await else {
            return self.read_again(changes, keep).await;
        };
        let message = message?;
        if message.canceled() {
            if message.compact_revision() == 0 {
                return Err(cancelled(message.cancel_reason()));
            }
            // What it had to tell of is gone; what it came to is still there.
            *flow = Flow::default();
            return self.read_again(changes, keep).await;
        }
        if let Some(At { epoch, revision }) = apply(&self.keys, keep, &message)? {
            self.history.told(&epoch, revision);
        }
        Ok(())
    }

    /// Reads what is there, and watches it anew.
    async fn read_again(
        &self,
        changes: &mut WatchStream,
        keep: &watch::Sender<Reading>,
    ) -> Result<(), StoreError> {
        let (reading, watched) = self.list().await?;
        *changes = watched;
        keep.send_replace(reading);
        Ok(())
    }
}

/// How messages come.
///
/// A server before 3.4.31 and 3.5.13 that has a full backlog for a watch, and compacts what comes after it,
/// says nothing of what it left out, although it may have been the last change for long
/// ([etcd 17529](https://github.com/etcd-io/etcd/issues/17529)). Whoever may have had a full backlog reads
/// again, once it is through.
#[derive(Debug, Default)]
struct Flow {
    /// How many came without a rest between them.
    messages: u32,
    /// When the first of them came.
    first: Option<Instant>,
}

impl Flow {
    /// Waits for `message`, or until it is time to read what may be missing.
    async fn unless_doubtful<T>(&mut self, message: impl Future<Output = T>) -> Option<T> {
        // Only what is waited for can rest: whoever was busy elsewhere finds what came meanwhile.
        let rests = Instant::now() + REST;
        let message = match self.first {
            Some(first) if self.messages >= BACKLOG => {
                let due = first + RESTLESS;
                // A message that is there is taken before the time is looked at.
                let is_due = due <= Instant::now();
                match timeout_at(rests.min(due), message).await {
                    Ok(message) if !is_due => message,
                    _ => {
                        *self = Self::default();
                        return None;
                    }
                }
            }
            _ => message.await,
        };
        let now = Instant::now();
        self.takes_note(now, rests <= now);
        Some(message)
    }

    /// Takes note of a message that came `now`, and whether it did after a rest.
    fn takes_note(&mut self, now: Instant, has_rested: bool) {
        if has_rested || self.first.is_none() {
            *self = Self { messages: 0, first: Some(now) };
        }
        self.messages = self.messages.saturating_add(1);
    }
}

/// Takes over all that `message` tells, at once: it holds whole revisions, and half of one is not for anybody.
fn apply(
    keys: &Keys,
    keep: &watch::Sender<Reading>,
    message: &WatchResponse,
) -> Result<Option<At>, StoreError> {
    let pairs = message.events().iter().filter_map(Event::kv);
    let changes = pairs
        .map(|pair| Ok((number(pair.mod_revision()), keys.change(pair)?)))
        .collect::<Result<Vec<_>, StoreError>>()?;
    let mut told = None;
    keep.send_if_modified(|Reading { held, at }| {
        for (revision, change) in changes {
            // Else it was told before, or read.
            if revision >= at.revision {
                held.apply(change);
                at.revision = revision;
                told = Some(*at);
            }
        }
        told.is_some()
    });
    Ok(told)
}

/// What is there, for one who takes it when there is time.
struct Kept {
    kept: watch::Receiver<Reading>,
    keeping: JoinSet<StoreError>,
}

impl Kept {
    /// Waits for what is there once it is another.
    async fn next(&mut self) -> Result<Entry, StoreError> {
        if self.kept.changed().await.is_err() {
            let ended = self.keeping.join_next().await;
            let panicked = || StoreError::unreachable("the watch has failed");
            return Err(ended.and_then(Result::ok).unwrap_or_else(panicked));
        }
        Ok(self.kept.borrow_and_update().entry())
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn reads_again_once_a_full_backlog_is_through() {
        let mut flow = Flow::default();
        for _ in 1..BACKLOG {
            assert_eq!(flow.unless_doubtful(ready(())).await, Some(()));
        }
        let few = flow.unless_doubtful(pending::<()>());
        assert!(tokio::time::timeout(10 * REST, few).await.is_err());
        let mut flow = Flow::default();
        for _ in 0..BACKLOG {
            assert_eq!(flow.unless_doubtful(ready(())).await, Some(()));
        }
        let begun = Instant::now();
        assert_eq!(flow.unless_doubtful(pending::<()>()).await, None);
        assert!(begun.elapsed() >= REST && begun.elapsed() < 2 * REST);
    }

    #[tokio::test(start_paused = true)]
    async fn reads_again_though_messages_never_rest() {
        let (mut flow, begun) = (Flow::default(), Instant::now());
        while flow.unless_doubtful(ready(())).await.is_some() {
            assert!(begun.elapsed() <= RESTLESS);
            advance(REST / 10).await;
        }
        assert!(begun.elapsed() >= RESTLESS);
    }

    /// What is there by the time it is asked for has not rested: the backlog fills just then.
    #[tokio::test(start_paused = true)]
    async fn reads_again_though_a_client_that_stalls_takes_one_a_while() {
        let (mut flow, begun) = (Flow::default(), Instant::now());
        while flow.unless_doubtful(ready(())).await.is_some() {
            assert!(begun.elapsed() <= REST * (BACKLOG + 1));
            advance(REST).await;
        }
        assert!(begun.elapsed() >= REST * BACKLOG);
        // And it rests only once nothing is there for as long.
        for _ in 0..BACKLOG {
            assert_eq!(flow.unless_doubtful(ready(())).await, Some(()));
        }
        advance(2 * REST).await;
        let asked = Instant::now();
        assert_eq!(flow.unless_doubtful(pending::<()>()).await, None);
        assert!(asked.elapsed() >= REST);
    }

    #[tokio::test(start_paused = true)]
    async fn reads_nothing_again_where_messages_rest() {
        let mut flow = Flow::default();
        for _ in 0..10 * BACKLOG {
            let message = tokio::time::sleep(REST + Duration::from_millis(1));
            assert_eq!(flow.unless_doubtful(message).await, Some(()));
        }
    }
}

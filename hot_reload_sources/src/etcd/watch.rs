//! A keys, kept as it is.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use etcd_client::{Event, WatchResponse, WatchStream};
use futures_util::stream;
use tokio::{select, sync::Notify, task::JoinSet};

use super::{
    History,
    fault::cancelled,
    keys::{Held, Keys},
    link::{Epoch, Link, Reading, number},
};
use crate::{content::Entry, error::StoreError, store::Changes};

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
        let kept = Arc::new(Kept::new(reading));
        let mut keeping = JoinSet::new();
        keeping.spawn(self.keep(changes, Arc::clone(&kept)));
        let changes = stream::unfold((kept, keeping), async |(kept, mut keeping)| {
            let entry = select! {
                biased;
                entry = kept.next() => Ok(entry),
                ended = keeping.join_next() => Err(match ended? {
                    Ok(error) => error,
                    Err(_panicked) => StoreError::unreachable("the watch has failed"),
                }),
            };
            Some((entry, (kept, keeping)))
        });
        Ok(Box::pin(changes))
    }

    /// Reads it, and watches what comes after.
    async fn list(&self) -> Result<(Reading, WatchStream), StoreError> {
        let reading = self.link.read(&self.keys, &self.history).await?;
        let changes = self.link.watch(&self.keys, reading.revision).await?;
        Ok((reading, changes))
    }

    /// Keeps it to the end of the watch, and returns why that is.
    async fn keep(self, mut changes: WatchStream, kept: Arc<Kept>) -> StoreError {
        loop {
            if let Err(error) = self.take_over(&mut changes, &kept).await {
                break error;
            }
        }
    }

    /// Takes over one message.
    async fn take_over(&self, changes: &mut WatchStream, kept: &Kept) -> Result<(), StoreError> {
        let message = self.link.next(changes).await?;
        if message.canceled() {
            if message.compact_revision() == 0 {
                return Err(cancelled(message.cancel_reason()));
            }
            // What it had to tell of is gone; what it came to is still there.
            let (reading, watched) = self.list().await?;
            *changes = watched;
            kept.replace(reading);
            return Ok(());
        }
        if let Some(told) = kept.apply(&self.keys, &message)? {
            self.history.told(&told.epoch, number(told.revision));
        }
        Ok(())
    }
}

/// The moment that something is of.
#[derive(Debug, Clone, Copy)]
struct At {
    epoch: Epoch,
    revision: i64,
}

/// What is there, for one who takes it when there is time.
struct Kept {
    state: Mutex<State>,
    news: Notify,
}

struct State {
    held: Held,
    at: At,
    is_new: bool,
}

impl Kept {
    fn new(Reading { held, epoch, revision }: Reading) -> Self {
        let state = State { held, at: At { epoch, revision }, is_new: true };
        Self { state: Mutex::new(state), news: Notify::new() }
    }

    /// Waits for what is there once it is another.
    async fn next(&self) -> Entry {
        loop {
            {
                let mut state = self.state();
                if std::mem::take(&mut state.is_new) {
                    return state.held.entry(state.at.epoch.at(number(state.at.revision)));
                }
            }
            self.news.notified().await;
        }
    }

    fn replace(&self, Reading { held, epoch, revision }: Reading) {
        let mut state = self.state();
        state.held = held;
        state.at = At { epoch, revision };
        state.is_new = true;
        self.news.notify_one();
    }

    /// Takes over all that `message` tells, at once: it holds whole revisions.
    fn apply(&self, keys: &Keys, message: &WatchResponse) -> Result<Option<At>, StoreError> {
        let mut state = self.state();
        for pair in message.events().iter().filter_map(Event::kv) {
            // Told before, or read.
            if pair.mod_revision() < state.at.revision {
                continue;
            }
            if let Err(error) = keys.apply(&mut state.held, pair) {
                // What is half of a revision is not for anybody.
                state.is_new = false;
                return Err(error);
            }
            state.at.revision = pair.mod_revision();
            state.is_new = true;
        }
        self.news.notify_one();
        Ok(state.is_new.then_some(state.at))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No panic leaves it half done: what is applied does not panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

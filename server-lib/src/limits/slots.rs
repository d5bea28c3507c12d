//! How many connections there are.

use tokio::sync::watch;
use tracing::{info, warn};

/// The connections that count, of every address together.
#[derive(Debug, Default)]
pub(crate) struct Slots(watch::Sender<u64>);

/// One connection; dropped, it makes room for another.
#[derive(Debug)]
pub(crate) struct Slot(watch::Sender<u64>);

impl Slots {
    /// How many there are.
    pub(crate) fn taken(&self) -> u64 {
        *self.0.borrow()
    }

    /// Waits until there are fewer than `limit` says at that time, and is one more.
    pub(crate) async fn take(&self, limit: impl Fn() -> u64) -> Slot {
        let mut taken = self.0.subscribe();
        let mut is_told = false;
        loop {
            // Before it is tried, so that no change after that is missed.
            taken.mark_unchanged();
            let limit = limit();
            if let Some(slot) = self.try_take(limit) {
                if is_told {
                    info!("there is room for connections again");
                }
                return slot;
            }
            if !is_told {
                warn!(limit, "no more connections: further ones wait until one ends");
                is_told = true;
            }
            if taken.changed().await.is_err() {
                // It is held by ourselves.
                return std::future::pending().await;
            }
        }
    }

    /// Is one more, whatever the limit.
    pub(crate) fn take_anyway(&self) -> Slot {
        self.0.send_modify(|taken| *taken += 1);
        Slot(self.0.clone())
    }

    /// Has those who wait look at the limit again.
    pub(crate) fn limit_has_changed(&self) {
        self.0.send_modify(|_taken| {});
    }

    fn try_take(&self, limit: u64) -> Option<Slot> {
        let took = self.0.send_if_modified(|taken| {
            let has_room = *taken < limit;
            *taken += u64::from(has_room);
            has_room
        });
        took.then(|| Slot(self.0.clone()))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.send_modify(|taken| *taken -= 1);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicU64, Ordering::Relaxed},
        },
        time::Duration,
    };

    use tokio::{task::JoinHandle, time::timeout};

    use super::*;

    /// Asks for a slot, and sees it refused for now.
    async fn waits(slots: &Arc<Slots>, limit: &Arc<AtomicU64>) -> JoinHandle<Slot> {
        let (slots, limit) = (Arc::clone(slots), Arc::clone(limit));
        let mut waiting = tokio::spawn(async move { slots.take(|| limit.load(Relaxed)).await });
        assert!(timeout(Duration::from_secs(1), &mut waiting).await.is_err());
        waiting
    }

    #[tokio::test(start_paused = true)]
    async fn waits_for_an_end_or_for_a_higher_limit() {
        let (slots, limit) = (Arc::new(Slots::default()), Arc::new(AtomicU64::new(1)));
        let first = slots.take(|| 1).await;
        let second = waits(&slots, &limit).await;
        drop(first);
        let second = second.await.unwrap();

        let third = waits(&slots, &limit).await;
        limit.store(2, Relaxed);
        slots.limit_has_changed();
        let third = third.await.unwrap();
        assert_eq!(slots.taken(), 2);

        limit.store(1, Relaxed);
        drop(second);
        let fourth = waits(&slots, &limit).await;
        drop(third);
        fourth.await.unwrap();
    }
}

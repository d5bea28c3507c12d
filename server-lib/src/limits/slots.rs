//! How many connections there are.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;
use tracing::{info, warn};

use super::Clients;

/// Which part of all is room to spare: so much that it does not come and go with each connection, and so
/// little that clients may keep theirs again soon.
const SPARE: u64 = 10;

/// The connections that count, of every address together.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    taken: watch::Sender<u64>,
    /// Whether there were no more, and there has been no room to spare since.
    is_full: AtomicBool,
    /// What they are for, where that is not the application.
    purpose: Option<&'static str>,
    /// Whose they are.
    pub(crate) clients: Clients,
}

/// One connection; dropped, it makes room for another.
#[derive(Debug)]
pub(crate) struct Slot(watch::Sender<u64>);

impl Slots {
    pub(crate) fn of(purpose: &'static str) -> Self {
        Self { purpose: Some(purpose), ..Self::default() }
    }

    /// How many there are.
    pub(crate) fn taken(&self) -> u64 {
        *self.taken.borrow()
    }

    /// Whether there were no more, and there has been no room to spare since.
    pub(crate) fn is_full(&self) -> bool {
        // It guards nothing, neither here nor below.
        self.is_full.load(Ordering::Relaxed)
    }

    /// Waits until there are fewer than `limit` says at that time, and is one more.
    pub(crate) async fn take(&self, limit: impl Fn() -> u64) -> Slot {
        self.once(|| {
            let limit = limit();
            let slot = self.try_take(limit);
            if slot.is_some() {
                self.tell_of_room(limit);
            } else if !self.is_full.swap(true, Ordering::Relaxed) {
                warn!(
                    limit,
                    purpose = self.purpose,
                    "no more connections: further ones wait until one ends"
                );
            }
            slot
        })
        .await
    }

    /// The same, and says nothing: for connections that may be more than the configuration has.
    pub(crate) async fn take_late(&self, limit: impl Fn() -> u64) -> Slot {
        self.once(|| self.try_take(limit())).await
    }

    /// Waits until one can be taken.
    async fn once(&self, take: impl Fn() -> Option<Slot>) -> Slot {
        let mut taken = self.taken.subscribe();
        loop {
            // Before it is tried, so that no change after that is missed.
            taken.mark_unchanged();
            if let Some(slot) = take() {
                return slot;
            }
            if taken.changed().await.is_err() {
                // It is held by ourselves.
                return std::future::pending().await;
            }
        }
    }

    /// Says that there is room again, once there is some to spare: what is at its limit is there
    /// again and again.
    fn tell_of_room(&self, limit: u64) {
        let has_room = has_room_to_spare(self.taken(), limit);
        if has_room && self.is_full.swap(false, Ordering::Relaxed) {
            info!(purpose = self.purpose, "there is room for connections again");
        }
    }

    /// Is one more, whatever the limit.
    pub(crate) fn take_anyway(&self) -> Slot {
        self.taken.send_modify(|taken| *taken += 1);
        Slot(self.taken.clone())
    }

    /// Has those who wait look at the limit again; whether it is full is for them to find out.
    pub(crate) fn limit_has_changed(&self) {
        self.is_full.store(false, Ordering::Relaxed);
        self.taken.send_modify(|_taken| {});
    }

    fn try_take(&self, limit: u64) -> Option<Slot> {
        let took = self.taken.send_if_modified(|taken| {
            let has_room = *taken < limit;
            *taken += u64::from(has_room);
            has_room
        });
        took.then(|| Slot(self.taken.clone()))
    }
}

/// Whether those that are not taken are a part of all, and one at the least; of a single one, there is
/// nothing to spare.
fn has_room_to_spare(taken: u64, limit: u64) -> bool {
    let spare = limit.div_ceil(SPARE).min(limit.saturating_sub(1));
    taken <= limit - spare
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

    #[tokio::test(start_paused = true)]
    async fn is_full_until_there_is_room_to_spare() {
        let (slots, limit) = (Arc::new(Slots::default()), Arc::new(AtomicU64::new(2)));
        let (first, second) = (slots.take(|| 2).await, slots.take(|| 2).await);
        assert!(!slots.is_full());
        let third = waits(&slots, &limit).await;
        assert!(slots.is_full());
        drop(first);
        let third = third.await.unwrap();
        assert!(slots.is_full(), "who came in for another may be followed by the next");
        drop((second, third));
        let _fourth = slots.take(|| 2).await;
        assert!(!slots.is_full());
    }

    #[test]
    fn there_is_room_to_spare_below_the_limit_and_not_at_it() {
        for (limit, most) in [(1, 1), (2, 1), (5, 4), (9, 8), (10, 9), (11, 9), (100, 90)] {
            assert!(has_room_to_spare(most, limit), "{most} of {limit}");
            assert!(!has_room_to_spare(most + 1, limit), "{} of {limit}", most + 1);
        }
    }
}

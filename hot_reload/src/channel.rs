//! Publication: the newest value in one place, and a watch channel that says it is new.

mod receiver;
mod snapshot;

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use tokio::sync::watch::{self, error::SendError};

pub use self::{
    receiver::ReloaderReceiver,
    snapshot::{CachedReader, Ref, Snapshot},
};
use crate::status::{Health, Status};

/// One published value and its number.
pub(crate) struct Generation<V> {
    /// `None` until something is published, and where `None` itself was sent.
    value: Option<V>,
    /// 0 before the first publication, then one more at each.
    number: u64,
}

/// What the sender and every receiver hold in common.
///
/// The value lives here alone; the watch channel carries its number, and wakes.
struct Cell<V> {
    current: ArcSwap<Generation<V>>,
    status: Mutex<Status>,
}

impl<V> Cell<V> {
    fn status(&self) -> Status {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The sending half of a service: publishes values to every receiver.
pub struct ReloaderSender<V> {
    cell: Arc<Cell<V>>,
    published: watch::Sender<u64>,
}

impl<V> ReloaderSender<V> {
    /// Publishes `value`; it is in place before any receiver is woken.
    ///
    /// # Errors
    ///
    /// Returns the value when every receiver is gone.
    pub fn send(&self, value: Option<V>) -> Result<(), SendError<Option<V>>> {
        self.send_with(value, |status, number| status.generation = number)
    }

    /// Publishes `value` and changes the status, which whoever is woken finds changed.
    pub(crate) fn send_with(
        &self,
        value: Option<V>,
        change: impl FnOnce(&mut Status, u64),
    ) -> Result<(), SendError<Option<V>>> {
        if self.published.is_closed() {
            return Err(SendError(value));
        }
        let mut last = None;
        // The channel's own lock makes the number, the value and the status move together, and
        // wakes nobody before it is let go.
        self.published.send_modify(|number| {
            *number += 1;
            let next = Arc::new(Generation { value, number: *number });
            last = Some(self.cell.current.swap(next));
            self.set_status(|status| change(status, *number));
        });
        // What may take long to free holds up nobody.
        drop(last);
        Ok(())
    }

    /// Whether `value` is what receivers hold already.
    pub(crate) fn holds(&self, value: &V) -> bool
    where
        V: Eq,
    {
        self.cell.current.load().value.as_ref() == Some(value)
    }

    pub(crate) async fn closed(&self) {
        self.published.closed().await;
    }

    pub(crate) fn set_status(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.cell.status.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl<V> Drop for ReloaderSender<V> {
    fn drop(&mut self) {
        self.set_status(|status| status.health = Health::Stopped);
    }
}

/// Creates both halves; nothing is published yet.
pub(crate) fn channel<V, S>() -> (ReloaderSender<V>, ReloaderReceiver<V, S>) {
    let cell = Arc::new(Cell {
        current: ArcSwap::from_pointee(Generation { value: None, number: 0 }),
        status: Mutex::default(),
    });
    let (published, changes) = watch::channel(0);
    (ReloaderSender { cell: Arc::clone(&cell), published }, ReloaderReceiver::new(cell, changes))
}

//! One key, watched.

use super::{cluster::Seat, news::Mark};
use crate::{again::Again, content::Entry, error::StoreError};

pub(super) struct Watch {
    seat: Seat,
    mark: Mark,
    /// What was read; `None` at first.
    again: Option<Again>,
}

impl Watch {
    pub(super) async fn start(seat: Seat) -> Result<Self, StoreError> {
        let mark = seat.follow().await?;
        Ok(Self { seat, mark, again: None })
    }

    /// Reads at first, and after every change: only what was read has the server tell of the next.
    ///
    /// A server that remembers fewer keys than are followed, by `tracking-table-max-keys`, forgets one
    /// for each that is read, and tells so like a change: without a pause that would go round for ever.
    pub(super) async fn next(&mut self) -> Result<Entry, StoreError> {
        if let Some(again) = &self.again {
            self.mark.changed().await?;
            again.rest().await;
        }
        let entry = self.seat.read(Some(&mut self.mark)).await?;
        self.again.get_or_insert_default().reads(&entry);
        Ok(entry)
    }
}

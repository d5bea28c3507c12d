//! A place for what one at a time may have, who may give up at any moment.

use std::{
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex},
};

use crate::lock::lock;

/// Holds a value, except while somebody has taken it.
#[derive(Debug)]
pub(super) struct Slot<T>(Arc<Mutex<Option<T>>>);

/// A value that is put back where it was taken from, however its holder ends.
pub(super) struct Taken<T> {
    /// There until it is dropped.
    value: Option<T>,
    slot: Arc<Mutex<Option<T>>>,
}

impl<T> Slot<T> {
    pub(super) fn new(value: T) -> Self {
        Self(Arc::new(Mutex::new(Some(value))))
    }

    /// Takes the value; `None` while another has it.
    pub(super) fn take(&self) -> Option<Taken<T>> {
        let value = lock(&self.0).take()?;
        Some(Taken { value: Some(value), slot: Arc::clone(&self.0) })
    }

    /// Looks at the value; `None` while somebody has it.
    pub(super) fn read<R>(&self, read: impl FnOnce(&T) -> R) -> Option<R> {
        lock(&self.0).as_ref().map(read)
    }
}

impl<T> Deref for Taken<T> {
    type Target = T;

    fn deref(&self) -> &T {
        let Some(value) = &self.value else { unreachable!("it is put back only when dropped") };
        value
    }
}

impl<T> DerefMut for Taken<T> {
    fn deref_mut(&mut self) -> &mut T {
        let Some(value) = &mut self.value else { unreachable!("it is put back only when dropped") };
        value
    }
}

impl<T> Drop for Taken<T> {
    fn drop(&mut self) {
        *lock(&self.slot) = self.value.take();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_put_back_by_whoever_gives_up() {
        let slot = Slot::new(1);
        let mut taken = slot.take().unwrap();
        *taken += 1;
        assert!(slot.take().is_none());
        assert_eq!(slot.read(|value| *value), None);
        drop(taken);
        assert_eq!(slot.read(|value| *value), Some(2));
    }
}

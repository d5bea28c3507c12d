//! A place for what is lent to one at a time, who may give up at any moment.

use std::{
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex},
};

use crate::lock::lock;

/// Holds a value, except while it is lent.
#[derive(Debug)]
pub(super) struct Slot<T> {
    value: Option<Box<T>>,
    returned: Returned<T>,
}

/// Where a borrower leaves the value.
type Returned<T> = Arc<Mutex<Option<Box<T>>>>;

/// A value that is given back to where it was lent from, however its holder ends.
pub(super) struct Lent<T> {
    /// There until it is dropped.
    value: Option<Box<T>>,
    to: Returned<T>,
}

impl<T> Slot<T> {
    pub(super) fn new(value: T) -> Self {
        Self { value: Some(Box::new(value)), returned: Arc::default() }
    }

    /// Returns the value; `None` from when it is lent until it is taken back.
    pub(super) fn get(&self) -> Option<&T> {
        self.value.as_deref()
    }

    /// The same, to change it.
    pub(super) fn get_mut(&mut self) -> Option<&mut T> {
        self.value.as_deref_mut()
    }

    /// Lends the value; `None` while another has it.
    pub(super) fn lend(&mut self) -> Option<Lent<T>> {
        let value = self.value.take()?;
        Some(Lent { value: Some(value), to: Arc::clone(&self.returned) })
    }

    /// Takes back what was lent, once its holder has ended.
    pub(super) fn take_back(&mut self) {
        if self.value.is_none() {
            self.value = lock(&self.returned).take();
        }
    }
}

impl<T> Deref for Lent<T> {
    type Target = T;

    fn deref(&self) -> &T {
        let Some(value) = &self.value else { unreachable!("it is given back only when dropped") };
        value
    }
}

impl<T> DerefMut for Lent<T> {
    fn deref_mut(&mut self) -> &mut T {
        let Some(value) = &mut self.value else {
            unreachable!("it is given back only when dropped")
        };
        value
    }
}

impl<T> Drop for Lent<T> {
    fn drop(&mut self) {
        *lock(&self.to) = self.value.take();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lent_is_given_back_by_whoever_gives_up() {
        let mut slot = Slot::new(1);
        let mut lent = slot.lend().unwrap();
        *lent += 1;
        slot.take_back();
        assert!(slot.lend().is_none());
        assert_eq!(slot.get(), None);
        drop(lent);
        slot.take_back();
        assert_eq!(slot.get(), Some(&2));
    }
}

//! A mutex whose holders do nothing that can panic.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks `mutex`: nothing that can panic is done under it, so that it can't be poisoned.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

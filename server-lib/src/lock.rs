//! Locks under which nothing can panic half-way.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks, whoever has panicked meanwhile: what is under these locks is whole between any two steps.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

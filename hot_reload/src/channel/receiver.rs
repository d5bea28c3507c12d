//! What a service holds of a live value.

use std::{borrow::Cow, fmt::Display, marker::PhantomData, sync::Arc};

use tokio::sync::watch;

use super::{CachedReader, Cell, Ref, Snapshot};
use crate::{error::ReloadResult, status::Status};

/// The receiving half of a service: reads the newest value and waits for the next.
///
/// A clone follows on its own from where it was cloned: what the original has not awaited yet, the
/// clone still yields.
///
/// # Which read
///
/// | method | cost | for |
/// |---|---|---|
/// | [`cached`](Self::cached) | one atomic load | a hot path that owns its reader |
/// | [`borrow`](Self::borrow) | a few ns, no lock | a short look |
/// | [`snapshot`](Self::snapshot) | an [`Arc`] clone, no lock | a request that needs one version throughout |
/// | [`get`](Self::get) | a clone of the value | a value that is cheap to clone |
pub struct ReloaderReceiver<V, S = &'static str> {
    cell: Arc<Cell<V>>,
    changes: watch::Receiver<u64>,
    _error: PhantomData<S>,
}

impl<V, S> ReloaderReceiver<V, S> {
    pub(super) fn new(cell: Arc<Cell<V>>, changes: watch::Receiver<u64>) -> Self {
        Self { cell, changes, _error: PhantomData }
    }

    /// Borrows the newest value; `None` until the first is published.
    ///
    /// Takes no lock, and holding the result holds up nobody.
    pub fn borrow(&self) -> Ref<'_, V> {
        Ref::new(&self.cell)
    }

    /// Clones the newest value; `None` until the first is published.
    pub fn get(&self) -> Option<V>
    where
        V: Clone,
    {
        self.borrow().clone()
    }

    /// Returns the newest value as an owned snapshot; `None` until the first is published.
    pub fn snapshot(&self) -> Option<Snapshot<V>> {
        Snapshot::new(&self.cell)
    }

    /// Returns a reader for hot paths, to be kept: it costs one atomic load a read.
    ///
    /// # Examples
    ///
    /// ```
    /// # use hot_reload::ReloaderReceiver;
    /// fn serve(config: &ReloaderReceiver<String>) {
    ///     let mut config = config.cached();
    ///     for _request in 0..1_000 {
    ///         if let Some(greeting) = config.load() {
    ///             // answer with `greeting`
    ///             # let _ = greeting;
    ///         }
    ///     }
    /// }
    /// ```
    pub fn cached(&self) -> CachedReader<V> {
        CachedReader::new(Arc::clone(&self.cell))
    }

    /// Says how the service is doing: whether its source can be read, and why not.
    pub fn status(&self) -> Status {
        self.cell.status()
    }
}

impl<V, S> ReloaderReceiver<V, S>
where
    V: Eq + PartialEq,
    S: Into<Cow<'static, str>> + Display,
{
    /// Waits until a value is published that this receiver has not awaited yet.
    ///
    /// The first load counts as a change. Several changes since the last call are one: only the
    /// newest value can be read.
    ///
    /// # Errors
    ///
    /// When the service is gone and nothing unseen is left.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: the next call yields the same change.
    pub async fn changed(&mut self) -> ReloadResult<(), V, S> {
        Ok(self.changes.changed().await?)
    }
}

impl<V, S> Clone for ReloaderReceiver<V, S> {
    fn clone(&self) -> Self {
        Self { cell: Arc::clone(&self.cell), changes: self.changes.clone(), _error: PhantomData }
    }
}

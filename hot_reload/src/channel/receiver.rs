//! What a service holds of a live value.

use std::{
    borrow::Cow,
    fmt::Display,
    marker::PhantomData,
    panic::{RefUnwindSafe, UnwindSafe},
    sync::Arc,
};

use tokio::sync::watch;

use super::{CachedReader, Cell, Ref, Snapshot};
use crate::{
    change::Change,
    error::ReloadResult,
    status::{Status, StatusReceiver},
};

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
    pub(super) cell: Arc<Cell<V>>,
    pub(super) changes: watch::Receiver<u64>,
    /// What [`changed_with`](Self::changed_with) yielded last.
    pub(super) last: Option<Snapshot<V>>,
    /// What this is a part of; kept so that its service goes on.
    pub(super) whole: Option<Arc<dyn Whole>>,
    _error: PhantomData<S>,
}

/// What a part is kept alive by.
pub(super) trait Whole: Send + Sync + UnwindSafe + RefUnwindSafe {}

impl<T: Send + Sync + UnwindSafe + RefUnwindSafe> Whole for T {}

impl<V, S> ReloaderReceiver<V, S> {
    pub(super) fn new(cell: Arc<Cell<V>>, changes: watch::Receiver<u64>) -> Self {
        Self { cell, changes, last: None, whole: None, _error: PhantomData }
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
        self.cell.statement.get()
    }

    /// Returns a receiver of the status, which can be awaited.
    ///
    /// # Examples
    ///
    /// ```
    /// # use hot_reload::{Health, ReloaderReceiver};
    /// # async fn example(config: ReloaderReceiver<String>) {
    /// let mut status = config.watch_status();
    /// tokio::spawn(async move {
    ///     loop {
    ///         let now = status.changed().await;
    ///         println!("{}: {:?}", now.health, now.last_error);
    ///         if now.health == Health::Ended {
    ///             break;
    ///         }
    ///     }
    /// });
    /// # }
    /// ```
    pub fn watch_status(&self) -> StatusReceiver {
        StatusReceiver::new(Arc::clone(&self.cell.statement))
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

    /// Waits as [`changed`](Self::changed) does, and returns what has changed: the value that the
    /// last call returned and the newest, each with its generation, reason and times.
    ///
    /// The receiver keeps the older of them alive until the next call.
    ///
    /// # Errors
    ///
    /// When the service is gone and nothing unseen is left.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: the next call yields the same change.
    ///
    /// # Examples
    ///
    /// ```
    /// # use hot_reload::{ReloadResult, ReloaderReceiver};
    /// # async fn example(mut config: ReloaderReceiver<String>) -> ReloadResult<(), String> {
    /// loop {
    ///     let change = config.changed_with().await?;
    ///     println!(
    ///         "generation {}, because of {}, after {:?}",
    ///         change.new.generation(),
    ///         change.new.reason().as_str(),
    ///         change.new.latency(),
    ///     );
    /// }
    /// # }
    /// ```
    pub async fn changed_with(&mut self) -> ReloadResult<Change<V>, V, S> {
        loop {
            self.changes.changed().await?;
            // There is none where `None` itself was published.
            if let Some(new) = self.snapshot() {
                // Published between the two, it was yielded the last time.
                if self.last.as_ref().is_some_and(|last| last.generation() == new.generation()) {
                    continue;
                }
                let old = self.last.replace(new.clone());
                return Ok(Change { old, new });
            }
        }
    }

    /// Waits for a value that `is_it` accepts, the one there is now included.
    ///
    /// A value that is replaced before it was looked at is passed over.
    ///
    /// # Errors
    ///
    /// When the service is gone and its last value was not accepted.
    ///
    /// # Cancel safety
    ///
    /// When the future is dropped, what it has looked at counts as seen.
    ///
    /// # Examples
    ///
    /// ```
    /// # use hot_reload::{ReloadResult, ReloaderReceiver};
    /// # async fn example(mut workers: ReloaderReceiver<u32>) -> ReloadResult<(), u32> {
    /// let workers = workers.wait_for(|workers| *workers > 0).await?;
    /// println!("{} workers", *workers);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn wait_for(
        &mut self,
        mut is_it: impl FnMut(&V) -> bool,
    ) -> ReloadResult<Snapshot<V>, V, S> {
        loop {
            // Marked as seen before it is read, so that what comes in between is not missed.
            self.changes.mark_unchanged();
            if let Some(snapshot) = self.snapshot().filter(|snapshot| is_it(snapshot)) {
                return Ok(snapshot);
            }
            self.changes.changed().await?;
        }
    }

    /// Waits for the value of this generation, or of a later one.
    ///
    /// # Errors
    ///
    /// When the service is gone before it got there.
    ///
    /// # Cancel safety
    ///
    /// When the future is dropped, what it has looked at counts as seen.
    pub async fn wait_for_generation(&mut self, number: u64) -> ReloadResult<Snapshot<V>, V, S> {
        loop {
            self.changes.mark_unchanged();
            if let Some(snapshot) = self.snapshot().filter(|found| found.generation() >= number) {
                return Ok(snapshot);
            }
            self.changes.changed().await?;
        }
    }
}

impl<V, S> Clone for ReloaderReceiver<V, S> {
    fn clone(&self) -> Self {
        Self {
            cell: Arc::clone(&self.cell),
            changes: self.changes.clone(),
            last: self.last.clone(),
            whole: self.whole.clone(),
            _error: PhantomData,
        }
    }
}

//! Three ways to hold a published value without cloning it.

use std::{fmt, ops::Deref, sync::Arc, time::Duration};

use arc_swap::{ArcSwap, Cache, Guard};
use tokio::{sync::watch, time::Instant};

use super::{Cell, Generation};
use crate::change::Reason;

/// A borrowed look at the newest value; from [`ReloaderReceiver::borrow`].
///
/// It keeps its generation alive and blocks nobody: the service publishes past it.
///
/// [`ReloaderReceiver::borrow`]: crate::ReloaderReceiver::borrow
///
/// # Examples
///
/// ```
/// # #[cfg(not(feature = "toml"))] fn main() {}
/// # #[cfg(feature = "toml")] #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # tokio::time::timeout(std::time::Duration::from_secs(10), async {
/// # #[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
/// # struct Config { workers: u32 }
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("config.toml");
/// # std::fs::write(&path, "workers = 2")?;
/// # let mut config = hot_reload::TomlFile::<Config>::watch(&path).await?;
/// let now = config.borrow();
/// assert_eq!(now.generation(), 1);
/// assert_eq!(now.as_ref().map(|config| config.workers), Some(2));
/// # Ok(()) }).await? }
/// ```
pub struct Ref<'a, V> {
    guard: Guard<Arc<Generation<V>>>,
    changes: &'a watch::Receiver<u64>,
}

impl<'a, V> Ref<'a, V> {
    pub(super) fn new(cell: &Cell<V>, changes: &'a watch::Receiver<u64>) -> Self {
        Self { guard: cell.current.load(), changes }
    }

    /// Returns the number of this generation: 0 before the first, then one more at each.
    pub fn generation(&self) -> u64 {
        self.guard.number
    }

    /// Whether there is by now a value that the receiver has not awaited yet, this one or a newer one.
    pub fn has_changed(&self) -> bool {
        self.changes.borrow().has_changed()
    }
}

impl<V> Deref for Ref<'_, V> {
    type Target = Option<V>;

    fn deref(&self) -> &Option<V> {
        &self.guard.value
    }
}

impl<V: fmt::Debug> fmt::Debug for Ref<'_, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// An owned look at one published value; from [`ReloaderReceiver::snapshot`].
///
/// It costs as much as an [`Arc`] to clone and to send elsewhere, and its value never changes.
///
/// [`ReloaderReceiver::snapshot`]: crate::ReloaderReceiver::snapshot
///
/// # Examples
///
/// ```
/// # #[cfg(not(feature = "toml"))] fn main() {}
/// # #[cfg(feature = "toml")] #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # tokio::time::timeout(std::time::Duration::from_secs(10), async {
/// # #[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
/// # struct Config { workers: u32 }
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("config.toml");
/// # std::fs::write(&path, "workers = 2")?;
/// # let mut config = hot_reload::TomlFile::<Config>::watch(&path).await?;
/// let old = config.snapshot().unwrap();
/// std::fs::write(&path, "workers = 4")?;
/// let new = config.wait_for_generation(2).await?;
/// println!("{:?}, because of {}", *new, new.reason().as_str());
///
/// assert_eq!((old.generation(), old.workers), (1, 2));
/// assert_eq!(config.status().alive, 2);
/// drop(old); // its last reader, so that it is freed
/// assert_eq!(config.status().alive, 1);
/// # Ok(()) }).await? }
/// ```
pub struct Snapshot<V> {
    /// Its value is there: [`Snapshot::new`] makes no other.
    generation: Arc<Generation<V>>,
}

impl<V> Snapshot<V> {
    pub(super) fn new(cell: &Cell<V>) -> Option<Self> {
        let generation = cell.current.load_full();
        generation.value.is_some().then_some(Self { generation })
    }

    /// Wraps a generation that has a value.
    pub(super) fn of_value(generation: Arc<Generation<V>>) -> Self {
        debug_assert!(generation.value.is_some());
        Self { generation }
    }

    pub(super) fn inside(&self) -> &Arc<Generation<V>> {
        &self.generation
    }

    /// Returns the number of this generation: 1 for the first, then one more at each.
    pub fn generation(&self) -> u64 {
        self.generation.number
    }

    /// Whether it lacks what a source of it that has failed would have given.
    pub(crate) fn is_partial(&self) -> bool {
        self.generation.origin.is_partial
    }

    /// Says why it was loaded.
    pub fn reason(&self) -> Reason {
        self.generation.origin.reason
    }

    /// Says when the change to it was first heard of.
    pub fn seen_at(&self) -> Instant {
        self.generation.origin.seen
    }

    /// Says when it was published.
    pub fn published_at(&self) -> Instant {
        // One that is yet to be published would be at this moment.
        self.generation.published.get().copied().unwrap_or_else(Instant::now)
    }

    /// Says how long it took from the first hint to the publication.
    pub fn latency(&self) -> Duration {
        self.published_at().saturating_duration_since(self.seen_at())
    }
}

impl<V> Clone for Snapshot<V> {
    fn clone(&self) -> Self {
        Self { generation: Arc::clone(&self.generation) }
    }
}

impl<V> Deref for Snapshot<V> {
    type Target = V;

    fn deref(&self) -> &V {
        let Some(value) = &self.generation.value else {
            unreachable!("a snapshot is made only of a generation that has a value");
        };
        value
    }
}

/// Equal where the values are, whatever their generations.
impl<V: PartialEq> PartialEq for Snapshot<V> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.generation, &other.generation) || **self == **other
    }
}

impl<V: Eq> Eq for Snapshot<V> {}

impl<V: fmt::Debug> fmt::Debug for Snapshot<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// A reader for hot paths: one atomic load a read while nothing has changed.
///
/// It keeps the generation it saw last alive until it reads again; from
/// [`ReloaderReceiver::cached`].
///
/// [`ReloaderReceiver::cached`]: crate::ReloaderReceiver::cached
pub struct CachedReader<V> {
    cache: Cache<CellRef<V>, Arc<Generation<V>>>,
}

impl<V> CachedReader<V> {
    pub(super) fn new(cell: Arc<Cell<V>>) -> Self {
        Self { cache: Cache::new(CellRef(cell)) }
    }

    /// Returns the newest value, or `None` where none is published yet.
    pub fn load(&mut self) -> Option<&V> {
        self.cache.load().value.as_ref()
    }
}

impl<V> fmt::Debug for CachedReader<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedReader").finish_non_exhaustive()
    }
}

impl<V> Clone for CachedReader<V> {
    fn clone(&self) -> Self {
        Self { cache: self.cache.clone() }
    }
}

/// Lets a [`Cache`] reach into the cell that it shares.
struct CellRef<V>(Arc<Cell<V>>);

impl<V> Clone for CellRef<V> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<V> Deref for CellRef<V> {
    type Target = ArcSwap<Generation<V>>;

    fn deref(&self) -> &Self::Target {
        &self.0.current
    }
}

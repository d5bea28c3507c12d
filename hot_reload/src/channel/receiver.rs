//! What a service holds of a live value.

use std::{
    borrow::Cow,
    fmt::{self, Display},
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
/// | [`borrow`](Self::borrow) | some 10 ns, no lock | a short look |
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
    /// if let Some(config) = &*config.borrow() {
    ///     println!("{} workers", config.workers);
    ///     # assert_eq!(config.workers, 2);
    /// }
    /// assert_eq!(config.borrow().generation(), 1);
    /// # Ok(()) }).await? }
    /// ```
    pub fn borrow(&self) -> Ref<'_, V> {
        Ref::new(&self.cell, &self.changes)
    }

    /// Clones the newest value; `None` until the first is published.
    pub fn get(&self) -> Option<V>
    where
        V: Clone,
    {
        self.borrow().clone()
    }

    /// Whether this is the newest value, and all else that was published with it is in place.
    pub(crate) fn is_told_of(&self, value: &Snapshot<V>) -> bool {
        let number = value.generation();
        *self.changes.borrow() == number && self.borrow().generation() == number
    }

    /// Returns the newest value as an owned snapshot; `None` until the first is published.
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
    /// let request = config.snapshot().expect("watch() has loaded the first value");
    /// std::fs::write(&path, "workers = 4")?;
    /// config.wait_for(|config| config.workers == 4).await?;
    ///
    /// assert_eq!(request.workers, 2); // the same from its first line to its last
    /// assert_eq!(config.snapshot().unwrap().workers, 4);
    /// # Ok(()) }).await? }
    /// ```
    pub fn snapshot(&self) -> Option<Snapshot<V>> {
        Snapshot::new(&self.cell)
    }

    /// Returns a reader for hot paths, to be kept: it costs one atomic load a read.
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
    /// let mut reader = config.cached(); // one for each thread or task
    /// for _request in 0..1_000 {
    ///     if let Some(config) = reader.load() {
    ///         // answer with `config`
    ///         # assert_eq!(config.workers, 2);
    ///     }
    /// }
    /// # assert!(reader.load().is_some());
    /// # Ok(()) }).await? }
    /// ```
    pub fn cached(&self) -> CachedReader<V> {
        CachedReader::new(Arc::clone(&self.cell))
    }

    /// Says how the service is doing: whether its source can be read, and why not.
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
    /// let status = config.status();
    /// println!("generation {}: {}, {:?}", status.generation, status.health, status.mechanism);
    /// if let Some(error) = &status.last_error {
    ///     println!("{} failures in a row, the last: {error}", status.failures);
    /// }
    /// # assert_eq!((status.generation, status.last_error), (1, None));
    /// # Ok(()) }).await? }
    /// ```
    pub fn status(&self) -> Status {
        self.cell.statement.get()
    }

    /// Returns a receiver of the status, which can be awaited.
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
    /// # let file = hot_reload::TomlFile::<Config>::from_path(&path)?;
    /// # let options = hot_reload::ReloaderOptions::hybrid();
    /// # let (service, mut config) = hot_reload::ReloaderService::from_reloader(file, options);
    /// # let handle = service.handle();
    /// # tokio::spawn(async move { service.start_with_realtime().await });
    /// # config.wait_for_generation(1).await?;
    /// let mut status = config.watch_status();
    /// let log = tokio::spawn(async move {
    ///     while let Ok(now) = status.changed().await {
    ///         println!("the configuration is {now}");
    ///     }
    /// });
    /// # handle.shutdown().await;
    /// # log.await?;
    /// # Ok(()) }).await? }
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
    /// The receiver keeps what it returned last alive until the next call, which returns it as the
    /// older. Only what this method returned counts: the first call returns none, whatever
    /// [`changed`](Self::changed) has awaited before.
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
    /// config.changed_with().await?; // the first value, which has no older one
    /// std::fs::write(&path, "workers = 4")?;
    ///
    /// let change = config.changed_with().await?;
    /// let new = &change.new;
    /// println!("{}, by {}, in {:?}", new.generation(), new.reason().as_str(), new.latency());
    /// assert_eq!(change.old.map(|old| old.workers), Some(2));
    /// assert_eq!(new.workers, 4);
    /// # Ok(()) }).await? }
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
    /// # #[cfg(not(feature = "toml"))] fn main() {}
    /// # #[cfg(feature = "toml")] #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # tokio::time::timeout(std::time::Duration::from_secs(10), async {
    /// # #[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
    /// # struct Config { workers: u32 }
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("config.toml");
    /// # std::fs::write(&path, "workers = 0")?;
    /// # let mut config = hot_reload::TomlFile::<Config>::watch(&path).await?;
    /// # std::fs::write(&path, "workers = 4")?;
    /// let config = config.wait_for(|config| config.workers > 0).await?;
    /// println!("starting {} workers", config.workers);
    /// # assert_eq!(config.workers, 4);
    /// # Ok(()) }).await? }
    /// ```
    pub async fn wait_for(
        &mut self,
        mut is_it: impl FnMut(&V) -> bool,
    ) -> ReloadResult<Snapshot<V>, V, S> {
        self.wait_until(|snapshot| is_it(snapshot)).await
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
    /// # let file = hot_reload::TomlFile::<Config>::from_path(&path)?;
    /// # let options = hot_reload::ReloaderOptions::hybrid();
    /// # let (service, mut config) = hot_reload::ReloaderService::from_reloader(file, options);
    /// # let handle = service.handle();
    /// # tokio::spawn(async move { service.start_with_realtime().await });
    /// # config.wait_for_generation(1).await?;
    /// use hot_reload::Triggered;
    ///
    /// std::fs::write(&path, "workers = 4")?;
    /// if let Triggered::Published(generation) = handle.trigger().await {
    ///     // In whatever task has to go on with that value, or a newer one:
    ///     let config = config.wait_for_generation(generation).await?;
    ///     assert_eq!(config.workers, 4);
    /// }
    /// # assert_eq!(config.wait_for_generation(2).await?.workers, 4);
    /// # Ok(()) }).await? }
    /// ```
    pub async fn wait_for_generation(&mut self, number: u64) -> ReloadResult<Snapshot<V>, V, S> {
        self.wait_until(|snapshot| snapshot.generation() >= number).await
    }

    async fn wait_until(
        &mut self,
        mut is_it: impl FnMut(&Snapshot<V>) -> bool,
    ) -> ReloadResult<Snapshot<V>, V, S> {
        loop {
            // Marked as seen before it is read, so that what comes in between is not missed.
            self.changes.mark_unchanged();
            if let Some(snapshot) = self.snapshot().filter(&mut is_it) {
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

impl<V, S> fmt::Debug for ReloaderReceiver<V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReloaderReceiver")
            .field("generation", &self.borrow().generation())
            .finish_non_exhaustive()
    }
}

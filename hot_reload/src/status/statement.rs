//! The status of one service, shared by all who ask for it.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::watch;

use super::{Health, Status};
use crate::{lock::lock, panic::wake_all};

/// The status of a service, and who waits for it to change.
#[derive(Default)]
pub(crate) struct Statement {
    status: Mutex<Status>,
    alive: AtomicUsize,
    /// Made for the first who waits: most services have none.
    changes: OnceLock<watch::Sender<()>>,
}

impl Statement {
    pub(crate) fn get(&self) -> Status {
        // Relaxed: a count that nothing else depends on.
        Status { alive: self.alive.load(Ordering::Relaxed), ..self.lock().clone() }
    }

    /// Whether the service has ended, and will never run again.
    pub(crate) fn is_of_ended(&self) -> bool {
        self.lock().health == Health::Ended
    }

    /// Changes the status, and wakes those who wait if it is another now.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Status)) {
        if self.change_untold(change) {
            self.tell();
        }
    }

    /// Changes the status and wakes nobody; true if it is another now, and somebody may wait for that.
    pub(crate) fn change_untold(&self, change: impl FnOnce(&mut Status)) -> bool {
        let mut status = self.lock();
        if self.changes.get().is_none() {
            change(&mut status);
            return false;
        }
        let before = status.clone();
        change(&mut status);
        // That a look has found nothing new is no news.
        before != Status { last_load: before.last_load, ..status.clone() }
    }

    /// Wakes those who wait.
    pub(crate) fn tell(&self) {
        if let Some(changes) = self.changes.get() {
            wake_all(changes.receiver_count(), || changes.send_modify(|()| {}));
        }
    }

    fn changes(&self) -> watch::Receiver<()> {
        // Under the lock, so that no change falls in between.
        let _unchanged = self.lock();
        self.changes.get_or_init(|| watch::Sender::new(())).subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, Status> {
        lock(&self.status)
    }
}

/// Counts one generation for as long as it lives.
pub(crate) struct Alive(Arc<Statement>);

impl Alive {
    pub(crate) fn new(statement: &Arc<Statement>) -> Self {
        statement.alive.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(statement))
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.alive.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Nothing changes any more in the status of a service that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the reloader service has ended")]
#[non_exhaustive]
pub struct ServiceEnded;

/// Follows the status of a service; from
/// [`ReloaderReceiver::watch_status`](crate::ReloaderReceiver::watch_status).
///
/// It keeps no service from ending.
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
/// let mut status = config.watch_status();
/// std::fs::write(&path, "workers = many")?;
/// let bad = status.wait_for(|now| now.last_error.is_some()).await?;
///
/// let at = bad.last_error_at.unwrap();
/// assert_eq!((at.line, at.column), (Some(1), Some(11)));
/// assert_eq!(bad.generation, 1); // which keeps serving
/// # Ok(()) }).await? }
/// ```
#[derive(Clone)]
pub struct StatusReceiver {
    statement: Arc<Statement>,
    changes: watch::Receiver<()>,
}

impl StatusReceiver {
    pub(crate) fn new(statement: Arc<Statement>) -> Self {
        let changes = statement.changes();
        Self { statement, changes }
    }

    /// Returns the status as it is now.
    pub fn get(&self) -> Status {
        self.statement.get()
    }

    /// Waits until the status has changed since the last call, and returns it.
    ///
    /// That a look has found nothing new does not count.
    ///
    /// # Errors
    ///
    /// Once the service has [ended](Health::Ended) and nothing unseen is left.
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
    /// # let file = hot_reload::TomlFile::<Config>::from_path(&path)?;
    /// # let options = hot_reload::ReloaderOptions::hybrid();
    /// # let (service, mut config) = hot_reload::ReloaderService::from_reloader(file, options);
    /// # let handle = service.handle();
    /// # tokio::spawn(async move { service.start_with_realtime().await });
    /// # config.wait_for_generation(1).await?;
    /// let mut status = config.watch_status();
    /// # let mut words = Vec::new();
    /// # let end = tokio::spawn(async move { handle.shutdown().await });
    /// while let Ok(now) = status.changed().await {
    ///     println!("the configuration is {now}");
    ///     # words.push(now.health);
    /// }
    /// # end.await?;
    /// # assert_eq!(words.last(), Some(&hot_reload::Health::Ended));
    /// # Ok(()) }).await? }
    /// ```
    pub async fn changed(&mut self) -> Result<Status, ServiceEnded> {
        // The sender lives as long as the statement, which this holds.
        if !self.changes.has_changed().is_ok_and(|has| has) && self.has_ended() {
            return Err(ServiceEnded);
        }
        let _changed = self.changes.changed().await;
        Ok(self.get())
    }

    /// Waits for a status that `is_it` accepts, the one there is now included.
    ///
    /// # Errors
    ///
    /// When the service has [ended](Health::Ended), and that was not accepted.
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
    /// # tokio::spawn(async move { service.start_with_realtime().await });
    /// let mut status = config.watch_status();
    /// // Open the port only once there is something to serve.
    /// let ready = status.wait_for(|now| now.is_ready()).await?;
    /// assert_eq!(ready.generation, 1);
    /// # Ok(()) }).await? }
    /// ```
    pub async fn wait_for(
        &mut self,
        mut is_it: impl FnMut(&Status) -> bool,
    ) -> Result<Status, ServiceEnded> {
        loop {
            self.changes.mark_unchanged();
            let status = self.get();
            if is_it(&status) {
                return Ok(status);
            }
            if status.health == Health::Ended {
                return Err(ServiceEnded);
            }
            let _changed = self.changes.changed().await;
        }
    }

    fn has_ended(&self) -> bool {
        self.get().health == Health::Ended
    }
}

impl fmt::Debug for StatusReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Status { health, generation, .. } = self.get();
        let mut debug = f.debug_struct("StatusReceiver");
        debug.field("health", &health).field("generation", &generation).finish_non_exhaustive()
    }
}

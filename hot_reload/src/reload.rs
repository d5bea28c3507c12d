//! The two traits that a source of values implements.

use std::{
    any::Any,
    borrow::Cow,
    fmt::{self, Display},
};

use async_trait::async_trait;
use tokio::sync::mpsc;

use crate::{
    error::ReloadResult, follow::BoxFollow, options::ReloaderOptions, panic::drop_guarded,
};

/// Loads a value of type `V` from a source, whenever it is asked to.
///
/// Implement it for anything that a value can be read from: a key in a store, an HTTP endpoint, a
/// secret. Put [`#[async_trait]`](mod@async_trait) on the implementation.
///
/// # Examples
///
/// ```
/// use async_trait::async_trait;
/// use hot_reload::{Reload, ReloadResult, ReloaderConfig, ReloaderError, ReloaderService};
///
/// #[derive(Clone)]
/// struct Variable(String);
///
/// #[async_trait]
/// impl Reload<String> for Variable {
///     type Source = String;
///     async fn new(name: &String) -> ReloadResult<Self, String> {
///         Ok(Variable(name.clone()))
///     }
///     async fn reload(&self) -> ReloadResult<Option<String>, String> {
///         std::env::var(&self.0)
///             .map(Some)
///             .map_err(|_| ReloaderError::Reload("set the variable to a value"))
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), ReloaderError<String>> {
/// let source = "PATH".to_string();
/// let (service, mut path) =
///     ReloaderService::<Variable, String>::new(&source, ReloaderConfig::polling(5)).await?;
/// tokio::spawn(async move { service.start().await });
/// path.changed().await?;
/// assert_eq!(path.get(), std::env::var("PATH").ok());
/// # Ok(())
/// # }
/// ```
#[async_trait]
pub trait Reload<V, S = &'static str>
where
    V: Eq + PartialEq,
    S: Into<Cow<'static, str>> + Display,
{
    /// What a reloader is made of: a path, a key, a URL. What the log calls the source is up to
    /// [`named`](crate::ReloaderService::named).
    type Source;

    /// Creates a reloader for `src`; it need not be reachable yet.
    ///
    /// # Errors
    ///
    /// When `src` can never be loaded from, such as a name that is malformed.
    ///
    /// # Cancel safety
    ///
    /// The future is dropped together with that of [`ReloaderService::new`](crate::ReloaderService::new).
    /// An implementation must leave nothing running in that case.
    async fn new(src: &Self::Source) -> ReloadResult<Self, V, S>
    where
        Self: Sized;

    /// Loads the value; `None` means that there is nothing to publish.
    ///
    /// # Errors
    ///
    /// When the source can't be read or what it holds is no `V`. The service keeps the last good
    /// value and asks again.
    ///
    /// # Cancel safety
    ///
    /// The service drops the future when it is stopped, and when the load takes longer than
    /// [`load_timeout`](crate::ReloaderOptions::load_timeout). An implementation must leave nothing half
    /// done or running in that case.
    async fn reload(&self) -> ReloadResult<Option<V>, V, S>;

    /// Returns how this source is followed by hints instead of being loaded at every poll.
    ///
    /// Seam between the service and the file source, not part of the stable interface.
    #[doc(hidden)]
    fn __follow(&self, options: &ReloaderOptions) -> Option<BoxFollow<'_, V, S>> {
        // A source that only loads has no use for them.
        let _ = options;
        None
    }
}

/// Follows a source that reports its changes by itself.
///
/// # Examples
///
/// A source that pushes whatever it is sent:
///
/// ```
/// use async_trait::async_trait;
/// use hot_reload::{
///     RealtimeWatch, RealtimeWatchHandle, Reload, ReloadResult, ReloaderConfig, ReloaderService,
///     WatchEvent,
/// };
/// use tokio::sync::mpsc;
///
/// #[derive(Clone)]
/// struct Countdown(u32);
///
/// #[async_trait]
/// impl Reload<u32> for Countdown {
///     type Source = u32;
///     async fn new(from: &u32) -> ReloadResult<Self, u32> {
///         Ok(Countdown(*from))
///     }
///     async fn reload(&self) -> ReloadResult<Option<u32>, u32> {
///         Ok(Some(self.0))
///     }
/// }
///
/// #[async_trait]
/// impl RealtimeWatch<u32> for Countdown {
///     async fn watch_realtime(&self) -> ReloadResult<RealtimeWatchHandle<u32>, u32> {
///         let (tx, rx) = mpsc::channel(1);
///         let from = self.0;
///         let ticking = tokio::spawn(async move {
///             for n in (0..from).rev() {
///                 if tx.send(WatchEvent::Changed(n)).await.is_err() {
///                     return;
///                 }
///             }
///             std::future::pending::<()>().await;
///         });
///         Ok(RealtimeWatchHandle::with_cleanup(rx, Box::new(ticking)))
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), hot_reload::ReloaderError<u32>> {
/// let (service, mut left) =
///     ReloaderService::<Countdown, u32>::new(&3, ReloaderConfig::realtime()).await?;
/// tokio::spawn(async move { service.start_with_realtime().await });
/// while left.get() != Some(0) {
///     left.changed().await?;
/// }
/// # Ok(())
/// # }
/// ```
#[async_trait]
pub trait RealtimeWatch<V, S = &'static str>: Reload<V, S>
where
    V: Eq + PartialEq,
    S: Into<Cow<'static, str>> + Display,
{
    /// Starts to watch; every change from now on arrives on the handle's channel.
    ///
    /// The service calls it before it loads, so that no change falls in between, and again, with
    /// backoff, when the channel closes, or has told that the source is gone: a watch on a file hears
    /// nothing of another that took its place. What that channel still tells counts while no other watch
    /// stands, and has the source loaded once one does, unless it is an error. When it takes more than a second the service
    /// loads meanwhile, says so in its status, and loads once more when it stands.
    ///
    /// # Errors
    ///
    /// When the source can't be watched now. The service polls meanwhile and tries again.
    ///
    /// # Cancel safety
    ///
    /// The service drops the future when it is stopped, and when it takes longer than
    /// [`load_timeout`](crate::ReloaderOptions::load_timeout). An implementation must leave nothing
    /// running in that case.
    async fn watch_realtime(&self) -> ReloadResult<RealtimeWatchHandle<V>, V, S>;

    /// As [`Reload::__follow`], with what only a source that is watched can know.
    #[doc(hidden)]
    fn __follow_realtime(&self, options: &ReloaderOptions) -> Option<BoxFollow<'_, V, S>> {
        // A source that pushes values has no use for them.
        let _ = options;
        None
    }
}

/// What a watched source reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WatchEvent<V> {
    /// The source holds this value now.
    Changed(V),
    /// The source is gone; the last good value keeps serving until it is back.
    Removed,
    /// Watching met a problem, in the source's own words; it goes on. However many of them arrive, the
    /// source is loaded in between, and what is loaded counts.
    Error(String),
}

/// The receiving end of a watch, and whatever must live as long as it.
pub struct RealtimeWatchHandle<V> {
    /// Where the events arrive; closed when the watch has ended.
    pub rx: mpsc::Receiver<WatchEvent<V>>,
    _cleanup: Option<Box<dyn Any + Send>>,
}

impl<V> RealtimeWatchHandle<V> {
    /// Creates a handle whose watch ends by itself once `rx` is dropped.
    pub fn new(rx: mpsc::Receiver<WatchEvent<V>>) -> Self {
        Self { rx, _cleanup: None }
    }

    /// Creates a handle that drops `cleanup` together with `rx`: a watcher, a task, a connection.
    pub fn with_cleanup(rx: mpsc::Receiver<WatchEvent<V>>, cleanup: Box<dyn Any + Send>) -> Self {
        Self { rx, _cleanup: Some(cleanup) }
    }

    /// Lets go of it and of what nobody has taken: a user's `Drop`, of any of these, may panic.
    pub(crate) fn end(self) {
        let Self { mut rx, _cleanup: cleanup } = self;
        rx.close();
        // One by one, since a second panic amid the first would abort the process.
        while let Ok(event) = rx.try_recv() {
            drop_guarded(event);
        }
        drop_guarded(rx);
        drop_guarded(cleanup);
    }
}

impl<V> fmt::Debug for RealtimeWatchHandle<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RealtimeWatchHandle")
            .field("is_closed", &self.rx.is_closed())
            .finish_non_exhaustive()
    }
}

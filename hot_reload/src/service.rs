//! The service that keeps a value live.

mod adapt;
mod beside;
mod builder;
mod control;
mod doubt;
mod ears;
mod gate;
mod handle;
#[cfg(feature = "last-good")]
mod last_good;
mod look;
mod metrics;
mod outcome;
mod publish;
mod recall;
mod record;
mod run;
mod sink;
mod state;

use std::{
    borrow::Cow,
    fmt::{self, Display},
    marker::PhantomData,
    pin::{Pin, pin},
    sync::{Arc, Mutex},
};

use tracing::error;

#[cfg(feature = "last-good")]
pub use self::last_good::read_last_good;
pub use self::{
    adapt::followed,
    gate::Candidate,
    handle::{ReloaderHandle, Triggered},
    record::Past,
};
use self::{
    adapt::{Polled, Pushed},
    gate::Gate,
    publish::{Keeper, Publish},
    record::Record,
};
pub(crate) use self::{
    control::Control,
    gate::Refusal,
    record::Trial,
    run::run,
    sink::{Failure, Found, OnPublish, Report, Sink},
};
use crate::{
    channel::{self, ReloaderReceiver, ReloaderSender, Snapshot},
    config::{ReloaderConfig, WatchStrategy},
    error::{ReloadResult, ReloaderError},
    options::ReloaderOptions,
    panic::Guarded,
    redact::mask,
    reload::{RealtimeWatch, Reload},
};

/// Follows a source and publishes each new value to its receivers.
///
/// A service is a value and a future: [`start`](Self::start) or
/// [`start_with_realtime`](Self::start_with_realtime) run as long as anyone receives, and dropping
/// their future stops the service without a trace. It may be started again and then goes on from
/// what the source holds by then. Nothing that can heal ends it: a bad edit, a missing file and a
/// lost watch are states, which its [status](ReloaderReceiver::status) tells and its log says once.
///
/// Dropping the service itself ends it: receivers keep the last value, and
/// [`changed`](ReloaderReceiver::changed) becomes an error.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "toml")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use hot_reload::{ReloaderConfig, ReloaderService, TomlFile};
///
/// #[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
/// struct Config {
///     name: String,
/// }
///
/// # let dir = tempfile::tempdir()?;
/// # std::env::set_current_dir(&dir)?;
/// # std::fs::write("config.toml", "name = 'one'")?;
/// let path = "config.toml".into();
/// let (service, mut config) =
///     ReloaderService::<TomlFile<Config>, Config, String>::new(&path, ReloaderConfig::hybrid(10))
///         .await?;
/// tokio::spawn(async move { service.start_with_realtime().await });
///
/// config.changed().await?;
/// assert_eq!(config.get().unwrap().name, "one");
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "toml"))]
/// # fn main() {}
/// ```
pub struct ReloaderService<T, V, S = &'static str>
where
    T: Reload<V, S>,
    V: Eq + PartialEq + Clone,
    S: Into<Cow<'static, str>> + Display,
{
    source: T,
    options: ReloaderOptions,
    sender: ReloaderSender<V>,
    control: Arc<Control>,
    gate: Gate<V>,
    record: Option<Box<Record<V>>>,
    keeper: Option<Box<dyn Keeper<V>>>,
    held: Mutex<Option<Snapshot<V>>>,
    /// What its source is called, in place of what that calls itself.
    name: Option<Arc<str>>,
    /// What it ends with. Locked while it runs.
    ending: tokio::sync::Mutex<Option<Ending>>,
    _error: PhantomData<S>,
}

impl<T, V, S> fmt::Debug for ReloaderService<T, V, S>
where
    T: Reload<V, S>,
    V: Eq + PartialEq + Clone,
    S: Into<Cow<'static, str>> + Display,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReloaderService")
            .field("name", &self.name)
            .field("options", &self.options)
            .field("sender", &self.sender)
            .finish_non_exhaustive()
    }
}

/// What a service ends with.
type Ending = Guarded<Pin<Box<dyn Future<Output = ()> + Send>>>;

impl<T, V, S> ReloaderService<T, V, S>
where
    T: Reload<V, S> + Clone,
    V: Eq + PartialEq + Clone,
    S: Into<Cow<'static, str>> + Display,
{
    /// Creates a service for `source`, and its first receiver; nothing is loaded before it starts.
    ///
    /// # Errors
    ///
    /// When the source is not one that can ever be loaded from. A source that is only missing or
    /// unreachable is none: the service waits for it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future starts nothing; what the source's own [`new`](Reload::new) has begun is up to
    /// that.
    pub async fn new(
        source: &<T as Reload<V, S>>::Source,
        config: ReloaderConfig,
    ) -> ReloadResult<(Self, ReloaderReceiver<V, S>), V, S> {
        Self::with_options(source, config).await
    }

    /// As [`new`](Self::new), looking every 10 seconds.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    ///
    /// # Cancel safety
    ///
    /// As [`new`](Self::new).
    pub async fn with_defaults(
        source: &<T as Reload<V, S>>::Source,
    ) -> ReloadResult<(Self, ReloaderReceiver<V, S>), V, S> {
        Self::with_options(source, ReloaderConfig::default()).await
    }

    /// As [`new`](Self::new), looking every `watch_delay_sec` seconds.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    ///
    /// # Cancel safety
    ///
    /// As [`new`](Self::new).
    pub async fn with_delay(
        source: &<T as Reload<V, S>>::Source,
        watch_delay_sec: u32,
    ) -> ReloadResult<(Self, ReloaderReceiver<V, S>), V, S> {
        Self::with_options(source, ReloaderConfig::polling(watch_delay_sec)).await
    }

    /// As [`new`](Self::new), with every knob of [`ReloaderOptions`].
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    ///
    /// # Cancel safety
    ///
    /// As [`new`](Self::new).
    pub async fn with_options(
        source: &<T as Reload<V, S>>::Source,
        options: impl Into<ReloaderOptions>,
    ) -> ReloadResult<(Self, ReloaderReceiver<V, S>), V, S> {
        Ok(Self::from_reloader(T::new(source).await?, options))
    }

    /// Creates a service for a reloader that exists already, and its first receiver.
    pub fn from_reloader(
        reloader: T,
        options: impl Into<ReloaderOptions>,
    ) -> (Self, ReloaderReceiver<V, S>) {
        let (sender, receiver) = channel::channel();
        let service = Self {
            source: reloader,
            options: options.into(),
            sender,
            control: Arc::default(),
            gate: Gate::default(),
            record: None,
            keeper: None,
            held: Mutex::new(None),
            name: None,
            ending: tokio::sync::Mutex::new(None),
            _error: PhantomData,
        };
        (service, receiver)
    }

    /// Runs the service by polling, until every receiver is gone.
    ///
    /// The first load is published like any change. While one start of a service runs, another
    /// waits for its end.
    ///
    /// # Errors
    ///
    /// At once, when the service was made for [`WatchStrategy::Realtime`] or
    /// [`WatchStrategy::Hybrid`]: those take [`start_with_realtime`](Self::start_with_realtime).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops the service and leaves nothing behind; what was published stays.
    pub async fn start(&self) -> ReloadResult<(), V, S> {
        if self.options.strategy != WatchStrategy::Polling {
            let words = format!(
                "start() only polls, and this service was made for {:?}: \
                 call start_with_realtime()",
                self.options.strategy
            );
            // Whoever spawns it seldom looks at what it returns.
            error!(target: "hot_reload::not_started", source = self.name.as_deref().map(display), error = words, "the service does not start");
            self.sender.set_status(|status| {
                status.source = self.name.clone().or_else(|| status.source.take());
                status.last_error = Some(words.as_str().into());
                status.last_error_masked.clone_from(&status.last_error);
            });
            return Err(ReloaderError::Other(anyhow::anyhow!(words)));
        }
        let run = pin!(async {
            let options = &self.options;
            if let Some(mut source) = self.source.__follow(options) {
                run(&mut *source, &self.sink(), options, &self.control).await;
            } else {
                let mut source = Polled::new(&self.source, options.poll_interval);
                run(&mut source, &self.sink(), options, &self.control).await;
            }
        });
        self.until_shutdown(run).await;
        Ok(())
    }

    /// Returns a handle that controls this service, wherever it runs.
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
    /// let handle = service.handle(); // first, since the task takes the service
    /// tokio::spawn(async move { service.start_with_realtime().await });
    /// # config.changed().await?;
    /// handle.trigger().await;
    /// # handle.shutdown().await;
    /// # Ok(()) }).await? }
    /// ```
    pub fn handle(&self) -> ReloaderHandle {
        ReloaderHandle::new(Arc::clone(&self.control), self.sender.statement())
    }

    /// Runs the service, one start at a time; the run sees for itself when it is to end.
    async fn until_shutdown(&self, run: Pin<&mut impl Future<Output = ()>>) {
        // Boxed, since they are had at once by all but few.
        let _one_at_a_time = Box::pin(self.control.running.lock()).await;
        let mut ending = Box::pin(self.ending.lock()).await;
        let end = async {
            if let Some(ending) = ending.as_mut() {
                match ending.await {
                    Ok(()) => self.control.end(),
                    Err(words) => {
                        let panic = mask(&words);
                        error!(target: "hot_reload::panicked", panic, "what was to end the service panicked");
                    }
                }
            }
            // Not to be polled again once it is over.
            *ending = None;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            biased;
            () = end => {}
            () = run => {}
        }
    }

    fn sink(&self) -> Publish<'_, V> {
        Publish {
            sender: &self.sender,
            gate: &self.gate,
            record: self.record.as_deref(),
            control: &self.control,
            keeper: self.keeper.as_deref(),
            held: &self.held,
            name: self.name.as_ref(),
            force: self.options.force_reload,
        }
    }
}

impl<T, V, S> ReloaderService<T, V, S>
where
    T: RealtimeWatch<V, S> + Clone,
    V: Eq + PartialEq + Clone,
    S: Into<Cow<'static, str>> + Display,
{
    /// Runs the service by its strategy, whichever it is, until every receiver is gone.
    ///
    /// While events can't be had, it polls, says so in its status, and tries again.
    ///
    /// # Errors
    ///
    /// None: whatever fails can heal, and is waited for.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops the service and leaves nothing behind; what was published stays.
    pub async fn start_with_realtime(&self) -> ReloadResult<(), V, S> {
        let run = pin!(async {
            let options = &self.options;
            if let Some(mut source) = self.source.__follow_realtime(options) {
                run(&mut *source, &self.sink(), options, &self.control).await;
            } else if options.strategy == WatchStrategy::Polling {
                // Boxed, as they are large, and a source that follows itself has no need of the room.
                let mut source = Box::new(Polled::new(&self.source, options.poll_interval));
                run(&mut *source, &self.sink(), options, &self.control).await;
            } else {
                let mut source = Box::new(Pushed::new(&self.source, options));
                run(&mut *source, &self.sink(), options, &self.control).await;
            }
        });
        self.until_shutdown(run).await;
        Ok(())
    }
}

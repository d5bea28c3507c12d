//! The knobs of the engine, each with a default that nobody needs to touch.

use std::time::Duration;

use crate::{
    backoff::Backoff,
    config::{ReloaderConfig, WatchStrategy},
};

/// Long enough for the pauses inside a save (a truncation and its write, the rename and the
/// creation of an editor, a certificate and its key), too short for a person to notice.
const SETTLE_WINDOW: Duration = Duration::from_millis(50);
/// How long a writer that keeps the file open, or an emptied file, is given the benefit of the
/// doubt: longer than a script pauses between two writes, short enough for an operator to wait.
const SETTLE_CEILING: Duration = Duration::from_secs(3);
/// The first retry is soon, since most failures are a race with a writer.
const BACKOFF_FLOOR: Duration = Duration::from_millis(100);
/// A source that stays broken is tried this often at the least.
const BACKOFF_CEILING: Duration = Duration::from_secs(10);
/// Shorter polling would only burn the processor: events are there for that.
const SHORTEST_POLL_INTERVAL: Duration = Duration::from_millis(10);
/// As good as never, and no moment that far off overflows a clock.
pub(crate) const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Everything that can be set on a service; made from a [`ReloaderConfig`] or from scratch.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use hot_reload::ReloaderOptions;
///
/// let options = ReloaderOptions::hybrid()
///     .poll_interval(Duration::from_millis(250))
///     .settle_window(Duration::from_millis(20))
///     .backoff(Duration::from_millis(50), Duration::from_secs(5));
/// # let _ = options;
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct ReloaderOptions {
    pub(crate) strategy: WatchStrategy,
    pub(crate) force_reload: bool,
    pub(crate) poll_interval: Duration,
    pub(crate) settle_window: Duration,
    pub(crate) settle_ceiling: Duration,
    pub(crate) load_timeout: Option<Duration>,
    pub(crate) max_staleness: Option<Duration>,
    backoff: Backoff,
}

impl ReloaderOptions {
    /// Looks every poll interval, 10 s unless set.
    pub fn polling() -> Self {
        ReloaderConfig::default().into()
    }

    /// Waits for events.
    pub fn realtime() -> Self {
        ReloaderConfig::realtime().into()
    }

    /// Waits for events and looks every poll interval as well, 10 s unless set.
    pub fn hybrid() -> Self {
        Self::polling().strategy(WatchStrategy::Hybrid)
    }

    /// Sets how changes are noticed.
    pub fn strategy(mut self, strategy: WatchStrategy) -> Self {
        self.strategy = strategy;
        self
    }

    /// Publishes every value that was loaded, even one that equals the last.
    pub fn force_reload(mut self, force_reload: bool) -> Self {
        self.force_reload = force_reload;
        self
    }

    /// Sets how often the source is looked at; 10 ms at the least.
    pub fn poll_interval(mut self, poll_interval: Duration) -> Self {
        self.poll_interval = poll_interval.clamp(SHORTEST_POLL_INTERVAL, LONGEST);
        self
    }

    /// Sets the quiet period that ends a modification whose writer does not say that it is over,
    /// and that lets the files of a set arrive together; 50 ms by default.
    pub fn settle_window(mut self, settle_window: Duration) -> Self {
        self.settle_window = settle_window.min(LONGEST);
        self
    }

    /// Sets how long a writer that keeps a file open is waited for, and an emptied file for its
    /// content; 3 s by default. One that neither rests nor closes is given twice as long.
    pub fn settle_ceiling(mut self, settle_ceiling: Duration) -> Self {
        self.settle_ceiling = settle_ceiling.min(LONGEST);
        self
    }

    /// Sets how long one load may take before it is given up on and tried again; by default 10 s for
    /// a file and 60 s for any other source.
    pub fn load_timeout(mut self, load_timeout: Duration) -> Self {
        self.load_timeout = Some(load_timeout.min(LONGEST));
        self
    }

    /// Sets how long the newest value may serve after the source was found changed, bad or out of
    /// reach, before the service is [stale](crate::Health::Stale); for ever by default.
    ///
    /// It goes on serving, and heals as before: only the status, and with it a readiness probe,
    /// says otherwise.
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
    /// use std::time::Duration;
    /// use hot_reload::{Health, ReloaderOptions, ReloaderService, TomlFile};
    ///
    /// let options = ReloaderOptions::hybrid().max_staleness(Duration::from_millis(100));
    /// # let file = TomlFile::<Config>::from_path(&path)?;
    /// let (service, mut config) = ReloaderService::from_reloader(file, options);
    /// # tokio::spawn(async move { service.start_with_realtime().await });
    /// # config.changed().await?;
    ///
    /// std::fs::remove_file(&path)?;
    /// let status = config.watch_status().wait_for(|now| now.health == Health::Stale).await?;
    /// assert!(!status.is_ready());
    /// assert_eq!(config.get().unwrap().workers, 2);
    /// # Ok(()) }).await? }
    /// ```
    pub fn max_staleness(mut self, max_staleness: Duration) -> Self {
        self.max_staleness = Some(max_staleness.min(LONGEST));
        self
    }

    /// Sets the pause after a first failure and the longest one after many, both with jitter;
    /// 100 ms and 10 s by default. Where the source is polled, no pause is longer than the poll
    /// interval.
    pub fn backoff(mut self, floor: Duration, ceiling: Duration) -> Self {
        let floor = floor.min(LONGEST);
        self.backoff = Backoff { floor, ceiling: ceiling.clamp(floor, LONGEST) };
        self
    }

    /// What a source that is followed in its own way has to know.
    ///
    /// Seam between the service and its sources, not part of the stable interface.
    #[doc(hidden)]
    pub fn pace(&self) -> (Option<Duration>, Duration, Duration) {
        let poll = self.polls().then_some(self.poll_interval);
        let Backoff { floor, ceiling } = self.backoff;
        (poll, floor, ceiling)
    }

    /// How long one look may take, where the user has said. A seam as well.
    #[doc(hidden)]
    pub fn look_limit(&self) -> Option<Duration> {
        self.load_timeout
    }

    /// Whether events are waited for.
    #[doc(hidden)]
    pub fn watches(&self) -> bool {
        self.strategy != WatchStrategy::Polling
    }

    /// Whether the source is looked at every poll interval.
    pub(crate) fn polls(&self) -> bool {
        self.strategy != WatchStrategy::Realtime
    }

    /// The pauses after failures: none is longer than the poll interval.
    pub(crate) fn retries(&self) -> Backoff {
        if !self.polls() {
            return self.backoff;
        }
        let Backoff { floor, ceiling } = self.backoff;
        Backoff { floor: floor.min(self.poll_interval), ceiling: ceiling.min(self.poll_interval) }
    }
}

impl From<ReloaderConfig> for ReloaderOptions {
    fn from(config: ReloaderConfig) -> Self {
        Self {
            strategy: config.strategy,
            force_reload: config.force_reload,
            poll_interval: SHORTEST_POLL_INTERVAL,
            settle_window: SETTLE_WINDOW,
            settle_ceiling: SETTLE_CEILING,
            load_timeout: None,
            max_staleness: None,
            backoff: Backoff { floor: BACKOFF_FLOOR, ceiling: BACKOFF_CEILING },
        }
        .poll_interval(Duration::from_secs(config.watch_delay_sec.into()))
    }
}

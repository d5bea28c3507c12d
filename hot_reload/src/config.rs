//! The configuration that every service has: how often, and by which strategy.

use std::fmt;

/// How a service learns that its source may have changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WatchStrategy {
    /// Looks every poll interval. Works for every source.
    #[default]
    Polling,
    /// Waits for the source's own events. Needs [`RealtimeWatch`](crate::RealtimeWatch); polls
    /// while events can't be had.
    Realtime,
    /// Waits for events and looks every poll interval as well, so that whatever the events miss
    /// is at most one interval old.
    Hybrid,
}

impl WatchStrategy {
    /// Returns it in one word: `polling`, `realtime` or `hybrid`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Polling => "polling",
            Self::Realtime => "realtime",
            Self::Hybrid => "hybrid",
        }
    }
}

impl fmt::Display for WatchStrategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How a service follows its source; see [`ReloaderOptions`](crate::ReloaderOptions) for intervals
/// below a second and the finer knobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReloaderConfig {
    /// Poll interval in seconds; 0 stands for the shortest one, 10 ms.
    pub watch_delay_sec: u32,
    /// Publishes every value that was loaded, even one that equals the last.
    pub force_reload: bool,
    /// Strategy for noticing changes.
    pub strategy: WatchStrategy,
}

impl ReloaderConfig {
    /// Poll interval of [`ReloaderConfig::default`] and [`ReloaderConfig::realtime`], in seconds.
    const DEFAULT_DELAY_SEC: u32 = 10;

    /// Looks every `watch_delay_sec` seconds.
    pub fn polling(watch_delay_sec: u32) -> Self {
        Self { watch_delay_sec, force_reload: false, strategy: WatchStrategy::Polling }
    }

    /// Waits for events; while there can be none, looks every 10 seconds or more often.
    pub fn realtime() -> Self {
        Self { strategy: WatchStrategy::Realtime, ..Self::default() }
    }

    /// Waits for events and looks every `watch_delay_sec` seconds as well.
    pub fn hybrid(watch_delay_sec: u32) -> Self {
        Self { strategy: WatchStrategy::Hybrid, ..Self::polling(watch_delay_sec) }
    }
}

impl Default for ReloaderConfig {
    /// Looks every 10 seconds.
    fn default() -> Self {
        Self::polling(Self::DEFAULT_DELAY_SEC)
    }
}

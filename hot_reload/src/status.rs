//! What a service can say of itself.

mod statement;

use std::{fmt, sync::Arc, time::Duration};

use tokio::time::Instant;

pub(crate) use self::statement::{Alive, Statement};
pub use self::statement::{ServiceEnded, StatusReceiver};
use crate::{config::WatchStrategy, follow::Mechanism};

/// How a service is doing, at the moment it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// Whether the newest value is what the source holds.
    pub health: Health,
    /// What the source is called, as logs have it; `None` until the service has started, and for one
    /// of your own that was not [named](crate::ReloaderService::named).
    pub source: Option<Arc<str>>,
    /// How changes were asked to be noticed; `None` until the service has started.
    pub strategy: Option<WatchStrategy>,
    /// How they are noticed, and why not otherwise; `None` until the first look has ended.
    pub mechanism: Option<Mechanism>,
    /// Whether the newest value is the last good one of an earlier run, from the
    /// [file](crate::ReloaderService) that it was kept in.
    pub is_restored: bool,
    /// Whether the service looks at nothing: it was [paused](crate::ReloaderHandle::pause), or
    /// [rolled back](crate::ReloaderHandle::rollback).
    pub is_paused: bool,
    /// Number of the newest value: 0 before the first, then one more at each.
    pub generation: u64,
    /// How many generations somebody still holds, the newest and those that are kept to go back to
    /// included. One that grows tells of a reader that holds on to an old one.
    pub alive: usize,
    /// The generation that somebody [rolled back to](crate::ReloaderHandle::rollback), while it is
    /// pinned.
    pub pinned: Option<u64>,
    /// Failed loads since the last good one.
    pub failures: u32,
    /// The newest failure since the last good load. It may quote the source's text: show it to
    /// whoever may read the source.
    pub last_error: Option<Arc<str>>,
    /// The same as a log may have it: its first line, without what it quotes.
    pub last_error_masked: Option<Arc<str>>,
    /// Where in the source that failure is, where that is known.
    pub last_error_at: Option<Location>,
    /// Who refused the value, where it could be loaded: `validation`, `probation`, or the part of
    /// the program that could not prepare for it.
    pub refused_by: Option<Arc<str>>,
    /// Until when the newest value is on [probation](crate::ReloaderService::probation), if it is.
    pub probation_until: Option<Instant>,
    /// When a look last found the newest value to be what the source holds.
    pub last_load: Option<Instant>,
    /// When the newest value was published.
    pub last_change: Option<Instant>,
    /// When a change was heard of that is not applied: it is being waited for, loaded, or bad.
    pub unapplied_since: Option<Instant>,
}

/// A place in a source.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Location {
    /// What the source, or the file of it, is called.
    pub source: Arc<str>,
    /// Line, from 1 on.
    pub line: Option<usize>,
    /// Column in characters, from 1 on.
    pub column: Option<usize>,
}

impl fmt::Display for Location {
    /// As compilers and editors have it: `source:line:column`, as far as it is known.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)?;
        let Some(line) = self.line else { return Ok(()) };
        write!(f, ":{line}")?;
        self.column.map_or(Ok(()), |column| write!(f, ":{column}"))
    }
}

/// Whether the newest value can be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Health {
    /// Nothing was loaded since the service was started.
    Starting,
    /// The newest value is what the source held at the last look.
    Fresh,
    /// The same; and since events were asked for and can't be had, changes are noticed by looking.
    Degraded,
    /// The source can't be read, or holds no good value; the last good one keeps serving.
    Retrying,
    /// The source holds a value that turned out bad, or that somebody rolled back from; an earlier
    /// one serves.
    RolledBack,
    /// For longer than [`max_staleness`](crate::ReloaderOptions::max_staleness) the source could
    /// not be read, has held no good value, or has had a change that is not applied. The last good
    /// value, if there is one, keeps serving.
    Stale,
    /// The service was stopped, and may be started again; the value is as of then.
    Stopped,
    /// The service is gone, or was shut down; the value is as of then.
    Ended,
}

impl Health {
    /// Returns it in one word, as logs and metrics have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Fresh => "fresh",
            Self::Degraded => "degraded",
            Self::Retrying => "retrying",
            Self::RolledBack => "rolled_back",
            Self::Stale => "stale",
            Self::Stopped => "stopped",
            Self::Ended => "ended",
        }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Status {
    /// Whether there is a value that may be served: what a readiness probe asks.
    ///
    /// It may while the source can't be read, until it is [stale](Health::Stale).
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
    /// let probe = if config.status().is_ready() { "200 OK" } else { "503 Service Unavailable" };
    /// assert_eq!(probe, "200 OK");
    ///
    /// // A bad edit is no reason to take it out of service: the last good value is there.
    /// std::fs::write(&path, "workers = many")?;
    /// let status = config.watch_status().wait_for(|now| now.failures > 0).await?;
    /// assert!(status.is_ready());
    /// # Ok(()) }).await? }
    /// ```
    pub fn is_ready(&self) -> bool {
        self.generation > 0
            && match self.health {
                Health::Fresh | Health::Degraded | Health::Retrying | Health::RolledBack => true,
                Health::Starting | Health::Stale | Health::Stopped | Health::Ended => false,
            }
    }

    /// Returns how long the newest value has been there.
    pub fn age(&self) -> Option<Duration> {
        self.last_change.map(|at| at.elapsed())
    }

    /// Changes the health, unless it is stale: only what is good ends that.
    pub(crate) fn worsen(&mut self, health: Health) {
        if self.health != Health::Stale {
            self.health = health;
        }
    }

    /// Nothing is wrong with the source, and its value serves.
    pub(crate) fn set_good(&mut self) {
        let is_degraded = matches!(self.mechanism, Some(Mechanism::Degraded(_)));
        self.health = if is_degraded { Health::Degraded } else { Health::Fresh };
        self.set_problem(None);
        self.unapplied_since = None;
    }

    pub(crate) fn set_problem(&mut self, problem: Option<Problem>) {
        let (words, masked, at, refused_by) = match problem {
            Some(Problem { words, masked, at, refused_by }) => {
                (Some(words), Some(masked), at, refused_by)
            }
            None => (None, None, None, None),
        };
        (self.last_error, self.last_error_masked) = (words, masked);
        (self.last_error_at, self.refused_by) = (at, refused_by);
    }
}

/// On one line. It ends with the first line of the newest failure, which may quote the source's text.
impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, generation {}", self.health, self.generation)?;
        match (self.pinned, self.is_paused) {
            (Some(pinned), _) => write!(f, ", pinned to generation {pinned}")?,
            (None, true) => write!(f, ", paused")?,
            (None, false) => {}
        }
        if let Some(mechanism) = &self.mechanism {
            write!(f, ", by {mechanism}")?;
        }
        match self.failures {
            0 => {}
            1 => write!(f, ", 1 failure")?,
            failures => write!(f, ", {failures} failures in a row")?,
        }
        let error = self.last_error.as_deref().and_then(|error| error.lines().next());
        error.map_or(Ok(()), |error| write!(f, ": {error}"))
    }
}

impl Default for Status {
    fn default() -> Self {
        Self {
            health: Health::Starting,
            source: None,
            strategy: None,
            mechanism: None,
            is_restored: false,
            is_paused: false,
            generation: 0,
            alive: 0,
            pinned: None,
            failures: 0,
            last_error: None,
            last_error_masked: None,
            last_error_at: None,
            refused_by: None,
            probation_until: None,
            last_load: None,
            last_change: None,
            unapplied_since: None,
        }
    }
}

/// What is wrong with what the source holds.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    pub(crate) words: Arc<str>,
    /// As a log may have it.
    pub(crate) masked: Arc<str>,
    pub(crate) at: Option<Location>,
    pub(crate) refused_by: Option<Arc<str>>,
}

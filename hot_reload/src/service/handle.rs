//! What a service is controlled with.

use std::{fmt, sync::Arc};

#[cfg(all(unix, feature = "signal"))]
use tokio::task::JoinSet;
#[cfg(all(unix, feature = "signal"))]
use tracing::info;

use super::{control::Control, record::Past};
use crate::{
    change::Reason,
    redact::mask,
    status::{Health, Statement},
};

/// What came of a look that somebody asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Triggered {
    /// This generation was published.
    Published(u64),
    /// The source holds what is published already.
    Unchanged,
    /// Nothing was published, for this reason: the source can't be loaded, its value was refused, or
    /// another is pinned. What serves goes on.
    Failed(Arc<str>),
    /// The service does not run.
    Stopped,
}

/// What a trigger is answered while a value is pinned.
pub(super) const PINNED: &str = "pinned to an earlier generation until it is resumed";

impl Triggered {
    /// Returns the same as a log may have it: a failure by its first line, without what it quotes.
    ///
    /// In full it may quote the source's text: tell it whoever may read the source.
    ///
    /// # Examples
    ///
    /// ```
    /// use hot_reload::Triggered;
    ///
    /// let failed = Triggered::Failed("port: invalid type: string \"hunter2\"\n | port = …".into());
    /// let told = failed.without_content().to_string();
    /// assert_eq!(told, "failed: port: invalid type: string \"…\"");
    /// ```
    #[must_use]
    pub fn without_content(&self) -> Self {
        match self {
            Self::Failed(why) => Self::Failed(mask(why).into()),
            Self::Published(_) | Self::Unchanged | Self::Stopped => self.clone(),
        }
    }
}

impl fmt::Display for Triggered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Published(generation) => write!(f, "published generation {generation}"),
            Self::Unchanged => f.write_str("unchanged"),
            Self::Failed(why) => write!(f, "failed: {why}"),
            Self::Stopped => f.write_str("the service does not run"),
        }
    }
}

/// Controls a service: has it look at once, pauses it, ends it; from
/// [`ReloaderService::handle`](crate::ReloaderService::handle).
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
/// use hot_reload::{ReloaderOptions, ReloaderService, TomlFile, Triggered};
///
/// let file = TomlFile::<Config>::from_path(&path)?;
/// let (service, mut config) = ReloaderService::from_reloader(file, ReloaderOptions::hybrid());
/// let handle = service.handle();
/// let task = tokio::spawn(async move { service.start_with_realtime().await });
/// config.changed().await?;
///
/// assert_eq!(handle.trigger().await, Triggered::Unchanged);
/// handle.shutdown().await;
/// task.await??;
/// # Ok(()) }).await? }
/// ```
#[derive(Clone)]
pub struct ReloaderHandle {
    control: Arc<Control>,
    statement: Arc<Statement>,
}

impl ReloaderHandle {
    pub(super) fn new(control: Arc<Control>, statement: Arc<Statement>) -> Self {
        Self { control, statement }
    }

    /// Has the source loaded now, even where nothing seems to have changed, and waits for the
    /// outcome; also while the service is paused.
    ///
    /// Any number of calls at once are answered by one load. While a generation is
    /// [pinned](Self::rollback), nothing is loaded and the answer is a [`Triggered::Failed`] that
    /// says so, until [`resume`](Self::resume). A service that has never run is given a second to begin, as
    /// its task may just have been spawned.
    ///
    /// # Cancel safety
    ///
    /// When the future is dropped after it was polled, the load goes on. Where the service has never run, nothing is
    /// asked for until it begins: dropped before that, the call comes to nothing.
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
    /// # std::fs::write(&path, "workers = many")?;
    /// // As an admin endpoint would.
    /// let answer = match handle.trigger().await {
    ///     Triggered::Published(generation) => format!("generation {generation} serves"),
    ///     Triggered::Unchanged => "nothing new".to_owned(),
    ///     Triggered::Failed(why) => format!("the last good value keeps serving: {why}"),
    ///     _ => "the service does not run".to_owned(),
    /// };
    /// # assert!(answer.starts_with("the last good value"), "{answer}");
    /// # Ok(()) }).await? }
    /// ```
    pub async fn trigger(&self) -> Triggered {
        if self.statement.is_of_ended() {
            return Triggered::Stopped;
        }
        self.control.trigger(Reason::Trigger).await
    }

    /// Has the service look at nothing until [`resume`](Self::resume), save when triggered.
    ///
    /// A load that is under way is finished. What changes meanwhile is found on resuming. A service
    /// that is paused when it starts loads nothing before.
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
    /// handle.pause();
    /// std::fs::write(&path, "workers = 1")?; // half of a change
    /// std::fs::write(&path, "workers = 4")?; // all of it
    /// handle.resume();
    ///
    /// let change = config.changed_with().await?;
    /// assert_eq!((change.new.generation(), change.new.workers), (2, 4));
    /// # Ok(()) }).await? }
    /// ```
    pub fn pause(&self) {
        self.control.pause();
    }

    /// Has a paused service go on, with a look at once.
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
    /// handle.pause();
    /// config.watch_status().wait_for(|now| now.is_paused).await?;
    /// std::fs::write(&path, "workers = 4")?;
    /// # assert!(handle.is_paused());
    /// handle.resume();
    /// config.wait_for(|config| config.workers == 4).await?;
    /// assert!(!config.status().is_paused);
    /// # Ok(()) }).await? }
    /// ```
    pub fn resume(&self) {
        self.control.resume();
    }

    /// Has a paused service go on, as [`resume`](Self::resume) does, and waits for the outcome of the look that
    /// it goes on with, as [`trigger`](Self::trigger) does.
    ///
    /// To call one after the other may tell of the look after that, which finds nothing new.
    ///
    /// # Cancel safety
    ///
    /// When the future is dropped after it was polled, the service goes on all the same, also one that has yet to
    /// run; that one is asked for nothing more until it begins.
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
    /// handle.pause();
    /// # config.watch_status().wait_for(|now| now.is_paused).await?;
    /// std::fs::write(&path, "workers = 4")?;
    /// assert_eq!(handle.resume_and_trigger().await, Triggered::Published(2));
    /// # Ok(()) }).await? }
    /// ```
    pub async fn resume_and_trigger(&self) -> Triggered {
        if self.statement.is_of_ended() {
            return Triggered::Stopped;
        }
        self.control.resume_and_trigger().await
    }

    /// Whether the service looks at nothing: it was [paused](Self::pause), or
    /// [rolled back](Self::rollback).
    pub fn is_paused(&self) -> bool {
        self.control.is_paused()
    }

    /// Publishes a value of the [history](Self::history) anew, and has the service look at nothing
    /// until [`resume`](Self::resume), which takes what the source holds by then.
    ///
    /// The value passes validation and preparation like any other. While it is pinned, a
    /// [`trigger`](Self::trigger) is refused. A service that has never run is given a second to begin, as by
    /// that.
    ///
    /// # Cancel safety
    ///
    /// When the future is dropped after it was polled, the service rolls back all the same. Where the service has never run, nothing is
    /// asked for until it begins: dropped before that, the call comes to nothing.
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
    /// # let service = service.history(3);
    /// # let handle = service.handle();
    /// # tokio::spawn(async move { service.start_with_realtime().await });
    /// # config.wait_for_generation(1).await?;
    /// use hot_reload::Triggered;
    ///
    /// std::fs::write(&path, "workers = 400")?; // good to parse, and bad to serve
    /// config.wait_for_generation(2).await?;
    ///
    /// assert_eq!(handle.rollback(1).await, Triggered::Published(3));
    /// assert_eq!(config.get().unwrap().workers, 2);
    /// assert_eq!(config.status().pinned, Some(1));
    ///
    /// std::fs::write(&path, "workers = 4")?; // put right
    /// handle.resume();
    /// config.wait_for(|config| config.workers == 4).await?;
    /// # Ok(()) }).await? }
    /// ```
    pub async fn rollback(&self, generation: u64) -> Triggered {
        if self.statement.is_of_ended() {
            return Triggered::Stopped;
        }
        self.control.rollback(generation).await
    }

    /// Returns the generations that can be rolled back to, oldest first; the last is the one that
    /// serves, unless that is [too large to be kept](crate::ReloaderService::history_bytes). Empty
    /// unless the service [keeps a history](crate::ReloaderService::history).
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
    /// # let service = service.history(3);
    /// # let handle = service.handle();
    /// # tokio::spawn(async move { service.start_with_realtime().await });
    /// # config.wait_for_generation(1).await?;
    /// # std::fs::write(&path, "workers = 4")?;
    /// # config.wait_for_generation(2).await?;
    /// for past in handle.history() {
    ///     let (number, reason) = (past.generation, past.reason.as_str());
    ///     println!("{number}, because of {reason}, {:?} ago", past.published_at.elapsed());
    /// }
    /// # let numbers: Vec<u64> = handle.history().iter().map(|past| past.generation).collect();
    /// # assert_eq!(numbers, [1, 2]);
    /// # Ok(()) }).await? }
    /// ```
    pub fn history(&self) -> Vec<Past> {
        self.control.past()
    }

    /// Ends the service, and waits until it runs no more; a load that is under way is dropped.
    ///
    /// Its `start` returns `Ok(())`, and so does every later one. The future of `start` has to be polled
    /// meanwhile, or dropped: one that is only held on to runs no further, and is waited for.
    ///
    /// # Cancel safety
    ///
    /// When the future is dropped after it was polled, the service ends all the same.
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
    /// let handle = service.handle();
    /// let task = tokio::spawn(async move { service.start_with_realtime().await });
    /// # config.changed().await?;
    ///
    /// handle.shutdown().await; // nothing of it runs any more
    /// task.await??;
    /// assert_eq!(config.get().unwrap().workers, 2); // as of then
    /// # Ok(()) }).await? }
    /// ```
    pub async fn shutdown(&self) {
        self.control.end();
        let _it_runs_no_more = self.control.running.lock().await;
        // One that was stopped, or never started, has nobody else to say so.
        self.statement.change(|status| status.health = Health::Ended);
    }

    /// Has each `SIGHUP` trigger a load (feature `signal`), and the log say what came of it, until the
    /// service and its handles are gone or the runtime is. To call it again changes nothing.
    ///
    /// From the first call on the signal no longer ends the process
    /// ([`tokio::signal`](tokio::signal::unix::signal)).
    ///
    /// # Errors
    ///
    /// When the signal can't be listened to.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime that has I/O enabled.
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
    /// # let options = hot_reload::ReloaderOptions::polling();
    /// # let (service, mut config) = hot_reload::ReloaderService::from_reloader(file, options);
    /// # let handle = service.handle();
    /// # tokio::spawn(async move { service.start().await });
    /// # config.clone().changed().await?;
    /// use hot_reload::Reason;
    ///
    /// handle.trigger_on_sighup()?;
    /// # config.changed_with().await?;
    /// # std::fs::write(&path, "workers = 4")?;
    /// # use rustix::process::{Signal, getpid, kill_process};
    /// # kill_process(getpid(), Signal::HUP)?;
    /// // On `kill -HUP`, or `systemctl reload`:
    /// let change = config.changed_with().await?;
    /// assert_eq!(change.new.reason(), Reason::Signal);
    /// # Ok(()) }).await? }
    /// ```
    #[cfg(all(unix, feature = "signal"))]
    pub fn trigger_on_sighup(&self) -> std::io::Result<()> {
        use tokio::signal::unix::{SignalKind, signal};

        let mut hangups = signal(SignalKind::hangup())?;
        // It belongs to the control, and does not keep it.
        let control = Arc::downgrade(&self.control);
        let mut listening = JoinSet::new();
        listening.spawn(async move {
            while hangups.recv().await.is_some() {
                let Some(control) = control.upgrade() else { return };
                let outcome = match control.trigger(Reason::Signal).await {
                    // Why is told by `hot_reload::failed`, without what it quotes from the source.
                    Triggered::Failed(why) if *why != *PINNED => "failed".to_owned(),
                    outcome => outcome.to_string(),
                };
                info!(target: "hot_reload::hung_up", %outcome, "SIGHUP");
            }
        });
        self.control.listen_by(listening);
        Ok(())
    }
}

impl fmt::Debug for ReloaderHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReloaderHandle").field("is_paused", &self.is_paused()).finish()
    }
}

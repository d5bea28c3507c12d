//! Controls of a running service.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard},
};

use tokio::sync::{Notify, oneshot};
#[cfg(all(unix, feature = "signal"))]
use tokio::task::JoinSet;
#[cfg(all(unix, feature = "signal"))]
use tracing::info;

use super::{
    record::Past,
    state::{Event, State},
};
use crate::{change::Reason, lock::lock};

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
}

impl ReloaderHandle {
    pub(super) fn new(control: Arc<Control>) -> Self {
        Self { control }
    }

    /// Has the source loaded now, even where nothing seems to have changed, and waits for the
    /// outcome; also while the service is paused.
    ///
    /// Any number of calls at once are answered by one load. While a generation is
    /// [pinned](Self::rollback), nothing is loaded and the answer is a [`Triggered::Failed`] that
    /// says so, until [`resume`](Self::resume).
    ///
    /// # Cancel safety
    ///
    /// When the future is dropped, the load goes on.
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
        self.ask(Reason::Trigger).await
    }

    async fn ask(&self, reason: Reason) -> Triggered {
        self.want(|wanted, ask| {
            wanted.asked.push(ask);
            wanted.reason = reason;
        })
        .await
    }

    /// Tells the loop of a wish, and waits until it has carried it out.
    async fn want(&self, wish: impl FnOnce(&mut Wanted, Ask)) -> Triggered {
        let outcome = {
            let mut wanted = self.control.lock();
            if !wanted.is_running {
                return Triggered::Stopped;
            }
            let (ask, outcome) = oneshot::channel();
            wish(&mut wanted, ask);
            outcome
        };
        self.control.changed.notify_one();
        // Dropped by a service that stops.
        outcome.await.unwrap_or(Triggered::Stopped)
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
        let mut wanted = self.control.lock();
        if wanted.hold == Hold::Nothing {
            wanted.hold = Hold::Paused;
        }
        drop(wanted);
        self.control.changed.notify_one();
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
    /// config.watch_status().wait_for(|now| now.is_paused).await;
    /// std::fs::write(&path, "workers = 4")?;
    /// # assert!(handle.is_paused());
    /// handle.resume();
    /// config.wait_for(|config| config.workers == 4).await?;
    /// assert!(!config.status().is_paused);
    /// # Ok(()) }).await? }
    /// ```
    pub fn resume(&self) {
        let mut wanted = self.control.lock();
        wanted.is_resumed |= wanted.hold != Hold::Nothing;
        wanted.hold = Hold::Nothing;
        drop(wanted);
        self.control.changed.notify_one();
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
    /// [`trigger`](Self::trigger) is refused.
    ///
    /// # Cancel safety
    ///
    /// When the future is dropped, the service rolls back all the same.
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
        self.want(|wanted, ask| wanted.rollbacks.push_back((generation, ask))).await
    }

    /// Returns the generations that can be rolled back to, oldest first; the last is the one that
    /// serves. Empty unless the service [keeps a history](crate::ReloaderService::history).
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
        lock(&self.control.past).clone()
    }

    /// Ends the service, and waits until it runs no more; a load that is under way is dropped.
    ///
    /// Its `start` returns `Ok(())`, and so does every later one. The future of `start` has to be polled
    /// meanwhile, or dropped: one that is only held on to runs no further, and is waited for.
    ///
    /// # Cancel safety
    ///
    /// When the future is dropped, the service ends all the same.
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
                let outcome = Self { control }.ask(Reason::Signal).await;
                info!(name: "hot_reload.hung_up", target: "hot_reload::hung_up", %outcome, "SIGHUP");
            }
        });
        *lock(&self.control.hangups) = Some(listening);
        Ok(())
    }
}

impl fmt::Debug for ReloaderHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReloaderHandle").field("is_paused", &self.is_paused()).finish()
    }
}

/// What a service and its handles have in common.
#[derive(Default)]
pub(crate) struct Control {
    wanted: Mutex<Wanted>,
    /// Wakes the loop.
    changed: Notify,
    /// Wakes whoever waits for the end.
    ended: Notify,
    /// The task that listens to `SIGHUP`, which ends when this is dropped.
    #[cfg(all(unix, feature = "signal"))]
    hangups: Mutex<Option<JoinSet<()>>>,
    /// What is kept of the past.
    past: Mutex<Vec<Past>>,
    /// Held while the service runs, so that two starts can't publish in turns.
    pub(super) running: tokio::sync::Mutex<()>,
}

/// What keeps a service from looking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hold {
    Nothing,
    Paused,
    /// It is to serve this generation.
    Pinned(u64),
}

struct Wanted {
    is_running: bool,
    hold: Hold,
    /// Whether it was paused and is to go on, which has not been carried out yet.
    is_resumed: bool,
    is_over: bool,
    asked: Vec<Ask>,
    rollbacks: VecDeque<(u64, Ask)>,
    /// Why the last of them asked.
    reason: Reason,
}

/// What somebody wants of a loop.
pub(super) enum Wish {
    Event(Event),
    /// To publish this generation anew, and to pause.
    Rollback(u64, Ask),
}

/// Somebody who waits for the outcome of a look.
pub(super) type Ask = oneshot::Sender<Triggered>;

impl Default for Wanted {
    fn default() -> Self {
        Self {
            is_running: false,
            hold: Hold::Nothing,
            is_resumed: false,
            is_over: false,
            asked: Vec::new(),
            rollbacks: VecDeque::new(),
            reason: Reason::Trigger,
        }
    }
}

impl Control {
    fn lock(&self) -> MutexGuard<'_, Wanted> {
        lock(&self.wanted)
    }

    /// Has the service end.
    pub(super) fn end(&self) {
        self.lock().is_over = true;
        self.changed.notify_one();
        self.ended.notify_waiters();
    }

    pub(super) fn is_paused(&self) -> bool {
        self.lock().hold != Hold::Nothing
    }

    pub(super) fn is_over(&self) -> bool {
        self.lock().is_over
    }

    /// Tells handles that there is somebody to ask, until the result is dropped.
    pub(super) fn run(&self) -> Running<'_> {
        self.lock().is_running = true;
        Running(self)
    }

    /// Takes note of what is kept of the past.
    pub(super) fn set_past(&self, past: Vec<Past>) {
        *lock(&self.past) = past;
    }

    /// Pauses the service at a generation of the past.
    pub(super) fn pin(&self, generation: u64) {
        self.lock().hold = Hold::Pinned(generation);
    }

    /// The generation that is pinned.
    pub(super) fn pinned(&self) -> Option<u64> {
        match self.lock().hold {
            Hold::Pinned(generation) => Some(generation),
            Hold::Nothing | Hold::Paused => None,
        }
    }

    /// Waits until somebody wants something of a loop that is in this state, and, where it owes an
    /// answer, does not pause before it has given it.
    pub(super) async fn next(&self, state: State, owes_answer: bool) -> Wish {
        let is_paused = matches!(state, State::Paused { .. });
        loop {
            let changed = self.changed.notified();
            {
                let mut wanted = self.lock();
                if wanted.is_over {
                    return Wish::Event(Event::Shutdown);
                }
                if let Some((generation, ask)) = wanted.rollbacks.pop_front() {
                    return Wish::Rollback(generation, ask);
                }
                if !wanted.asked.is_empty() {
                    return Wish::Event(Event::Trigger(wanted.reason));
                }
                if std::mem::take(&mut wanted.is_resumed) {
                    return Wish::Event(Event::Resume);
                }
                if wanted.hold != Hold::Nothing && !is_paused && !owes_answer {
                    return Wish::Event(Event::Pause);
                }
            }
            changed.await;
        }
    }

    /// Waits until somebody wants the service to end.
    pub(super) async fn shutdown(&self) {
        loop {
            let ended = self.ended.notified();
            if self.is_over() {
                return;
            }
            ended.await;
        }
    }

    /// Takes those who wait for the outcome of the next look.
    pub(super) fn take_asked(&self) -> Vec<Ask> {
        std::mem::take(&mut self.lock().asked)
    }
}

/// Whoever asks is answered for as long as this lives.
pub(super) struct Running<'a>(&'a Control);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut wanted = self.0.lock();
        wanted.is_running = false;
        // Dropped, they are told that the service does not run.
        wanted.asked.clear();
        wanted.rollbacks.clear();
    }
}

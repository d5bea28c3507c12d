//! What a service is told before it starts: what a value has to pass, what is kept, when it ends.

use std::{borrow::Cow, fmt::Display, sync::Arc, time::Duration};

use super::{Candidate, ReloaderService};
use crate::{channel::Snapshot, options::LONGEST, panic::Guarded, reload::Reload};

impl<T, V, S> ReloaderService<T, V, S>
where
    T: Reload<V, S> + Clone,
    V: Eq + PartialEq + Clone,
    S: Into<Cow<'static, str>> + Display,
{
    /// Has the service end once `over` does: a channel, a signal, a `CancellationToken` of
    /// `tokio-util`.
    ///
    /// `start` returns `Ok(())` then, and so does every later one. Should `over`
    /// panic, that is logged, and the service goes on.
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
    /// let token = tokio_util::sync::CancellationToken::new();
    /// let service = service.with_shutdown(token.clone().cancelled_owned());
    /// let task = tokio::spawn(async move { service.start_with_realtime().await });
    /// # config.changed().await?;
    ///
    /// token.cancel();
    /// task.await??;
    /// # Ok(()) }).await? }
    /// ```
    #[must_use]
    pub fn with_shutdown(mut self, over: impl Future<Output = ()> + Send + 'static) -> Self {
        *self.ending.get_mut() = Some(Guarded::new(Box::pin(over)));
        self
    }

    /// Calls the source `name` in the log, the status and the metrics. A file is called by its path there and a
    /// key by its URL, unless it is given a name; a source of your own has none but this, and its lines in the log
    /// none either.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # tokio::time::timeout(std::time::Duration::from_secs(10), async {
    /// use hot_reload::{Reload, ReloadResult, ReloaderOptions, ReloaderService};
    ///
    /// #[derive(Clone)]
    /// struct Clock;
    ///
    /// #[async_trait::async_trait]
    /// impl Reload<u64> for Clock {
    ///     type Source = ();
    ///
    ///     async fn new((): &()) -> ReloadResult<Self, u64> {
    ///         Ok(Self)
    ///     }
    ///
    ///     async fn reload(&self) -> ReloadResult<Option<u64>, u64> {
    ///         Ok(Some(12))
    ///     }
    /// }
    ///
    /// let (service, mut hour) = ReloaderService::from_reloader(Clock, ReloaderOptions::polling());
    /// let service = service.named("clock");
    /// tokio::spawn(async move { service.start().await });
    ///
    /// hour.changed().await?;
    /// assert_eq!(hour.status().source.as_deref(), Some("clock"));
    /// # Ok(()) }).await? }
    /// ```
    #[must_use]
    pub fn named(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Has each value pass `check` before it is published: the candidate, and the value that serves
    /// now, if any. What it refuses is told by the status, and the last good value keeps serving.
    ///
    /// The check runs where blocking is allowed, and is tried again with backoff while the source
    /// holds the value. One that panics, or takes longer than the
    /// [`load_timeout`](crate::ReloaderOptions::load_timeout), has refused.
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
    /// let service = service.validate(|new, current| match current {
    ///     Some(current) if new.workers > 2 * current.workers => Err("too many workers at once"),
    ///     _ => Ok(()),
    /// });
    /// # tokio::spawn(async move { service.start_with_realtime().await });
    /// # config.changed().await?;
    ///
    /// std::fs::write(&path, "workers = 100")?;
    /// let status = config.watch_status().wait_for(|now| now.refused_by.is_some()).await?;
    /// assert_eq!(status.refused_by.as_deref(), Some("validation"));
    /// assert_eq!(config.get().unwrap().workers, 2);
    /// # Ok(()) }).await? }
    /// ```
    #[must_use]
    pub fn validate<E: Display>(
        mut self,
        check: impl Fn(&V, Option<&V>) -> Result<(), E> + Send + Sync + 'static,
    ) -> Self
    where
        V: Send + Sync + 'static,
    {
        self.gate.validate(check);
        self
    }

    /// Has a part of the program, called `name`, prepare for each value before any part takes it: bind,
    /// connect, compile. Once all have prepared, what each has returned is called, and the value is
    /// published; when any refuses, what the others have returned is dropped uncalled, which has to
    /// undo what they prepared, and nothing has changed.
    ///
    /// A refusal is told by the status with the name, and tried again with backoff. A preparation
    /// that panics, or takes longer than the [`load_timeout`](crate::ReloaderOptions::load_timeout), has
    /// refused. To commit may not fail: one that panics is logged, and keeps nothing else from it.
    ///
    /// The log has what a refusal says up to the end of its first line, with `…` for what stands in
    /// quotes; the status has all of it. A preparation that can't fail still names an error type, as
    /// in `Ok::<_, std::convert::Infallible>(|| ())`.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(not(feature = "toml"))] fn main() {}
    /// # #[cfg(feature = "toml")] #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # tokio::time::timeout(std::time::Duration::from_secs(10), async {
    /// # #[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
    /// # struct Config { address: String }
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("config.toml");
    /// # std::fs::write(&path, "address = '127.0.0.1:0'")?;
    /// # let file = hot_reload::TomlFile::<Config>::from_path(&path)?;
    /// # let options = hot_reload::ReloaderOptions::hybrid();
    /// # let (service, mut config) = hot_reload::ReloaderService::from_reloader(file, options);
    /// use std::sync::{Arc, Mutex};
    /// use tokio::net::TcpListener;
    ///
    /// let listener: Arc<Mutex<Option<TcpListener>>> = Arc::default();
    /// # let taken = Arc::clone(&listener);
    /// let service = service.prepare("listener", move |candidate| {
    ///     let listener = Arc::clone(&listener);
    ///     async move {
    ///         let bound = TcpListener::bind(&candidate.new.address).await?;
    ///         Ok::<_, std::io::Error>(move || *listener.lock().unwrap() = Some(bound))
    ///     }
    /// });
    /// # tokio::spawn(async move { service.start_with_realtime().await });
    /// # config.changed().await?;
    /// # let address = taken.lock().unwrap().as_ref().unwrap().local_addr()?;
    /// # std::fs::write(&path, format!("address = '{address}'"))?;
    ///
    /// // An address that is taken:
    /// let status = config.watch_status().wait_for(|now| now.refused_by.is_some()).await?;
    /// assert_eq!(status.refused_by.as_deref(), Some("listener"));
    /// # Ok(()) }).await? }
    /// ```
    #[must_use]
    pub fn prepare<C, E, F>(
        mut self,
        name: impl Into<Arc<str>>,
        prepare: impl Fn(Candidate<V>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        V: Send + Sync + 'static,
        F: Future<Output = Result<C, E>> + Send + 'static,
        C: FnOnce() + Send + 'static,
        E: Display,
    {
        self.gate.prepare(name.into(), prepare);
        self
    }

    /// Has each value wait until nobody else holds `turn`, and hold it from before its first check until
    /// it is published or refused, rolled back to or restored.
    ///
    /// Whoever holds it can rely on it that nothing is about to be put in place, and that nothing is
    /// until it lets go. A value waits as long as that takes: the
    /// [`load_timeout`](crate::ReloaderOptions::load_timeout) begins with its turn. Several turns are
    /// taken in the order in which they were given.
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
    /// use std::sync::Arc;
    /// use tokio::sync::Mutex;
    ///
    /// let turn = Arc::new(Mutex::new(()));
    /// let service = service.in_turn(Arc::clone(&turn));
    /// # tokio::spawn(async move { service.start_with_realtime().await });
    /// # config.changed().await?;
    ///
    /// let held = turn.lock().await;
    /// std::fs::write(&path, "workers = 3")?;
    /// assert_eq!(config.get().unwrap().workers, 2);
    ///
    /// drop(held);
    /// config.changed().await?;
    /// assert_eq!(config.get().unwrap().workers, 3);
    /// # Ok(()) }).await? }
    /// ```
    #[must_use]
    pub fn in_turn(mut self, turn: Arc<tokio::sync::Mutex<()>>) -> Self {
        self.gate.in_turn(turn);
        self
    }

    /// Puts each value on probation for `window` after it was published: should `check` fail within
    /// it, the last value that passed is published again, and the bad one is not tried again before
    /// the source holds another.
    ///
    /// The check runs for each value that comes from the source, not for one that is rolled back to or
    /// restored; and from its beginning again if the service was stopped meanwhile. It runs on the
    /// service's own task, so what takes long in it has to be awaited. One that has not failed when the
    /// window is over has passed. The first value has none to go back to, and stays.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(not(feature = "toml"))] fn main() {}
    /// # #[cfg(feature = "toml")] #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # tokio::time::timeout(std::time::Duration::from_secs(10), async {
    /// # #[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
    /// # struct Config { upstream: String }
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("config.toml");
    /// # std::fs::write(&path, "upstream = 'good'")?;
    /// # let file = hot_reload::TomlFile::<Config>::from_path(&path)?;
    /// # let options = hot_reload::ReloaderOptions::hybrid();
    /// # let (service, mut config) = hot_reload::ReloaderService::from_reloader(file, options);
    /// use std::time::Duration;
    /// use hot_reload::Health;
    ///
    /// # async fn ask_health_of(upstream: &str) -> Result<(), &'static str> {
    /// #     if upstream == "bad" { Err("it answers 503") } else { Ok(()) }
    /// # }
    /// let service = service.probation(Duration::from_secs(10), |config| async move {
    ///     ask_health_of(&config.upstream).await
    /// });
    /// # tokio::spawn(async move { service.start_with_realtime().await });
    /// # config.changed().await?;
    ///
    /// std::fs::write(&path, "upstream = 'bad'")?;
    /// let mut status = config.watch_status();
    /// let status = status.wait_for(|now| now.health == Health::RolledBack).await?;
    /// assert_eq!(status.refused_by.as_deref(), Some("probation"));
    /// assert_eq!(config.get().unwrap().upstream, "good");
    /// # Ok(()) }).await? }
    /// ```
    #[must_use]
    pub fn probation<E, F>(
        mut self,
        window: Duration,
        check: impl Fn(Snapshot<V>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Display,
    {
        let check = Box::new(move |value| {
            let checking = check(value);
            Box::pin(async move { checking.await.map_err(|error| error.to_string()) }) as _
        });
        self.record.get_or_insert_default().set_probation(window.min(LONGEST), check);
        self
    }

    /// Keeps the last good value in the file at `path` (feature `last-good`), and starts from it when
    /// the source can't be loaded: [`Status::is_restored`](crate::Status::is_restored) says so, and the source is taken
    /// as soon as it is back.
    ///
    /// The file is written after each publication, save of a value that is from it or that lacks a
    /// part; of a value on [probation](Self::probation) once it has passed that. It is written whole or
    /// not at all, for its owner alone (mode 0600), with a checksum. One that is torn, foreign or of
    /// another type is ignored, which the log says. It holds the value as JSON: if that has secrets in
    /// it, so has the file.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(not(feature = "toml"))] fn main() {}
    /// # #[cfg(feature = "toml")] #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # tokio::time::timeout(std::time::Duration::from_secs(10), async {
    /// # #[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
    /// # struct Config { workers: u32 }
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("config.toml");
    /// # std::fs::write(&path, "workers = 2")?;
    /// use hot_reload::{ReloaderOptions, ReloaderService, TomlFile};
    ///
    /// # let kept = dir.path().join("config.last-good");
    /// # {
    /// #     let file = TomlFile::<Config>::from_path(&path)?;
    /// #     let options = ReloaderOptions::hybrid();
    /// #     let (service, mut config) = ReloaderService::from_reloader(file, options);
    /// #     let service = service.last_good(&kept);
    /// #     let handle = service.handle();
    /// #     let task = tokio::spawn(async move { service.start_with_realtime().await });
    /// #     config.changed().await?;
    /// #     handle.shutdown().await;
    /// #     task.await??;
    /// # }
    /// # std::fs::remove_file(&path)?;
    /// // After an earlier run, and with the source out of reach:
    /// let file = TomlFile::<Config>::from_path(&path)?;
    /// let (service, mut config) = ReloaderService::from_reloader(file, ReloaderOptions::hybrid());
    /// let service = service.last_good(&kept);
    /// # tokio::spawn(async move { service.start_with_realtime().await });
    ///
    /// config.changed().await?;
    /// assert!(config.status().is_restored);
    /// assert_eq!(config.get().unwrap().workers, 2);
    /// # Ok(()) }).await? }
    /// ```
    #[cfg(feature = "last-good")]
    #[must_use]
    pub fn last_good(mut self, path: impl Into<std::path::PathBuf>) -> Self
    where
        V: serde::Serialize + serde::de::DeserializeOwned + Send + Sync + 'static,
    {
        self.keeper = Some(Box::new(super::last_good::LastGood::at(path.into())));
        self
    }

    /// Keeps the last `generations` values, the one that serves included, for
    /// [`rollback`](crate::ReloaderHandle::rollback).
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
    /// let service = service.history(2);
    /// # let handle = service.handle();
    /// # tokio::spawn(async move { service.start_with_realtime().await });
    /// # for generation in 1..=3 {
    /// #     config.wait_for_generation(generation).await?;
    /// #     std::fs::write(&path, format!("workers = {}", 2 + generation))?;
    /// # }
    /// # config.wait_for_generation(4).await?;
    ///
    /// // After four values:
    /// let kept: Vec<u64> = handle.history().iter().map(|past| past.generation).collect();
    /// assert_eq!(kept, [3, 4]);
    /// # Ok(()) }).await? }
    /// ```
    #[must_use]
    pub fn history(mut self, generations: usize) -> Self {
        self.record.get_or_insert_default().limits().generations = Some(generations);
        self
    }

    /// Keeps no more of the [history](Self::history) than `most` bytes, as `size_of` measures them;
    /// without a call of that, as many values as there is room for. A value that is larger than that
    /// alone is not kept, nor is any before it.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(not(feature = "toml"))] fn main() {}
    /// # #[cfg(feature = "toml")] #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # tokio::time::timeout(std::time::Duration::from_secs(10), async {
    /// # #[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
    /// # struct Config { motd: String }
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("config.toml");
    /// # std::fs::write(&path, "motd = '10 letters'")?;
    /// # let file = hot_reload::TomlFile::<Config>::from_path(&path)?;
    /// # let options = hot_reload::ReloaderOptions::hybrid();
    /// # let (service, mut config) = hot_reload::ReloaderService::from_reloader(file, options);
    /// let service = service.history_bytes(16, |config| config.motd.len());
    /// # let handle = service.handle();
    /// # tokio::spawn(async move { service.start_with_realtime().await });
    /// # config.wait_for_generation(1).await?;
    /// # std::fs::write(&path, "motd = 'ten bytes.'")?;
    /// # config.wait_for_generation(2).await?;
    ///
    /// // After two values of ten bytes each:
    /// let kept: Vec<u64> = handle.history().iter().map(|past| past.generation).collect();
    /// assert_eq!(kept, [2]);
    /// # Ok(()) }).await? }
    /// ```
    #[must_use]
    pub fn history_bytes(
        mut self,
        most: usize,
        size_of: impl Fn(&V) -> usize + Send + Sync + 'static,
    ) -> Self {
        self.record.get_or_insert_default().limits().bytes = Some((most, Box::new(size_of)));
        self
    }
}

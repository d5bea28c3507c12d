//! Waiting on a thread outside the runtime.

use std::{
    borrow::Cow,
    fmt::Display,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::{Duration, Instant},
};

use super::ReloaderReceiver;
use crate::error::ReloadResult;

impl<V, S> ReloaderReceiver<V, S>
where
    V: Eq + PartialEq,
    S: Into<Cow<'static, str>> + Display,
{
    /// Waits as [`changed`](Self::changed) does, on a thread that may block; it needs no runtime.
    ///
    /// To read there, nothing else is needed: no read waits for anything.
    ///
    /// # Errors
    ///
    /// When the service is gone and nothing unseen is left.
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
    /// # let task = tokio::spawn(async move { service.start_with_realtime().await });
    /// # let (seen, mut news) = tokio::sync::mpsc::unbounded_channel();
    /// let thread = std::thread::spawn(move || {
    ///     while config.blocking_changed().is_ok() {
    ///         println!("{:?} is the value now", config.get());
    ///         # seen.send(config.get()).unwrap();
    ///     }
    /// });
    /// # assert_eq!(news.recv().await.flatten(), Some(Config { workers: 2 }));
    /// # std::fs::write(&path, "workers = 4")?;
    /// # assert_eq!(news.recv().await.flatten(), Some(Config { workers: 4 }));
    /// # handle.shutdown().await;
    /// # task.await??; // with it the service is dropped, which ends the thread
    /// # assert_eq!(news.recv().await, None);
    /// # thread.join().unwrap();
    /// # Ok(()) }).await? }
    /// ```
    pub fn blocking_changed(&mut self) -> ReloadResult<(), V, S> {
        match block_on(self.changed(), None) {
            Some(changed) => changed,
            None => unreachable!("without a deadline the wait ends only with an outcome"),
        }
    }

    /// Waits as [`blocking_changed`](Self::blocking_changed) does, for no longer than `patience`;
    /// false if nothing has changed by then.
    ///
    /// # Errors
    ///
    /// When the service is gone and nothing unseen is left.
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
    /// use std::time::Duration;
    ///
    /// # let mut turns = 0;
    /// let worker = std::thread::spawn(move || {
    ///     while let Ok(is_new) = config.blocking_changed_within(Duration::from_millis(10)) {
    ///         if is_new {
    ///             println!("on with {:?}", config.get());
    ///         }
    ///         // and whatever else this thread has to do now and then
    ///         # turns += 1;
    ///         # assert_eq!(is_new, turns == 1);
    ///         # if turns == 2 { return }
    ///     }
    ///     # panic!("the service is there");
    /// });
    /// # worker.join().unwrap();
    /// # Ok(()) }).await? }
    /// ```
    pub fn blocking_changed_within(&mut self, patience: Duration) -> ReloadResult<bool, V, S> {
        let deadline = Instant::now().checked_add(patience);
        block_on(self.changed(), deadline).map_or(Ok(false), |changed| changed.map(|()| true))
    }
}

/// Drives a future that needs no runtime, until a deadline if there is one.
fn block_on<F: Future>(future: F, deadline: Option<Instant>) -> Option<F::Output> {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut cx = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(outcome) = future.as_mut().poll(&mut cx) {
            return Some(outcome);
        }
        // Woken for nothing, it only looks again.
        match deadline {
            None => thread::park(),
            Some(deadline) => {
                let left = deadline.checked_duration_since(Instant::now())?;
                thread::park_timeout(left);
            }
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

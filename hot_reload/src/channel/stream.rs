//! A live value as a stream of its generations.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures_core::Stream;
use tokio_stream::wrappers::WatchStream;

use super::{Cell, ReloaderReceiver, Snapshot};

/// Yields each new value as a [`Snapshot`], and ends with the service.
///
/// From [`ReloaderReceiver::into_stream`].
#[must_use = "streams do nothing unless polled"]
pub struct ReloaderStream<V, S = &'static str> {
    numbers: WatchStream<u64>,
    /// The generation that was yielded last.
    last: u64,
    cell: Arc<Cell<V>>,
    /// Kept for what it keeps.
    _receiver: ReloaderReceiver<V, S>,
}

impl<V, S> ReloaderReceiver<V, S> {
    /// Turns the receiver into a stream of what it has not awaited yet (feature `stream`).
    ///
    /// Like [`changed`](Self::changed) it yields the newest value only: a consumer that is slow
    /// skips the others, and holds up nobody.
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
    /// use tokio_stream::StreamExt;
    ///
    /// let mut configs = config.into_stream();
    /// # std::fs::write(&path, "workers = 4")?;
    /// while let Some(config) = configs.next().await {
    ///     println!("generation {}: {} workers", config.generation(), config.workers);
    ///     # if config.workers == 4 { break }
    /// }
    /// # Ok(()) }).await? }
    /// ```
    pub fn into_stream(mut self) -> ReloaderStream<V, S> {
        // The stream keeps no generation alive.
        self.last = None;
        let numbers = WatchStream::from_changes(self.changes.clone());
        ReloaderStream { numbers, last: 0, cell: Arc::clone(&self.cell), _receiver: self }
    }
}

impl<V, S> Stream for ReloaderStream<V, S>
where
    Self: Unpin,
{
    type Item = Snapshot<V>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        while ready!(Pin::new(&mut self.numbers).poll_next(cx)).is_some() {
            // There is none where `None` itself was published.
            if let Some(snapshot) = Snapshot::new(&self.cell)
                // Published between the two, it was yielded the last time.
                && snapshot.generation() != self.last
            {
                self.last = snapshot.generation();
                return Poll::Ready(Some(snapshot));
            }
        }
        Poll::Ready(None)
    }
}

impl<V, S> fmt::Debug for ReloaderStream<V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReloaderStream").field("generation", &self.last).finish_non_exhaustive()
    }
}

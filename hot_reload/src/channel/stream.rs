//! A live value as a stream of its generations.

use std::{
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
    /// Turns the receiver into a stream of what it has not awaited yet.
    ///
    /// Like [`changed`](Self::changed) it yields the newest value only: a consumer that is slow
    /// skips the others, and holds up nobody.
    ///
    /// # Examples
    ///
    /// ```
    /// # use hot_reload::ReloaderReceiver;
    /// use tokio_stream::StreamExt;
    ///
    /// # async fn example(name: ReloaderReceiver<String>) {
    /// let mut names = name.into_stream();
    /// while let Some(name) = names.next().await {
    ///     println!("{} is the name now", *name);
    /// }
    /// # }
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

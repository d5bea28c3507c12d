//! Sources that load or push values, made to fit the loop.

use std::{
    borrow::Cow,
    fmt::Display,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::sync::mpsc::error::TryRecvError;

use crate::{
    error::{ReloadResult, ReloaderError},
    follow::{Follow, Hint, Look, Mechanism, Patience},
    options::ReloaderOptions,
    reload::{RealtimeWatch, RealtimeWatchHandle, Reload, WatchEvent},
};

/// A source that is loaded at every poll.
pub(super) struct Polled<'a, T> {
    pub(super) source: &'a T,
    pub(super) poll_interval: Duration,
}

impl<T, V, S> Follow<V, S> for Polled<'_, T>
where
    T: Reload<V, S>,
    V: Eq + PartialEq,
    S: Into<Cow<'static, str>> + Display,
{
    fn poll_hint(&mut self, _cx: &mut Context<'_>) -> Poll<Hint> {
        Poll::Pending
    }

    async fn look(&mut self, _patience: Patience) -> ReloadResult<Look<V>, V, S> {
        load(self.source).await
    }

    fn look_again_after(&self) -> Option<Duration> {
        Some(self.poll_interval)
    }

    fn mechanism(&self) -> Mechanism {
        Mechanism::Polling
    }
}

/// A source that pushes values, and is loaded when it can't.
pub(super) struct Pushed<'a, T, V> {
    source: &'a T,
    options: &'a ReloaderOptions,
    watch: Option<RealtimeWatchHandle<V>>,
    /// The newest event that no look has taken yet.
    event: Option<WatchEvent<V>>,
    /// Why there is no watch.
    degraded: Option<String>,
    /// Watches that could not be had, or ended, in a row.
    lost: u32,
}

impl<'a, T, V> Pushed<'a, T, V> {
    pub(super) fn new(source: &'a T, options: &'a ReloaderOptions) -> Self {
        Self { source, options, watch: None, event: None, degraded: None, lost: 0 }
    }

    fn lose(&mut self, reason: String) {
        self.watch = None;
        self.lost = self.lost.saturating_add(1);
        self.degraded = Some(reason);
    }

    /// Takes what has been pushed so far; of several values the newest wins.
    fn drain(&mut self) -> Option<WatchEvent<V>> {
        let mut newest = self.event.take();
        while let Some(watch) = &mut self.watch {
            match watch.rx.try_recv() {
                Ok(event) => newest = Some(event),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => self.lose(ENDED.into()),
            }
        }
        newest
    }
}

impl<T, V, S> Follow<V, S> for Pushed<'_, T, V>
where
    T: RealtimeWatch<V, S>,
    V: Eq + PartialEq,
    S: Into<Cow<'static, str>> + Display,
{
    fn poll_hint(&mut self, cx: &mut Context<'_>) -> Poll<Hint> {
        let Some(watch) = &mut self.watch else { return Poll::Pending };
        match ready!(watch.rx.poll_recv(cx)) {
            Some(event) => self.event = Some(event),
            None => self.lose(ENDED.into()),
        }
        Poll::Ready(Hint::Finished)
    }

    async fn look(&mut self, _patience: Patience) -> ReloadResult<Look<V>, V, S> {
        match self.drain() {
            Some(WatchEvent::Changed(value)) => {
                self.lost = 0;
                return Ok(Look::Value(value));
            }
            Some(WatchEvent::Removed) => {
                return Err(ReloaderError::Other(anyhow::anyhow!("the source is gone")));
            }
            Some(WatchEvent::Error(words)) => {
                return Err(ReloaderError::Other(anyhow::anyhow!("{words}")));
            }
            None => {}
        }
        if self.watch.is_none() {
            // The watch stands before the load, so that no change falls in between.
            match self.source.watch_realtime().await {
                Ok(watch) => {
                    self.watch = Some(watch);
                    self.degraded = None;
                }
                Err(error) => self.lose(error.to_string()),
            }
        }
        load(self.source).await
    }

    fn look_again_after(&self) -> Option<Duration> {
        let poll = self.options.polls().then_some(self.options.poll_interval);
        match &self.degraded {
            None => poll,
            Some(_) => {
                let pause = self.options.backoff.pause(self.lost, fastrand::f64());
                Some(poll.map_or(pause, |poll| poll.min(pause)))
            }
        }
    }

    fn mechanism(&self) -> Mechanism {
        match &self.degraded {
            Some(reason) => Mechanism::Degraded(reason.clone().into()),
            None if self.options.polls() => Mechanism::EventsAndPolling,
            None => Mechanism::Events,
        }
    }
}

const ENDED: &str = "the source's watch has ended";

async fn load<T, V, S>(source: &T) -> ReloadResult<Look<V>, V, S>
where
    T: Reload<V, S>,
    V: Eq + PartialEq,
    S: Into<Cow<'static, str>> + Display,
{
    Ok(source.reload().await?.map_or(Look::Unchanged, Look::Value))
}

//! Sources that load or push values, made to fit the loop.

use std::{
    borrow::Cow,
    fmt::Display,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{sync::mpsc::error::TryRecvError, time::Instant};

use crate::{
    config::WatchStrategy,
    error::{ReloadResult, ReloaderError},
    follow::{BoxFollow, Follow, Hint, Look, Mechanism, Patience},
    options::ReloaderOptions,
    reload::{RealtimeWatch, RealtimeWatchHandle, Reload, WatchEvent},
};

/// What the methods of the two traits return.
type Pending<'a, T, V, S> = Pin<Box<dyn Future<Output = ReloadResult<T, V, S>> + Send + 'a>>;

/// Follows `source` by `options`, whichever way it is made to be followed.
///
/// Seam between the service and sources that are made of others, not part of the stable interface.
pub fn followed<'a, T, V, S>(source: &'a T, options: &ReloaderOptions) -> BoxFollow<'a, V, S>
where
    T: RealtimeWatch<V, S> + Sync,
    V: Eq + PartialEq + Send + 'a,
    S: Into<Cow<'static, str>> + Display + Send + 'a,
{
    if options.strategy == WatchStrategy::Polling {
        let polled = || Box::new(Polled::new(source, options.poll_interval));
        source.follow(options).unwrap_or_else(|| polled())
    } else {
        let pushed = || Box::new(Pushed::new(source, options));
        source.follow_realtime(options).unwrap_or_else(|| pushed())
    }
}

/// A source that is loaded at every poll.
pub(super) struct Polled<'a, T, V, S> {
    source: &'a T,
    poll_interval: Duration,
    loading: Option<Pending<'a, Option<V>, V, S>>,
}

impl<'a, T, V, S> Polled<'a, T, V, S> {
    pub(super) fn new(source: &'a T, poll_interval: Duration) -> Self {
        Self { source, poll_interval, loading: None }
    }
}

impl<T, V, S> Follow<V, S> for Polled<'_, T, V, S>
where
    T: Reload<V, S>,
    V: Eq + PartialEq,
    S: Into<Cow<'static, str>> + Display,
{
    fn poll_hint(&mut self, _cx: &mut Context<'_>) -> Poll<Hint> {
        Poll::Pending
    }

    fn poll_look(
        &mut self,
        cx: &mut Context<'_>,
        _patience: Patience,
    ) -> Poll<ReloadResult<Look<V>, V, S>> {
        let source = self.source;
        let loading = self.loading.get_or_insert_with(|| source.reload());
        let loaded = ready!(loading.as_mut().poll(cx));
        self.loading = None;
        Poll::Ready(found(loaded))
    }

    fn abandon_look(&mut self) {
        self.loading = None;
    }

    fn look_again_after(&self) -> Option<Duration> {
        Some(self.poll_interval)
    }

    fn mechanism(&self) -> Mechanism {
        Mechanism::Polling
    }
}

/// A source that pushes values, and is loaded when it can't.
pub(super) struct Pushed<'a, T, V, S> {
    source: &'a T,
    options: ReloaderOptions,
    watch: Option<RealtimeWatchHandle<V>>,
    /// An event that no look has taken yet.
    event: Option<WatchEvent<V>>,
    step: Step<'a, V, S>,
    /// Why there is no watch, or none to be relied on.
    degraded: Option<String>,
    armed_at: Option<Instant>,
    /// The last attempt to watch never came to an end, so the next look does without.
    do_without: bool,
    /// Watches that could not be had, or ended, in a row.
    lost: u32,
}

/// How far a look has got.
enum Step<'a, V, S> {
    Idle,
    Arming(Pending<'a, RealtimeWatchHandle<V>, V, S>),
    Loading(Pending<'a, Option<V>, V, S>),
}

impl<'a, T, V, S> Pushed<'a, T, V, S> {
    pub(super) fn new(source: &'a T, options: &ReloaderOptions) -> Self {
        Self {
            source,
            options: options.clone(),
            watch: None,
            event: None,
            step: Step::Idle,
            degraded: None,
            armed_at: None,
            do_without: false,
            lost: 0,
        }
    }

    fn lose(&mut self, reason: String) {
        self.watch = None;
        self.degrade(reason);
    }

    /// Looks more often from now on, until an event says that the watch is well.
    fn degrade(&mut self, reason: String) {
        // A watch that has lasted is not one of a series that fails.
        if self.armed_at.take().is_some_and(|at| at.elapsed() > self.options.backoff.ceiling) {
            self.lost = 0;
        }
        self.lost = self.lost.saturating_add(1);
        self.degraded = Some(reason);
    }

    /// Takes the oldest event that no look has taken yet.
    fn next_event(&mut self) -> Option<WatchEvent<V>> {
        if self.event.is_some() {
            return self.event.take();
        }
        match self.watch.as_mut()?.rx.try_recv() {
            Ok(event) => Some(event),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => {
                self.lose(ENDED.into());
                None
            }
        }
    }
}

impl<T, V, S> Follow<V, S> for Pushed<'_, T, V, S>
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

    fn poll_look(
        &mut self,
        cx: &mut Context<'_>,
        _patience: Patience,
    ) -> Poll<ReloadResult<Look<V>, V, S>> {
        let source = self.source;
        loop {
            match &mut self.step {
                Step::Idle => {
                    match self.next_event() {
                        Some(WatchEvent::Changed(value)) => {
                            self.lost = 0;
                            self.degraded = None;
                            return Poll::Ready(Ok(Look::Value(value)));
                        }
                        Some(WatchEvent::Removed) => {
                            return Poll::Ready(refused("the source is gone"));
                        }
                        Some(WatchEvent::Error(words)) => {
                            self.degrade(words.clone());
                            return Poll::Ready(refused(&words));
                        }
                        None => {}
                    }
                    // The watch stands before the load, so that no change falls in between.
                    self.step = match self.watch {
                        None if !std::mem::take(&mut self.do_without) => {
                            Step::Arming(source.watch_realtime())
                        }
                        _ => Step::Loading(source.reload()),
                    };
                }
                Step::Arming(arming) => {
                    match ready!(arming.as_mut().poll(cx)) {
                        Ok(watch) => {
                            self.watch = Some(watch);
                            self.armed_at = Some(Instant::now());
                            self.degraded = None;
                        }
                        Err(error) => self.lose(error.to_string()),
                    }
                    self.step = Step::Loading(source.reload());
                }
                Step::Loading(loading) => {
                    let loaded = ready!(loading.as_mut().poll(cx));
                    self.step = Step::Idle;
                    return Poll::Ready(found(loaded));
                }
            }
        }
    }

    fn abandon_look(&mut self) {
        if let Step::Arming(_) = std::mem::replace(&mut self.step, Step::Idle) {
            self.lose("the source's watch could not be set: it hung, or panicked".into());
            self.do_without = true;
        }
    }

    fn look_again_after(&self) -> Option<Duration> {
        let poll = self.options.polls().then_some(self.options.poll_interval);
        if self.degraded.is_none() {
            return poll;
        }
        let pause = self.options.backoff.pause(self.lost, fastrand::f64());
        Some(poll.map_or(pause, |poll| poll.min(pause)))
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

fn found<V, S>(loaded: ReloadResult<Option<V>, V, S>) -> ReloadResult<Look<V>, V, S> {
    Ok(loaded?.map_or(Look::Unchanged, Look::Value))
}

fn refused<V, S>(words: &str) -> ReloadResult<Look<V>, V, S> {
    Err(ReloaderError::Other(anyhow::anyhow!("{words}")))
}

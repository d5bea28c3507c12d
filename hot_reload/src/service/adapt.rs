//! Sources that load or push values, made to fit the loop.

mod arming;
mod pushed;

use std::{
    borrow::Cow,
    fmt::Display,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

pub(super) use self::pushed::Pushed;
use crate::{
    config::WatchStrategy,
    error::ReloadResult,
    follow::{BoxFollow, Follow, Hint, Look, Mechanism, Patience},
    options::ReloaderOptions,
    reload::{RealtimeWatch, Reload},
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
        source.__follow(options).unwrap_or_else(|| polled())
    } else {
        let pushed = || Box::new(Pushed::new(source, options));
        source.__follow_realtime(options).unwrap_or_else(|| pushed())
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

fn found<V, S>(loaded: ReloadResult<Option<V>, V, S>) -> ReloadResult<Look<V>, V, S> {
    Ok(loaded?.map_or(Look::Unchanged, Look::Value))
}

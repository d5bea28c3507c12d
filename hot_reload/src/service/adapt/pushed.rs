//! A source that pushes values, and is loaded when it can't.

mod doubted;
mod hearing;
mod passed;

use std::{
    borrow::Cow,
    fmt::Display,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::Instant;

use self::{doubted::Doubted, passed::Passed};
use super::{Pending, arming::Arming, found};
use crate::{
    error::{ReloadResult, ReloaderError},
    follow::{Follow, Hint, Look, Mechanism, Patience},
    options::ReloaderOptions,
    panic::drop_guarded,
    reload::{RealtimeWatch, RealtimeWatchHandle, WatchEvent},
};

const ENDED: &str = "the source's watch has ended";
const GONE: &str = "the source is gone";
const DOUBTED: &str = "the source was gone, and is yet to be watched anew";
const LATE: &str = "the source's watch is yet to stand";

/// A source that pushes values, and is loaded when it can't.
pub(in crate::service) struct Pushed<'a, T, V, S> {
    source: &'a T,
    options: ReloaderOptions,
    watch: Option<RealtimeWatchHandle<V>>,
    doubted: Option<Doubted<V>>,
    /// The next watch, while it is being set.
    arming: Option<Arming<'a, V, S>>,
    /// An event that no look has taken yet.
    event: Option<WatchEvent<V>>,
    loading: Option<Pending<'a, Option<V>, V, S>>,
    /// Why there is no watch, or none to be relied on.
    degraded: Option<String>,
    armed_at: Option<Instant>,
    /// Whether a value was had since the watch stands.
    is_proven: bool,
    /// When the next watch may be set, after some that were lost.
    rearm_at: Option<Instant>,
    /// Watches in a row that could not be had, or soon ended.
    lost: u32,
    /// Whether somebody has asked for a load that has yet to begin.
    is_asked: bool,
    passed: Option<Passed<V>>,
    /// How often what waited for room has had its turn before that load.
    turns: u32,
    /// Since when errors have been told of in place of what a load would have found.
    erring_since: Option<Instant>,
    /// Whether the watch has told of an error since the last load began.
    has_erred: bool,
}

impl<'a, T, V, S> Pushed<'a, T, V, S> {
    pub(in crate::service) fn new(source: &'a T, options: &ReloaderOptions) -> Self {
        Self {
            source,
            options: options.clone(),
            watch: None,
            doubted: None,
            arming: None,
            event: None,
            loading: None,
            degraded: None,
            armed_at: None,
            is_proven: false,
            rearm_at: None,
            lost: 0,
            is_asked: false,
            passed: None,
            turns: 0,
            erring_since: None,
            has_erred: false,
        }
    }

    /// Whether the next watch is to be set by now.
    fn may_arm(&self) -> bool {
        let is_due = self.rearm_at.is_none_or(|at| at <= Instant::now());
        self.watch.is_none() && self.arming.is_none() && is_due
    }

    /// Whether errors have kept it from being loaded, or watched, for long enough.
    fn is_overdue(&self) -> bool {
        let ceiling = self.options.retries().ceiling;
        let pause = self.poll_interval().map_or(ceiling, |poll| poll.min(ceiling));
        self.may_arm() || self.erring_since.is_some_and(|at| at.elapsed() >= pause)
    }

    fn poll_interval(&self) -> Option<Duration> {
        self.options.polls().then_some(self.options.poll_interval)
    }

    /// Takes note of a watch that stands, or can't be had.
    fn arm(&mut self, set: Result<RealtimeWatchHandle<V>, String>) {
        // One that has hung is dropped half done.
        drop_guarded(self.arming.take());
        match set {
            Ok(watch) => {
                self.watch = Some(watch);
                (self.armed_at, self.rearm_at) = (Some(Instant::now()), None);
                (self.degraded, self.is_proven) = (None, false);
                if let Some(doubted) = &mut self.doubted {
                    doubted.is_alone = false;
                }
            }
            Err(reason) => {
                self.lost = self.lost.saturating_add(1);
                self.lack(self.options.retries().pause(self.lost, fastrand::f64()), reason);
                if let Some(doubted) = &mut self.doubted {
                    doubted.is_alone = true;
                }
                self.trust_again();
            }
        }
    }

    /// Takes note of a watch that has ended: the next is set at once, unless it is one of a series that
    /// ends.
    fn lose(&mut self) {
        self.hear_no_more();
        if self.armed_at.take().is_some_and(|at| at.elapsed() > self.options.retries().ceiling) {
            self.lost = 0;
        }
        let pause = match self.lost {
            0 => Duration::ZERO,
            lost => self.options.retries().pause(lost, fastrand::f64()),
        };
        self.lost = self.lost.saturating_add(1);
        self.lack(pause, ENDED.into());
    }

    /// Lets go of the watch that stood.
    fn hear_no_more(&mut self) {
        if let Some(watch) = self.watch.take() {
            watch.end();
        }
    }

    fn lack(&mut self, pause: Duration, reason: String) {
        self.rearm_at = Some(Instant::now() + pause);
        self.degraded = Some(reason);
    }

    /// Returns what an event comes to.
    fn take(&mut self, event: WatchEvent<V>) -> ReloadResult<Look<V>, V, S> {
        match event {
            WatchEvent::Changed(value) => {
                drop_guarded(self.passed.take());
                self.erring_since = None;
                if self.watch.is_some() {
                    self.degraded = None;
                }
                Ok(Look::Value(value))
            }
            WatchEvent::Removed => {
                self.pass_end();
                refused(GONE)
            }
            WatchEvent::Error(words) => {
                let refused = refused(&words);
                self.erring_since.get_or_insert_with(Instant::now);
                self.degraded = Some(words);
                refused
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
        if self.event.is_some() {
            // The last look took an older value; what is heard next would take the place of this event.
            return Poll::Ready(Hint::Finished);
        }
        if let Some(arming) = &mut self.arming
            && let Poll::Ready(set) = arming.poll(cx)
        {
            self.arm(set);
            return Poll::Ready(Hint::Finished);
        }
        if let Some(watch) = &mut self.watch
            && let Poll::Ready(event) = watch.rx.poll_recv(cx)
        {
            match event {
                Some(event) => self.hear(event),
                None => self.lose(),
            }
            return Poll::Ready(Hint::Finished);
        }
        if let Some(doubted) = &mut self.doubted {
            if let Some(event) = ready!(doubted.watch.rx.poll_recv(cx)) {
                if self.hear_doubted(event) {
                    return Poll::Ready(Hint::Finished);
                }
                // There may be more; others have their turn first.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            self.hear_no_doubted();
        }
        Poll::Pending
    }

    fn poll_look(
        &mut self,
        cx: &mut Context<'_>,
        _patience: Patience,
    ) -> Poll<ReloadResult<Look<V>, V, S>> {
        let source = self.source;
        if self.loading.is_none() {
            if let Some(taken) = ready!(self.poll_take(cx)) {
                return Poll::Ready(taken);
            }
            // The watch stands before the load, so that no change falls in between.
            if self.may_arm() {
                let limit = self.options.load_timeout.unwrap_or_else(|| self.load_timeout());
                self.arming = Some(Arming::new(source.watch_realtime(), limit));
                self.rearm_at = None;
            }
            if let Some(arming) = &mut self.arming {
                match arming.poll(cx) {
                    Poll::Ready(set) => self.arm(set),
                    Poll::Pending if !arming.is_late() => return Poll::Pending,
                    Poll::Pending => {
                        let is_told = self.degraded.replace(LATE.into()).as_deref() == Some(LATE);
                        self.lost = self.lost.saturating_add(1);
                        // One was lost, and what is loaded in its place may hang as well: before that
                        // the status says what there is to be said.
                        if self.lost > 1 && !is_told {
                            return Poll::Ready(refused(LATE));
                        }
                    }
                }
            }
        }
        let loading = self.loading.get_or_insert_with(|| {
            (self.is_asked, self.turns) = (false, 0);
            (self.erring_since, self.has_erred) = (None, false);
            source.reload()
        });
        let loaded = ready!(loading.as_mut().poll(cx));
        self.loading = None;
        // What has arrived meanwhile is newer than what was loaded, or leads to it. An error is neither.
        if let Some(event) = self.next_but_errors() {
            match loaded {
                // It is older than that, but may be had no more.
                Ok(Some(value)) => self.keep(value),
                other => drop_guarded(other),
            }
            return Poll::Ready(self.take(event));
        }
        if self.watch.is_some() && matches!(loaded, Ok(Some(_))) {
            self.is_proven = true;
            if !self.has_erred {
                self.degraded = None;
            }
        }
        Poll::Ready(found(self.or_passed(loaded)))
    }

    fn abandon_look(&mut self) {
        self.loading = None;
    }

    fn must_load(&mut self) {
        self.is_asked = true;
    }

    fn was_refused(&mut self) {
        // A load finds it again, and what the watch tells of next has no need to wait for one.
    }

    fn look_again_after(&self) -> Option<Duration> {
        let poll = self.poll_interval();
        if self.degraded.is_none() && self.rearm_at.is_none() {
            return poll;
        }
        let backoff = self.options.retries();
        let pause = match self.rearm_at {
            Some(at) => at.saturating_duration_since(Instant::now()),
            None if self.watch.is_none() => backoff.pause(self.lost, fastrand::f64()),
            // It stands, and has told of a problem; until it tells of its end a load may find that.
            None => backoff.ceiling,
        };
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

impl<T, V, S> Drop for Pushed<'_, T, V, S> {
    fn drop(&mut self) {
        // What the service ends with is a user's, and one may fail where another has.
        drop_guarded(self.loading.take());
        drop_guarded(self.arming.take());
        drop_guarded(self.event.take());
        drop_guarded(self.passed.take());
        self.hear_no_more();
        self.hear_no_doubted();
    }
}

fn refused<V, S>(words: &str) -> ReloadResult<Look<V>, V, S> {
    Err(ReloaderError::Other(anyhow::anyhow!("{words}")))
}

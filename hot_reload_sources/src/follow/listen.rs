//! What is heard by a channel, and how it is asked for while it is off.

use std::{
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tracing::debug;

use super::{
    FollowStore,
    channel::Channel,
    open::{Watched, watch},
};
use crate::{error::StoreError, in_time::panicked};

/// More than a look is worth waiting for; the rest is taken by the next.
const MOST_AT_ONCE: usize = 4096;

impl<V> FollowStore<V> {
    /// Takes what has arrived, the last of it; whether that is anything.
    pub(super) fn poll_changes(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut has_news = false;
        for _ in 0..MOST_AT_ONCE {
            let Channel::Standing { changes, since } = &mut self.channel else {
                return if has_news { Poll::Ready(()) } else { Poll::Pending };
            };
            match changes.as_mut().poll_next(cx) {
                Poll::Pending if has_news => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(entry))) => has_news |= self.order.arrives(entry),
                Poll::Ready(ended) => {
                    let lasted = since.elapsed();
                    self.watch_ends(lasted, ended.and_then(Result::err));
                }
            }
        }
        if has_news {
            return Poll::Ready(());
        }
        // There may be more, which nobody else tells of.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Says why, which no status does as the next attempt may well succeed, and waits before that.
    fn watch_ends(&mut self, lasted: Duration, error: Option<StoreError>) {
        let told = error.as_ref().map(ToString::to_string);
        debug!(target: "hot_reload::watch_ended", source = &*self.source.name, error = told, "watching anew");
        self.disconnect();
        let now = Instant::now();
        let resume_at = now + self.channel_pace.watch_ended(lasted);
        self.not_before = self.not_before.max(Some(resume_at));
        // It may be to be left alone for longer than a watch takes to begin anew, which is trouble if it is for
        // long.
        let throttled = error.filter(StoreError::is_throttled);
        let asked = throttled.as_ref().map(|error| self.channel_pace.failed(error.kind()));
        let retry_at = resume_at.max(now + asked.unwrap_or_default());
        let is_long = retry_at > now + self.pace.ceiling();
        let reason = throttled.filter(|_| is_long).map(|error| error.to_string());
        self.channel = Channel::Off { reason, retry_at };
    }

    /// A channel that can't be had, for a while.
    pub(super) fn off(&mut self, error: &StoreError) -> Channel {
        let retry_at = Instant::now() + self.channel_pace.failed(error.kind());
        Channel::Off { reason: Some(error.to_string()), retry_at }
    }

    /// When to do something about a channel that is off.
    fn retry_at(&self) -> Option<Instant> {
        let Channel::Off { retry_at, .. } = self.channel else { return None };
        let not_before = self.not_before.unwrap_or(retry_at);
        // Who is not connected looks first: what there is may be read.
        Some(if self.connection.is_some() { retry_at.max(not_before) } else { not_before })
    }

    /// Asks for a channel that is off once it may be had; whether a look is to be had now.
    pub(super) fn poll_channel(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Some(attempt) = &mut self.attempt {
                let tried = ready!(attempt.poll_join_next(cx));
                self.attempt = None;
                // It panics where its client does.
                let tried = tried.and_then(Result::ok).unwrap_or_else(|| Err(panicked()));
                match tried {
                    Ok(watched) => {
                        self.is_watched(watched);
                        return Poll::Ready(());
                    }
                    Err(error) => self.channel = self.off(&error),
                }
            }
            let Some(at) = self.retry_at() else {
                self.alarm = None;
                return Poll::Pending;
            };
            let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(at)));
            if alarm.deadline() != at {
                alarm.as_mut().reset(at);
            }
            ready!(alarm.as_mut().poll(cx));
            if self.connection.is_none() {
                return Poll::Ready(());
            }
            let store = Arc::clone(&self.source.store);
            let deadline = store.read_deadline();
            // In a task, as what it holds may be needed by others while this source is not polled.
            let mut attempt = JoinSet::new();
            attempt.spawn(watch(store, deadline));
            self.attempt = Some(attempt);
        }
    }

    /// There is a watch again, by a connection that takes the place of the one there was.
    fn is_watched(&mut self, (connection, watched): Watched) {
        self.connection = Some(connection);
        self.order.connects();
        let Some((first, changes)) = watched else {
            self.channel = Channel::None;
            return;
        };
        self.channel_pace.succeeded();
        self.channel = Channel::Standing { changes, since: Instant::now() };
        self.audit_at = self.audit_at.filter(|_| self.look_interval().is_some());
        if first.revision().is_some() {
            self.order.arrives(first);
        } else {
            // It may be older than what was read while it was on its way.
            self.must_read = true;
        }
    }
}

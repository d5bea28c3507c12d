//! Values that are passed over, for a load that somebody has asked for or the end of the source.

use std::task::{Context, Poll};

use super::Pushed;
use crate::{error::ReloadResult, panic::drop_guarded, reload::WatchEvent};

/// More than wait for room on a service that was paused, fewer than hold a load up for long: a watch
/// may never rest.
const MOST_TURNS: u32 = 1024;

/// The newest value that a watch has told of before a load that was asked for, or that was loaded before
/// the end of the source was told of.
///
/// What a load finds after that is newer. But a source may load what is new only, so that this is kept
/// until something newer is had.
pub(super) struct Passed<V> {
    pub(super) value: V,
    /// Whether the source was gone after that: it is no proof that all is well, then.
    pub(super) is_gone: bool,
}

impl<T, V, S> Pushed<'_, T, V, S> {
    /// Takes note of all that a watch has told of by now, since a load that begins after is newer; what
    /// waits for room on its channel is older than that too, and has its turn to be told.
    pub(super) fn poll_pass_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.pass_over();
        if self.turns < MOST_TURNS && self.is_about_to_tell() {
            self.turns += 1;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    /// Whether somebody has been given room on the channel that is heard, and has yet to use it.
    fn is_about_to_tell(&self) -> bool {
        let doubted = self.doubted.as_ref().map(|doubted| &doubted.watch);
        let rx = self.watch.as_ref().or(doubted).map(|watch| &watch.rx);
        rx.is_some_and(|rx| rx.capacity() + rx.len() < rx.max_capacity())
    }

    fn pass_over(&mut self) {
        // At least once, since a watch that has nothing to tell may have ended.
        for _ in 0..=self.untaken() {
            match self.next_event() {
                Some(WatchEvent::Changed(value)) => {
                    if self.watch.is_some() {
                        self.degraded = None;
                    }
                    self.keep(value);
                }
                Some(WatchEvent::Removed) => self.pass_end(),
                Some(WatchEvent::Error(words)) => self.degraded = Some(words),
                None => return,
            }
        }
    }

    /// Keeps a value that is newer than what was kept before.
    pub(super) fn keep(&mut self, value: V) {
        drop_guarded(self.passed.replace(Passed { value, is_gone: false }));
    }

    /// Takes note of the end of what the source has held.
    pub(super) fn pass_end(&mut self) {
        if let Some(passed) = &mut self.passed {
            passed.is_gone = true;
        }
    }

    /// Takes what was passed over, unless the source was gone after that.
    pub(super) fn take_passed(&mut self) -> Option<V> {
        self.passed.take_if(|passed| !passed.is_gone).map(|passed| passed.value)
    }

    /// Returns what was loaded, or, where that is nothing, what was passed over for it.
    pub(super) fn or_passed(
        &mut self,
        loaded: ReloadResult<Option<V>, V, S>,
    ) -> ReloadResult<Option<V>, V, S> {
        match loaded {
            Ok(Some(_)) => {
                drop_guarded(self.passed.take());
                loaded
            }
            Ok(None) => Ok(self.passed.take().map(|passed| passed.value)),
            // It is told of by the next load, as where nobody asks.
            Err(_) => self.take_passed().map_or(loaded, |value| Ok(Some(value))),
        }
    }
}

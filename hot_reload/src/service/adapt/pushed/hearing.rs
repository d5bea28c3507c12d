//! What watches tell, one event after another.

use std::task::{Context, Poll};

use tokio::sync::mpsc::error::TryRecvError;

use super::Pushed;
use crate::{error::ReloadResult, follow::Look, reload::WatchEvent};

impl<T, V, S> Pushed<'_, T, V, S> {
    /// Takes note of what the watch that stands has told of.
    pub(super) fn hear(&mut self, event: WatchEvent<V>) {
        match event {
            WatchEvent::Changed(_) => {
                self.hear_no_doubted();
                self.is_proven = true;
            }
            WatchEvent::Removed => {
                let is_news = self.is_proven;
                self.doubt();
                if !is_news {
                    // Nor has a load found it.
                    return;
                }
            }
            WatchEvent::Error(_) => {}
        }
        self.event = Some(event);
    }

    /// Takes the oldest event that no look has taken yet.
    pub(super) fn next_event(&mut self) -> Option<WatchEvent<V>> {
        if self.event.is_none() {
            match self.watch.as_mut().map(|watch| watch.rx.try_recv()) {
                Some(Ok(event)) => self.hear(event),
                Some(Err(TryRecvError::Disconnected)) => self.lose(),
                Some(Err(TryRecvError::Empty)) | None => {}
            }
        }
        if self.event.is_none()
            && self.watch.is_none()
            && let Some(doubted) = &mut self.doubted
            && let Ok(event) = doubted.watch.rx.try_recv()
        {
            self.hear_doubted(event);
        }
        self.event.take()
    }

    /// Takes the oldest of what is known, before anything is loaded, unless somebody asks for that.
    pub(super) fn poll_take(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<ReloadResult<Look<V>, V, S>>> {
        if self.is_asked {
            return self.poll_pass_over(cx).map(|()| None);
        }
        // A load for which it was passed over has hung, or panicked.
        if let Some(value) = self.take_passed() {
            return Poll::Ready(Some(Ok(Look::Value(value))));
        }
        let is_overdue = self.is_overdue();
        let event = if is_overdue { self.next_but_errors() } else { self.next_event() };
        Poll::Ready(event.map(|event| self.take(event)))
    }

    /// Takes the oldest event that is no error; of the errors before it note is taken.
    pub(super) fn next_but_errors(&mut self) -> Option<WatchEvent<V>> {
        // At least once, since a watch that has nothing to tell may have ended.
        for _ in 0..=self.untaken() {
            match self.next_event()? {
                WatchEvent::Error(words) => {
                    (self.degraded, self.has_erred) = (Some(words), true);
                }
                event => return Some(event),
            }
        }
        None
    }

    /// How many events are there by now; more may come for as long as any is taken.
    pub(super) fn untaken(&self) -> usize {
        let watches = [self.watch.as_ref(), self.doubted.as_ref().map(|doubted| &doubted.watch)];
        let queued: usize = watches.into_iter().flatten().map(|watch| watch.rx.len()).sum();
        queued + usize::from(self.event.is_some())
    }
}

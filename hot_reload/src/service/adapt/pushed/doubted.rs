//! Watches that have said that the source is gone.

use super::{DOUBTED, Pushed};
use crate::{
    panic::drop_guarded,
    reload::{RealtimeWatchHandle, WatchEvent},
};

/// A watch that has said that the source is gone: it may hear nothing of what comes in its place, as a
/// watch on a file that was replaced doesn't.
///
/// What it tells counts while no other stands, and has the source loaded while one does, unless it is an
/// error, until that tells of a value.
pub(super) struct Doubted<V> {
    pub(super) watch: RealtimeWatchHandle<V>,
    /// Whether it has told of a value since.
    has_told: bool,
    /// Whether another could not be had since.
    pub(super) is_alone: bool,
}

impl<T, V, S> Pushed<'_, T, V, S> {
    /// Doubts the watch that stands, and has another set in its place.
    pub(super) fn doubt(&mut self) {
        let has_lasted =
            self.armed_at.is_some_and(|at| at.elapsed() > self.options.retries().floor);
        if self.is_proven && has_lasted {
            // The source came and went.
            self.lost = 0;
        }
        let watch = self.watch.take();
        self.lose();
        self.hear_no_doubted();
        self.degraded = (self.lost > 1).then(|| DOUBTED.into());
        self.doubted = watch.map(|watch| Doubted { watch, has_told: false, is_alone: false });
    }

    /// Lets go of the watch in doubt.
    pub(super) fn hear_no_doubted(&mut self) {
        if let Some(doubted) = self.doubted.take() {
            doubted.watch.end();
        }
    }

    /// Ends the doubt of a watch that tells of values, where no other is to be had.
    pub(super) fn trust_again(&mut self) {
        if let Some(doubted) = self.doubted.take_if(|doubted| doubted.has_told && doubted.is_alone)
        {
            self.arm(Ok(doubted.watch));
        }
    }

    /// Takes note of what the watch in doubt has told of; returns whether that is worth a look.
    pub(super) fn hear_doubted(&mut self, event: WatchEvent<V>) -> bool {
        let Some(doubted) = &mut self.doubted else { return false };
        let mut is_error = matches!(event, WatchEvent::Error(_));
        doubted.has_told |= matches!(event, WatchEvent::Changed(_));
        if self.watch.is_none() {
            self.event = Some(event);
            self.trust_again();
            true
        } else {
            // It may be older than what is loaded. More may come for as long as any is taken.
            drop_guarded(event);
            for _ in 0..doubted.watch.rx.len() {
                let passed_over = doubted.watch.rx.try_recv();
                doubted.has_told |= matches!(passed_over, Ok(WatchEvent::Changed(_)));
                is_error &= matches!(passed_over, Ok(WatchEvent::Error(_)) | Err(_));
                drop_guarded(passed_over);
            }
            // What it can't tell, the other does: it may never rest.
            !is_error
        }
    }
}

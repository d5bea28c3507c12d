//! A watch that is being set, which may take its time, hang or panic.

use std::{
    fmt::Display,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep};

use super::Pending;
use crate::{
    panic::{Guarded, words},
    reload::RealtimeWatchHandle,
};

/// Longer than a server on the other side of the world takes, short enough for a status that still says
/// that all is well.
const PATIENCE: Duration = Duration::from_secs(1);

/// A watch that is being set; it goes on while the source is loaded without.
pub(super) struct Arming<'a, V, S> {
    setting: Pending<'a, RealtimeWatchHandle<V>, V, S>,
    /// Tells when it is late, and then when it has hung; most watches stand before it is made.
    clock: Option<Pin<Box<Sleep>>>,
    is_late: bool,
    limit: Duration,
}

impl<'a, V, S> Arming<'a, V, S> {
    /// Sets it by `setting`, for as long as one look may take.
    pub(super) fn new(setting: Pending<'a, RealtimeWatchHandle<V>, V, S>, limit: Duration) -> Self {
        Self { setting, clock: None, is_late: false, limit }
    }

    /// Whether a look is not to wait for it any longer.
    pub(super) fn is_late(&self) -> bool {
        self.is_late
    }
}

impl<V, S: Display> Arming<'_, V, S> {
    /// Waits until it stands, or is given up on for this reason.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<RealtimeWatchHandle<V>, String>> {
        let setting = || {
            // The words are a user's as well.
            let set = self.setting.as_mut().poll(cx);
            set.map_err(|error| Guarded::new(error).to_string())
        };
        // What panicked is dropped, and never polled again.
        match catch_unwind(AssertUnwindSafe(setting)) {
            Ok(Poll::Ready(set)) => return Poll::Ready(set),
            Ok(Poll::Pending) => {}
            Err(panic) => {
                let words = words(&*panic);
                return Poll::Ready(Err(format!("the source's watch panicked: {words}")));
            }
        }
        let patience = PATIENCE.min(self.limit / 2);
        let clock = self.clock.get_or_insert_with(|| Box::pin(sleep(patience)));
        loop {
            ready!(clock.as_mut().poll(cx));
            if mem::replace(&mut self.is_late, true) {
                let limit = self.limit;
                let words = format!("the source's watch was given up on after {limit:?}");
                return Poll::Ready(Err(words));
            }
            clock.as_mut().reset(Instant::now() + self.limit.saturating_sub(patience));
        }
    }
}

//! Waiting on a thread outside the runtime.

use std::{
    borrow::Cow,
    fmt::Display,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::{Duration, Instant},
};

use super::ReloaderReceiver;
use crate::error::ReloadResult;

impl<V, S> ReloaderReceiver<V, S>
where
    V: Eq + PartialEq,
    S: Into<Cow<'static, str>> + Display,
{
    /// Waits as [`changed`](Self::changed) does, on a thread that may block; it needs no runtime.
    ///
    /// To read there, nothing else is needed: no read waits for anything.
    ///
    /// # Errors
    ///
    /// When the service is gone and nothing unseen is left.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use hot_reload::ReloaderReceiver;
    /// # fn example(mut config: ReloaderReceiver<String>) {
    /// std::thread::spawn(move || {
    ///     while config.blocking_changed().is_ok() {
    ///         println!("{:?} is the value now", config.get());
    ///     }
    /// });
    /// # }
    /// ```
    pub fn blocking_changed(&mut self) -> ReloadResult<(), V, S> {
        match block_on(self.changed(), None) {
            Some(changed) => changed,
            None => unreachable!("without a deadline the wait ends only with an outcome"),
        }
    }

    /// Waits as [`blocking_changed`](Self::blocking_changed) does, for no longer than `patience`;
    /// false if nothing has changed by then.
    ///
    /// # Errors
    ///
    /// When the service is gone and nothing unseen is left.
    pub fn blocking_changed_within(&mut self, patience: Duration) -> ReloadResult<bool, V, S> {
        let deadline = Instant::now().checked_add(patience);
        block_on(self.changed(), deadline).map_or(Ok(false), |changed| changed.map(|()| true))
    }
}

/// Drives a future that needs no runtime, until a deadline if there is one.
fn block_on<F: Future>(future: F, deadline: Option<Instant>) -> Option<F::Output> {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut cx = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(outcome) = future.as_mut().poll(&mut cx) {
            return Some(outcome);
        }
        // Woken for nothing, it only looks again.
        match deadline {
            None => thread::park(),
            Some(deadline) => {
                let left = deadline.checked_duration_since(Instant::now())?;
                thread::park_timeout(left);
            }
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

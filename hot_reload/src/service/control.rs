//! What a service and its handles have in common.

use std::{
    collections::VecDeque,
    mem,
    pin::Pin,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

#[cfg(all(unix, feature = "signal"))]
use tokio::task::JoinSet;
use tokio::{
    runtime::Handle,
    sync::{Notify, futures::Notified, oneshot},
    time::timeout,
};

use super::{handle::Triggered, record::Past, state::Event};
use crate::{
    change::Reason,
    lock::lock,
    panic::{caught, wake_all},
};

/// For how long a handle waits for a service that has never run: a task that was just spawned is polled within
/// milliseconds, and nobody who asks in vain waits for long.
const FIRST_START: Duration = Duration::from_secs(1);

/// What a service and its handles have in common.
#[derive(Default)]
pub(crate) struct Control {
    wanted: Mutex<Wanted>,
    /// Wakes the loop.
    changed: Notify,
    /// Wakes whoever waits for the end.
    ended: Notify,
    /// Wakes whoever waits for the first start.
    begun: Notify,
    /// The task that listens to `SIGHUP`, which ends when this is dropped.
    #[cfg(all(unix, feature = "signal"))]
    hangups: Mutex<Option<JoinSet<()>>>,
    /// What is kept of the past.
    past: Mutex<Vec<Past>>,
    /// Held while the service runs, so that two starts can't publish in turns.
    pub(super) running: tokio::sync::Mutex<()>,
}

/// What keeps a service from looking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hold {
    Nothing,
    Paused,
    /// It is to serve this generation.
    Pinned(u64),
}

struct Wanted {
    is_running: bool,
    /// Whether it has ever run.
    has_run: bool,
    hold: Hold,
    /// What held it and is to hold it no more, which has not been carried out yet.
    resumed_from: Option<Hold>,
    is_over: bool,
    asked: Vec<Ask>,
    rollbacks: VecDeque<(u64, Ask)>,
    /// Why the last of them asked.
    reason: Reason,
}

/// What somebody wants of a loop.
pub(super) enum Wish {
    Event(Event),
    /// To publish this generation anew, and to pause.
    Rollback(u64, Ask),
}

/// Somebody who waits for the outcome of a look.
pub(super) type Ask = oneshot::Sender<Triggered>;

impl Default for Wanted {
    fn default() -> Self {
        Self {
            is_running: false,
            has_run: false,
            hold: Hold::Nothing,
            resumed_from: None,
            is_over: false,
            asked: Vec::new(),
            rollbacks: VecDeque::new(),
            reason: Reason::Trigger,
        }
    }
}

impl Wanted {
    fn pause(&mut self) {
        if self.hold == Hold::Nothing {
            self.hold = Hold::Paused;
            // It has not gone on yet, so there is nothing to look at first.
            self.resumed_from.take_if(|was| *was == Hold::Paused);
        }
    }

    fn resume(&mut self) {
        if self.hold != Hold::Nothing {
            // What was pinned is to be seen to be no more, whatever it was since.
            let held = mem::replace(&mut self.hold, Hold::Nothing);
            self.resumed_from.get_or_insert(held);
        }
    }

    /// Asks for a look, if there is somebody to ask.
    fn ask(&mut self) -> Option<oneshot::Receiver<Triggered>> {
        let (ask, outcome) = self.is_running.then(oneshot::channel)?;
        self.asked.push(ask);
        Some(outcome)
    }

    /// Takes what does not wait for the end of a look: the end of the service, or a value of the
    /// past.
    fn take_urgent(&mut self) -> Option<Wish> {
        if self.is_over {
            return Some(Wish::Event(Event::Shutdown));
        }
        let (generation, ask) = self.rollbacks.pop_front()?;
        Some(Wish::Rollback(generation, ask))
    }
}

impl Control {
    fn lock(&self) -> MutexGuard<'_, Wanted> {
        lock(&self.wanted)
    }

    /// Has a running loop load for this reason, and waits for the outcome.
    pub(super) async fn trigger(&self, reason: Reason) -> Triggered {
        self.want(|wanted| {
            wanted.reason = reason;
            wanted.ask()
        })
        .await
    }

    /// Has a running loop publish this generation anew, and waits for the outcome.
    pub(super) async fn rollback(&self, generation: u64) -> Triggered {
        self.want(|wanted| {
            let (ask, outcome) = wanted.is_running.then(oneshot::channel)?;
            wanted.rollbacks.push_back((generation, ask));
            Some(outcome)
        })
        .await
    }

    /// Takes note of a wish, and waits for its outcome, if there is somebody to give one.
    async fn want(
        &self,
        wish: impl FnOnce(&mut Wanted) -> Option<oneshot::Receiver<Triggered>>,
    ) -> Triggered {
        self.wait_for_first_start().await;
        let Some(outcome) = wish(&mut self.lock()) else { return Triggered::Stopped };
        self.changed.notify_one();
        // Dropped by a service that stops.
        outcome.await.unwrap_or(Triggered::Stopped)
    }

    /// Waits for the first start: the task that it was spawned in may be yet to be polled.
    async fn wait_for_first_start(&self) {
        let begun = self.begun.notified();
        let may_begin = {
            let wanted = self.lock();
            !wanted.has_run && !wanted.is_over
        };
        // Outside of a runtime nobody can wait, and nothing has been spawned.
        if may_begin && Handle::try_current().is_ok() {
            // It panics in a runtime without time, where nothing has been spawned either.
            if let Ok(first_start) = caught(|| timeout(FIRST_START, begun)) {
                let _begun_or_not = first_start.await;
            }
        }
    }

    pub(super) fn pause(&self) {
        self.lock().pause();
        self.changed.notify_one();
    }

    pub(super) fn resume(&self) {
        self.lock().resume();
        self.changed.notify_one();
    }

    /// The same, and waits for the outcome of the look that a running loop goes on with.
    pub(super) async fn resume_and_trigger(&self) -> Triggered {
        let has_run = {
            let mut wanted = self.lock();
            if !wanted.has_run {
                // At once, however long it takes to start: who pauses it by then is the last to say so.
                wanted.resume();
            }
            wanted.has_run
        };
        self.want(|wanted| {
            if has_run {
                // In one step, or the loop might pause in between; where none runs, for the next.
                wanted.resume();
            }
            wanted.reason = Reason::Trigger;
            wanted.ask()
        })
        .await
    }

    /// Has the task that listens to `SIGHUP` end with this, in the place of an earlier one.
    #[cfg(all(unix, feature = "signal"))]
    pub(super) fn listen_by(&self, task: JoinSet<()>) {
        *lock(&self.hangups) = Some(task);
    }

    /// Has the service end.
    pub(super) fn end(&self) {
        self.lock().is_over = true;
        self.changed.notify_one();
        self.ended.notify_waiters();
        self.tell_of_first_start();
    }

    fn tell_of_first_start(&self) {
        wake_all(1, || self.begun.notify_waiters());
    }

    pub(super) fn is_paused(&self) -> bool {
        self.lock().hold != Hold::Nothing
    }

    pub(super) fn is_over(&self) -> bool {
        self.lock().is_over
    }

    /// Tells handles that there is somebody to ask, until the result is dropped.
    pub(super) fn run(&self) -> Running<'_> {
        {
            let mut wanted = self.lock();
            (wanted.is_running, wanted.has_run) = (true, true);
        }
        let running = Running(self);
        self.tell_of_first_start();
        running
    }

    /// What is kept of the past.
    pub(super) fn past(&self) -> Vec<Past> {
        lock(&self.past).clone()
    }

    /// Takes note of what is kept of the past.
    pub(super) fn set_past(&self, past: Vec<Past>) {
        *lock(&self.past) = past;
    }

    /// Pauses the service at a generation of the past.
    pub(super) fn pin(&self, generation: u64) {
        let mut wanted = self.lock();
        wanted.hold = Hold::Pinned(generation);
        // What was to be resumed was what held before.
        wanted.resumed_from = None;
    }

    /// The generation that is pinned.
    pub(super) fn pinned(&self) -> Option<u64> {
        match self.lock().hold {
            Hold::Pinned(generation) => Some(generation),
            Hold::Nothing | Hold::Paused => None,
        }
    }

    /// Whether somebody may want something of the loop by now.
    pub(super) fn is_wanted(&self) -> bool {
        let wanted = self.lock();
        let is_asked = !wanted.asked.is_empty() || !wanted.rollbacks.is_empty();
        is_asked || wanted.is_over || wanted.resumed_from.is_some() || wanted.hold != Hold::Nothing
    }

    /// Hears of what somebody wants from now on; for [`next`](Self::next).
    pub(super) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    /// Waits until somebody wants something of a loop, save to pause unless it may.
    ///
    /// `changed` is kept between waits, so that it need not begin to listen at each.
    pub(super) async fn next<'a>(
        &'a self,
        mut changed: Pin<&mut Notified<'a>>,
        may_pause: bool,
    ) -> Wish {
        loop {
            {
                let mut wanted = self.lock();
                if let Some(wish) = wanted.take_urgent() {
                    return wish;
                }
                // First, so that who resumes it and then asks finds it going on.
                if wanted.resumed_from.take().is_some() {
                    return Wish::Event(Event::Resume);
                }
                if !wanted.asked.is_empty() {
                    return Wish::Event(Event::Trigger(wanted.reason));
                }
                if wanted.hold != Hold::Nothing && may_pause {
                    return Wish::Event(Event::Pause);
                }
            }
            changed.as_mut().await;
            changed.set(self.changed());
        }
    }

    /// Waits until somebody wants what does not wait for the end of a look; all else is left to
    /// [`next`](Self::next).
    pub(super) async fn next_urgent<'a>(&'a self, mut changed: Pin<&mut Notified<'a>>) -> Wish {
        loop {
            if let Some(wish) = self.lock().take_urgent() {
                return wish;
            }
            changed.as_mut().await;
            changed.set(self.changed());
        }
    }

    /// Waits until somebody wants the service to end.
    pub(super) async fn shutdown(&self) {
        loop {
            let ended = self.ended.notified();
            if self.is_over() {
                return;
            }
            ended.await;
        }
    }

    /// Takes those who wait for the outcome of the next look.
    pub(super) fn take_asked(&self) -> Vec<Ask> {
        std::mem::take(&mut self.lock().asked)
    }
}

/// Whoever asks is answered for as long as this lives.
pub(super) struct Running<'a>(&'a Control);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut wanted = self.0.lock();
        wanted.is_running = false;
        // Dropped, they are told that the service does not run.
        wanted.asked.clear();
        wanted.rollbacks.clear();
    }
}

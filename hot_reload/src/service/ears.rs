//! What a loop listens to while it waits.

use std::{
    future::{pending, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll},
};

use tokio::{
    sync::futures::Notified,
    task::yield_now,
    time::{Instant, Sleep, sleep_until},
};

use super::{
    control::{Control, Wish},
    record::Trial,
    state::Event,
};
use crate::{at_once::at_once, follow::Hint};

/// What a loop that waits is woken by.
pub(super) enum Woken {
    Hint(Hint),
    Wish(Wish),
    /// The value on trial has proved itself, or failed to.
    Proof(Result<(), String>),
    Time,
    NoReceivers,
}

/// A time in which a loop waits.
pub(super) struct Lull {
    pub(super) is_paused: bool,
    /// Whether it is to pause once somebody wants it to: not before it has given an answer.
    pub(super) may_pause: bool,
    pub(super) until: Option<Instant>,
}

/// What a loop listens with, besides its source: kept between waits, since to begin and to end
/// listening costs more than most of them.
pub(super) struct Ears<'a, 'n, C> {
    control: &'n Control,
    /// Hears that nobody is left to publish to, which is the end: it is polled no more then.
    closed: Pin<&'a mut C>,
    /// Hears that somebody wants something.
    changed: Pin<&'a mut Notified<'n>>,
    /// Boxed, so that a service that waits for no moment, as most do, takes no room for one.
    timer: Option<Pin<Box<Sleep>>>,
    /// A hint that was there at once, and is taken after others have had their turn.
    held: Option<Hint>,
}

impl<'a, 'n, C: Future<Output = ()>> Ears<'a, 'n, C> {
    pub(super) fn new(
        control: &'n Control,
        closed: Pin<&'a mut C>,
        changed: Pin<&'a mut Notified<'n>>,
    ) -> Self {
        Self { control, closed, changed, timer: None, held: None }
    }

    /// Waits until the service is to end, or, with `None`, that moment has come.
    pub(super) async fn interrupt(&mut self, at: Option<Instant>) -> Option<Event> {
        tokio::select! {
            biased;
            () = self.closed.as_mut() => Some(Event::NoReceivers),
            // Large, and seldom waited for.
            () = Box::pin(self.control.shutdown()) => Some(Event::Shutdown),
            () = ring_at(at, &mut self.timer) => None,
        }
    }

    /// Waits, while a look takes long, for what does not wait for its end.
    pub(super) async fn overhear(&mut self, until: Option<Instant>) -> Woken {
        tokio::select! {
            biased;
            () = self.closed.as_mut() => Woken::NoReceivers,
            wish = self.control.next_urgent(self.changed.as_mut()) => Woken::Wish(wish),
            () = ring_at(until, &mut self.timer) => Woken::Time,
        }
    }

    /// Waits until something wakes the loop: by the clock, by the `hints` of its source, by what
    /// comes of the `trial` of its newest value, or by somebody who wants something.
    pub(super) async fn listen(
        &mut self,
        Lull { is_paused, may_pause, until }: Lull,
        trial: &mut Option<Trial>,
        mut hints: impl FnMut(&mut Context<'_>) -> Poll<Hint>,
    ) -> Woken {
        let Self { control, closed, changed, timer, held } = self;
        let is_on_trial = trial.is_some();
        let mut other = pin!(async {
            tokio::select! {
                biased;
                () = closed.as_mut() => Woken::NoReceivers,
                wish = control.next(changed.as_mut(), may_pause) => Woken::Wish(wish),
                outcome = poll_fn(|cx| proof(trial, cx)) => Woken::Proof(outcome),
                () = ring_at(until, timer) => Woken::Time,
            }
        });
        let mut turn = pin!(yield_now());
        let mut is_first = true;
        poll_fn(|cx| {
            let is_at_once = std::mem::take(&mut is_first);
            // A storm of hints holds nothing else up, no deadline either; and what is wanted by now
            // comes before a hint, which may be of what is not to be looked at any more.
            let had_turn = is_at_once || held.is_some();
            let other_first = had_turn || is_on_trial || control.is_wanted();
            if other_first && let Poll::Ready(woken) = other.as_mut().poll(cx) {
                return Poll::Ready(woken);
            }
            let mut heard = || held.take().map_or_else(|| hints(cx), Poll::Ready);
            if !is_paused && let Poll::Ready(hint) = heard() {
                // A loop that never has to wait leaves others on its thread their turn, and what
                // they want by then goes before the hint. One that has waited has done so; and to
                // yield where nothing else is to be done wakes another thread of the runtime to
                // look for work, on whose processor the next look would find nothing in the caches.
                if is_at_once && turn.as_mut().poll(cx).is_pending() {
                    *held = Some(hint);
                    return Poll::Pending;
                }
                return Poll::Ready(Woken::Hint(hint));
            }
            if other_first { Poll::Pending } else { other.as_mut().poll(cx) }
        })
        .await
    }
}

/// Waits until the value on trial has proved itself, or failed to.
pub(super) fn proof(trial: &mut Option<Trial>, cx: &mut Context<'_>) -> Poll<Result<(), String>> {
    trial.as_mut().map_or(Poll::Pending, |trial| trial.as_mut().poll(cx))
}

/// Waits for a moment, by the timer that was set for another if there is one; for none, for ever. One
/// that is past leaves others their turn.
async fn ring_at(deadline: Option<Instant>, timer: &mut Option<Pin<Box<Sleep>>>) {
    let Some(deadline) = deadline else {
        *timer = None;
        return pending().await;
    };
    let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
    if timer.deadline() != deadline {
        timer.as_mut().reset(deadline);
    }
    if at_once(timer.as_mut()).await.is_some() {
        yield_now().await;
    } else {
        timer.await;
    }
}

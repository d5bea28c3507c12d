//! The shell around the loop: waits, looks, publishes, and decides nothing.

mod load;

use std::{
    fmt::Display,
    marker::PhantomData,
    pin::pin,
    task::{Context, Poll},
};

use tokio::time::{Instant, timeout};
use tracing::{debug, info};

use self::load::UnderWay;
use super::{
    beside::{Beside, Withdrawal},
    control::{Ask, Control, Wish},
    doubt::Doubt,
    ears::{Ears, Lull, Woken},
    handle::{PINNED, Triggered},
    metrics::Metrics,
    recall::{RolledBack, Surroundings, not_kept, roll_back},
    sink::{Recall, Report, Sink},
    state::{Event, State, Timing, next},
};
use crate::{
    follow::{Follow, Hint},
    options::ReloaderOptions,
    status::{Health, Status},
};

/// Follows a source until nobody is left to publish to, or it is told to end.
///
/// Dropping the future stops the service; whatever was published stays.
pub(crate) async fn run<V, S>(
    source: &mut (impl Follow<V, S> + ?Sized),
    sink: &impl Sink<V>,
    options: &ReloaderOptions,
    control: &Control,
) where
    S: Display,
{
    let name = sink.name().or_else(|| source.name());
    let metrics = Metrics::of(name.as_ref());
    let _stopped = StopGuard { sink, control, metrics: &metrics };
    if control.is_over() {
        return;
    }
    let limit = options.load_timeout.unwrap_or_else(|| source.load_timeout());
    let _running = control.run();
    let trial = sink.on_trial();
    // Once, and after what a user's check does first.
    let is_paused = control.is_paused();
    let pinned = if is_paused { control.pinned() } else { None };
    // What an earlier run has said is over.
    sink.report(&mut |status| {
        *status = Status {
            health: if pinned.is_some() { Health::RolledBack } else { Health::Starting },
            source: name.clone(),
            strategy: Some(options.strategy),
            is_paused,
            pinned,
            generation: status.generation,
            is_restored: status.is_restored,
            last_change: status.last_change,
            probation_until: status.probation_until.filter(|_| trial.is_some()),
            ..Status::default()
        };
    });
    let closed = pin!(sink.closed());
    let changed = pin!(control.changed());
    let mut shell = Shell {
        source,
        sink,
        beside: Beside {
            ears: Ears::new(control, closed, changed),
            doubt: Doubt::new(options.max_staleness),
            trial,
            withdrawal: None,
            metrics: &metrics,
        },
        timing: Timing {
            settle_window: options.settle_window,
            settle_ceiling: options.settle_ceiling,
            backoff: options.retries(),
        },
        around: Surroundings { source: name.as_deref(), limit, control, metrics: &metrics },
        asked: Vec::new(),
        under_way: None,
        may_restore: true,
        _values: PhantomData,
    };
    let mut state = if is_paused {
        State::Paused { failures: 0 }
    } else {
        State::start(Instant::now(), &shell.timing)
    };
    while state != State::Done {
        let event = match state {
            // Boxed, so that a service that waits, as most do, takes no room for a look; and made in its
            // place, since to move it would touch all of it.
            State::Loading(round) => {
                Box::into_pin(Box::write(Box::new_uninit(), shell.load(round))).await
            }
            ref waiting => shell.wait(waiting).await,
        };
        if let Some(event) = event {
            state = next(state, event, Instant::now(), &shell.timing);
        }
        // A look tells for itself, before it waits or once it is over.
        if !matches!(state, State::Loading(_)) {
            metrics.state(|| sink.status());
        }
    }
    // What is yet to be written is, unless the disk hangs.
    let _late = timeout(shell.around.limit, sink.flush()).await;
    debug!(target: "hot_reload::ended", source = shell.around.source.map(display), "the service ends");
}

/// What carries out what the loop decides.
struct Shell<'a, 'n, V, S, F: ?Sized, K, C> {
    source: &'a mut F,
    sink: &'a K,
    beside: Beside<'a, 'n, C>,
    timing: Timing,
    around: Surroundings<'n>,
    /// Who waits for the outcome of the look that is under way, or of the next.
    asked: Vec<Ask>,
    /// A look to go on with, since something else came in between.
    under_way: Option<UnderWay>,
    may_restore: bool,
    _values: PhantomData<fn() -> (V, S)>,
}

impl<V, S, F, K, C> Shell<'_, '_, V, S, F, K, C>
where
    S: Display,
    F: Follow<V, S> + ?Sized,
    K: Sink<V>,
    C: Future<Output = ()>,
{
    /// Waits for something to happen; `None` where it leaves the loop as it is.
    async fn wait(&mut self, state: &State) -> Option<Event> {
        let is_paused = matches!(state, State::Paused { .. });
        let may_pause = !is_paused && self.asked.is_empty();
        let lull = Lull { is_paused, may_pause, until: self.next_deadline(*state) };
        let hints = |cx: &mut Context<'_>| {
            // What nobody is left to take is not looked at.
            if self.sink.is_closed() { Poll::Pending } else { self.source.poll_hint(cx) }
        };
        let woken = self.beside.ears.listen(lull, &mut self.beside.trial, hints).await;
        match woken {
            Woken::Hint(hint) => {
                self.beside.doubt.arises(Instant::now());
                Some(match hint {
                    Hint::Touched => {
                        self.beside.doubt.show(self.sink);
                        Event::Touched
                    }
                    Hint::Due => Event::Due,
                    Hint::Finished => Event::Finished,
                })
            }
            Woken::NoReceivers => Some(Event::NoReceivers),
            Woken::Wish(wish) => self.grant(wish).await,
            Woken::Proof(outcome) => match self.beside.judge(outcome, self.sink) {
                Ok(true) => {
                    self.beside.rehabilitate(self.sink);
                    None
                }
                Ok(false) => None,
                // Seldom, and large.
                Err(bad) => Box::pin(self.withdraw(bad)).await,
            },
            Woken::Time => self.keep_time(*state).await,
        }
    }

    /// Does what it is time for.
    async fn keep_time(&mut self, state: State) -> Option<Event> {
        self.beside.tell_staleness(self.sink, self.around.source);
        if let Some(bad) = self.beside.take_due() {
            let end = Box::pin(self.withdraw(bad)).await;
            if end.is_some() {
                return end;
            }
        }
        state.deadline().filter(|due| *due <= Instant::now()).map(|_| Event::Tick)
    }

    fn next_deadline(&self, state: State) -> Option<Instant> {
        [state.deadline(), self.beside.doubt.limit(), self.beside.again()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Takes back the newest value, which is bad.
    async fn withdraw(&mut self, mut withdrawal: Box<Withdrawal>) -> Option<Event> {
        if withdrawal.attempts == 0 {
            self.beside.doubt.arises(Instant::now());
            self.beside.doubt.show(self.sink);
        }
        let words = Some(withdrawal.words.as_str());
        let (around, beside) = (&self.around, &mut self.beside);
        match roll_back(Recall::LastGood, words, around, self.sink, beside).await {
            RolledBack::To(_) | RolledBack::NotKept => None,
            RolledBack::Ended(end) => Some(end),
            RolledBack::Refused(_) => {
                // As by a port that is not free again yet.
                withdrawal.attempts = withdrawal.attempts.saturating_add(1);
                let pause = self.timing.backoff.pause(withdrawal.attempts, fastrand::f64());
                withdrawal.again = Instant::now() + pause;
                self.beside.withdrawal = Some(withdrawal);
                None
            }
        }
    }

    /// Does what somebody wants.
    async fn grant(&mut self, wish: Wish) -> Option<Event> {
        let event = match wish {
            Wish::Rollback(generation, ask) if !self.sink.keeps(generation) => {
                // Whoever asked may have gone.
                drop(ask.send(not_kept(generation, self.around.source)));
                return None;
            }
            Wish::Rollback(generation, ask) => {
                let recall = Recall::Generation(generation);
                let (around, beside) = (&self.around, &mut self.beside);
                let rolled_back = roll_back(recall, None, around, self.sink, beside);
                let rolled_back = Box::pin(rolled_back).await;
                if let RolledBack::To(_) = rolled_back {
                    (self.beside.trial, self.beside.withdrawal) = (None, None);
                    self.beside.doubt.clear();
                    self.answer(&Triggered::Failed(PINNED.into()));
                }
                // Whoever asked may have gone.
                drop(ask.send(rolled_back.answer()));
                return match rolled_back {
                    // At once, since a look may be under way.
                    RolledBack::To(_) => Some(Event::Pause),
                    RolledBack::NotKept | RolledBack::Refused(_) => None,
                    RolledBack::Ended(end) => Some(end),
                };
            }
            Wish::Event(event) => event,
        };
        match event {
            Event::Trigger(_) => {
                self.asked.extend(self.around.control.take_asked());
                if self.around.control.pinned().is_some() {
                    self.answer(&Triggered::Failed(PINNED.into()));
                    return None;
                }
                self.source.must_load();
            }
            Event::Resume => {
                info!(target: "hot_reload::resumed", source = self.around.source.map(display), "resumed");
                self.source.must_load();
                self.sink.report(&mut |status| {
                    status.is_paused = false;
                    status.pinned = None;
                });
            }
            // What is asked for while it is paused changes nothing of that.
            Event::Pause if self.sink.status().is_paused => {}
            Event::Pause => {
                info!(target: "hot_reload::paused", source = self.around.source.map(display), "paused");
                self.sink.report(&mut |status| status.is_paused = true);
            }
            _ => {}
        }
        Some(event)
    }

    fn answer(&mut self, answer: &Triggered) {
        for ask in self.asked.drain(..) {
            // Whoever asked may have gone.
            drop(ask.send(answer.clone()));
        }
    }
}

/// Says in the status that the service runs no more, however its future ends.
struct StopGuard<'a, K: Report> {
    sink: &'a K,
    control: &'a Control,
    metrics: &'a Metrics,
}

impl<K: Report> Drop for StopGuard<'_, K> {
    fn drop(&mut self) {
        let health = if self.control.is_over() { Health::Ended } else { Health::Stopped };
        self.sink.report(&mut |status| status.health = health);
        self.metrics.state(|| self.sink.status());
    }
}

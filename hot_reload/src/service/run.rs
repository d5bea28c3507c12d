//! The shell around the loop: waits, looks, publishes, and decides nothing.

use std::{
    fmt::Display,
    future::poll_fn,
    marker::PhantomData,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{Instrument, debug, debug_span};

use super::{
    control::{Ask, Control, Triggered, Wish},
    doubt::Doubt,
    metrics::Metrics,
    outcome::{Found, admit, is_refusal, take},
    recall::{Around, ROLLED_BACK, restore, roll_back},
    record::Trial,
    sink::{Past, Report, Sink},
    state::{Event, Round, State, Timing, next},
};
use crate::{
    change::Origin,
    error::{ReloadResult, ReloaderError},
    follow::{Follow, Hint, Look, Patience},
    options::ReloaderOptions,
    panic::words,
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
    let limit = options.load_timeout.unwrap_or_else(|| source.load_timeout());
    // What an earlier run has said is over.
    let (is_paused, pinned) = (control.is_paused(), control.pinned());
    sink.report(&mut |status| {
        *status = Status {
            health: if pinned.is_some() { Health::RolledBack } else { Health::Starting },
            strategy: Some(options.strategy),
            is_paused,
            pinned,
            generation: status.generation,
            is_restored: status.is_restored,
            last_change: status.last_change,
            ..Status::default()
        };
    });
    let name = source.name();
    let name = name.as_deref();
    let metrics = Metrics::of(name);
    let _stopped = StopGuard { sink, control, metrics: &metrics };
    let _running = control.run();
    let mut shell = Shell {
        source,
        sink,
        timing: Timing {
            settle_window: options.settle_window,
            settle_ceiling: options.settle_ceiling,
            backoff: options.backoff,
        },
        around: Around { source: name, limit, control, metrics: &metrics },
        doubt: Doubt::new(options.max_staleness),
        asked: Vec::new(),
        trial: sink.on_trial(),
        withdrawals: 0,
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
            // Boxed, so that a service that waits, as most do, takes no room for a look.
            State::Loading(round) => Some(Box::pin(shell.load(round)).await),
            waiting => shell.wait(waiting).await,
        };
        if let Some(event) = event {
            state = next(state, event, Instant::now(), &shell.timing);
        }
        metrics.state(|| sink.status());
    }
    // What is yet to be written is, unless the disk hangs.
    let _late = timeout(limit, sink.flush()).await;
    debug!(name: "hot_reload.ended", source = name, "the service ends");
}

/// What carries out what the loop decides.
struct Shell<'a, V, S, F: ?Sized, K> {
    source: &'a mut F,
    sink: &'a K,
    timing: Timing,
    around: Around<'a>,
    doubt: Doubt,
    /// Who waits for the outcome of the look that is under way, or of the next.
    asked: Vec<Ask>,
    /// What the newest value has yet to prove.
    trial: Option<Trial>,
    /// How often in a row a bad value could not be taken back.
    withdrawals: u32,
    may_restore: bool,
    _values: PhantomData<fn() -> (V, S)>,
}

/// What a trigger is answered while a value is pinned.
const PINNED: &str = "pinned to an earlier generation; resume() lets go of it";

impl<V, S, F, K> Shell<'_, V, S, F, K>
where
    S: Display,
    F: Follow<V, S> + ?Sized,
    K: Sink<V>,
{
    /// Looks at the source, and publishes what it finds if that may be.
    async fn load(&mut self, round: Round) -> Event {
        let Around { source: name, limit, control, metrics } = self.around;
        self.asked.extend(control.take_asked());
        let patience =
            if Instant::now() < round.ceiling { Patience::Left } else { Patience::Exhausted };
        let origin = Origin { reason: round.reason, seen: round.seen(&self.timing) };
        self.doubt.arises(origin.seen);
        let begun = Instant::now();
        let found = {
            let reason = origin.reason.as_str();
            let span = debug_span!("hot_reload.load", source = name, reason);
            let look = async {
                let found = look(self.source, patience, limit).await;
                admit(found, origin, limit, self.sink).await
            };
            let mut look = pin!(look.instrument(span));
            loop {
                tokio::select! {
                    biased;
                    () = self.sink.closed() => return Event::NoReceivers,
                    () = control.shutdown() => return Event::Shutdown,
                    () = at(self.doubt.limit()) => self.doubt.is_over_the_limit(self.sink, name),
                    found = &mut look => break found,
                }
            }
        };
        let (mechanism, again) = (self.source.mechanism(), self.source.look_again_after());
        if matches!(found, Ok(Found::Bad(_))) || is_refusal(&found) {
            // Its identity is known by now, and the next look has to load it all the same.
            self.source.must_load();
        }
        let is_good = matches!(found, Ok(Found::New(_) | Found::Same));
        if !is_good {
            // First, so that whoever hears of the one finds the other.
            self.doubt.is_founded(self.sink);
        }
        let (event, mut news) = take(found, mechanism, again, self.sink).await;
        if news.published.is_some() {
            self.trial = news.trial.take();
            metrics.published(origin, || self.source.edited());
        }
        if let Some(outcome) = news.counted() {
            metrics.loaded(outcome, begun.elapsed());
        }
        if let Some(answer) = news.answer() {
            self.answer(&answer);
        }
        if is_good {
            self.doubt.is_gone();
        }
        news.log(name, round.reason);
        if matches!(event, Event::Failed { .. }) && std::mem::take(&mut self.may_restore) {
            tokio::select! {
                biased;
                () = control.shutdown() => {}
                () = self.sink.closed() => {}
                // Once in the life of a service, and large.
                () = Box::pin(restore(&self.around, self.sink)) => {}
            }
        }
        event
    }

    /// Waits for something to happen; `None` where it leaves the loop as it is.
    async fn wait(&mut self, state: State) -> Option<Event> {
        let name = self.around.source;
        let is_paused = matches!(state, State::Paused { .. });
        tokio::select! {
            biased;
            () = self.sink.closed() => Some(Event::NoReceivers),
            wish = self.around.control.next(state, !self.asked.is_empty()) => {
                self.grant(wish).await
            }
            outcome = poll_fn(|cx| proof(&mut self.trial, cx)) => {
                self.trial = None;
                match outcome {
                    Ok(()) => self.sink.is_good(),
                    Err(words) => self.withdraw(words).await,
                }
                None
            }
            // Before the hints, so that no storm of them holds it up.
            () = at(state.deadline().into_iter().chain(self.doubt.limit()).min()) => {
                if self.doubt.limit().is_some_and(|limit| limit <= Instant::now()) {
                    self.doubt.is_over_the_limit(self.sink, name);
                }
                state.deadline().filter(|due| *due <= Instant::now()).map(|_| Event::Tick)
            }
            hint = poll_fn(|cx| self.source.poll_hint(cx)), if !is_paused => {
                self.doubt.arises(Instant::now());
                if hint != Hint::Due {
                    self.doubt.is_founded(self.sink);
                }
                Some(match hint {
                    Hint::Touched => Event::Touched,
                    Hint::Due => Event::Due,
                    Hint::Finished => Event::Finished,
                })
            }
        }
    }

    /// Takes back the newest value, which is bad for this reason.
    async fn withdraw(&mut self, words: String) {
        let why = format!("refused by probation: {words}");
        self.doubt.is_gone();
        self.doubt.arises(Instant::now());
        self.doubt.is_founded(self.sink);
        // Seldom, and large.
        let outcome = Box::pin(roll_back(Past::Good, &why, &self.around, self.sink)).await;
        match outcome {
            Triggered::Failed(_) if self.sink.has_good() => {
                // The last good one was refused, as by a port that is not free again yet.
                self.withdrawals = self.withdrawals.saturating_add(1);
                let pause = self.timing.backoff.pause(self.withdrawals, fastrand::f64());
                self.trial = Some(Box::pin(async move {
                    sleep(pause).await;
                    Err(words)
                }));
            }
            _ => self.withdrawals = 0,
        }
    }

    /// Does what somebody wants.
    async fn grant(&mut self, wish: Wish) -> Option<Event> {
        match wish {
            Wish::Rollback(generation, ask) => {
                let past = Past::Generation(generation);
                let outcome = Box::pin(roll_back(past, ROLLED_BACK, &self.around, self.sink)).await;
                if matches!(outcome, Triggered::Published(_)) {
                    self.trial = None;
                    self.around.control.pin(generation);
                    self.doubt.is_gone();
                    self.answer(&Triggered::Failed(PINNED.into()));
                }
                // Whoever asked may have gone.
                drop(ask.send(outcome));
                return None;
            }
            Wish::Event(Event::Trigger(_)) if self.around.control.pinned().is_some() => {
                self.asked.extend(self.around.control.take_asked());
                self.answer(&Triggered::Failed(PINNED.into()));
                return None;
            }
            Wish::Event(Event::Trigger(_)) => {
                self.asked.extend(self.around.control.take_asked());
                self.source.must_load();
            }
            Wish::Event(Event::Resume) => {
                self.source.must_load();
                self.sink.report(&mut |status| {
                    status.is_paused = false;
                    status.pinned = None;
                });
            }
            Wish::Event(Event::Pause) => {
                self.sink.report(&mut |status| status.is_paused = true);
            }
            Wish::Event(_) => {}
        }
        let Wish::Event(event) = wish else { return None };
        Some(event)
    }

    fn answer(&mut self, answer: &Triggered) {
        for ask in self.asked.drain(..) {
            // Whoever asked may have gone.
            drop(ask.send(answer.clone()));
        }
    }
}

/// Looks once: a look that panics or hangs has failed, no more.
async fn look<V, S>(
    source: &mut (impl Follow<V, S> + ?Sized),
    patience: Patience,
    load_timeout: Duration,
) -> ReloadResult<Look<V>, V, S> {
    let look = poll_fn(|cx| {
        // What panicked is dropped, and never polled again.
        catch_unwind(AssertUnwindSafe(|| source.poll_look(cx, patience)))
            .unwrap_or_else(|panic| Poll::Ready(Err(panicked(&*panic))))
    });
    let looked = timeout(load_timeout, look).await;
    source.abandon_look();
    looked.unwrap_or_else(|_| {
        Err(ReloaderError::Other(anyhow::anyhow!(
            "the load was given up on after {load_timeout:?}; a longer load_timeout gives it more"
        )))
    })
}

/// Waits until the value on trial has proved itself, or failed to.
fn proof(trial: &mut Option<Trial>, cx: &mut Context<'_>) -> Poll<Result<(), String>> {
    trial.as_mut().map_or(Poll::Pending, |trial| trial.as_mut().poll(cx))
}

fn panicked<V, S>(panic: &(dyn std::any::Any + Send)) -> ReloaderError<V, S> {
    ReloaderError::Other(anyhow::anyhow!("the loader panicked: {}", words(panic)))
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => pin!(sleep_until(deadline)).await,
        None => std::future::pending().await,
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

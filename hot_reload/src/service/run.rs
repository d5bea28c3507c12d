//! The shell around the loop: waits, looks, publishes, and decides nothing.

use std::{
    fmt::Display,
    marker::PhantomData,
    pin::pin,
    task::{Context, Poll},
};

use tokio::{
    task::yield_now,
    time::{Instant, timeout},
};
use tracing::{Instrument, debug, debug_span, info};

use super::{
    control::{Ask, Control, Wish},
    doubt::Doubt,
    ears::{Ears, Lull, Woken},
    handle::{PINNED, Triggered},
    look::look,
    metrics::Metrics,
    outcome::{Failing, Looked, News, Pace, admit},
    recall::{RolledBack, Surroundings, restore, roll_back},
    record::Trial,
    sink::{Found, Recall, Report, Sink},
    state::{Event, Round, State, Timing, next},
};
use crate::{
    at_once::at_once,
    change::{Origin, Reason},
    error::ReloaderError,
    follow::{Follow, Hint, Look, Patience},
    options::ReloaderOptions,
    panic::drop_guarded,
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
    let name = source.name();
    let metrics = Metrics::of(name.as_ref());
    let _stopped = StopGuard { sink, control, metrics: &metrics };
    if control.is_over() {
        return;
    }
    let limit = options.load_timeout.unwrap_or_else(|| source.load_timeout());
    // What an earlier run has said is over.
    let (is_paused, pinned) = (control.is_paused(), control.pinned());
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
            ..Status::default()
        };
    });
    let name = name.as_deref();
    let _running = control.run();
    let closed = pin!(sink.closed());
    let changed = pin!(control.changed());
    let mut shell = Shell {
        source,
        sink,
        ears: Ears::new(control, closed, changed),
        timing: Timing {
            settle_window: options.settle_window,
            settle_ceiling: options.settle_ceiling,
            backoff: options.backoff,
        },
        around: Surroundings { source: name, limit, control, metrics: &metrics },
        doubt: Doubt::new(options.max_staleness),
        asked: Vec::new(),
        trial: sink.on_trial(),
        withdrawal: None,
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
    debug!(target: "hot_reload::ended", source = name.map(display), "the service ends");
}

/// What carries out what the loop decides.
struct Shell<'a, 'n, V, S, F: ?Sized, K, C> {
    source: &'a mut F,
    sink: &'a K,
    ears: Ears<'a, 'n, C>,
    timing: Timing,
    around: Surroundings<'n>,
    doubt: Doubt,
    /// Who waits for the outcome of the look that is under way, or of the next.
    asked: Vec<Ask>,
    /// What the newest value has yet to prove.
    trial: Option<Trial>,
    /// A bad value that could not be taken back yet.
    withdrawal: Option<Box<Withdrawal>>,
    may_restore: bool,
    _values: PhantomData<fn() -> (V, S)>,
}

/// A bad value to be taken back.
struct Withdrawal {
    /// What its health check has said.
    words: String,
    /// How often it could not be.
    attempts: u32,
    /// When to try again.
    again: Instant,
}

impl Withdrawal {
    fn first(words: String) -> Self {
        Self { words, attempts: 0, again: Instant::now() }
    }
}

impl<V, S, F, K, C> Shell<'_, '_, V, S, F, K, C>
where
    S: Display,
    F: Follow<V, S> + ?Sized,
    K: Sink<V>,
    C: Future<Output = ()>,
{
    /// Looks at the source, and publishes what it finds if that may be.
    async fn load(&mut self, round: Round) -> Event {
        let Surroundings { source: name, control, metrics, .. } = self.around;
        let asked = control.take_asked();
        if !asked.is_empty() {
            self.source.must_load();
            self.asked.extend(asked);
        }
        let begun = Instant::now();
        let patience = if begun < round.ceiling { Patience::Left } else { Patience::Exhausted };
        let origin = Origin::new(round.reason, round.seen(&self.timing));
        self.doubt.arises(origin.seen);
        let found = match self.find(origin, patience).await {
            Ok(found) => found,
            Err(end) => return end,
        };
        let (mechanism, again) = (self.source.mechanism(), self.source.look_again_after());
        let is_refused = found.as_ref().is_err_and(|failing| failing.is_refusal());
        // What was refused is not the source's to pace.
        let pause = if found.is_err() && !is_refused { self.source.pause() } else { None };
        if is_refused || matches!(found, Ok(Found::Bad(_))) {
            // Its identity is known by now, and the next look has to load it all the same.
            self.source.was_refused();
        }
        let has_value = matches!(found, Ok(Found::New(_) | Found::Same));
        let shortfall = if has_value { self.source.shortfall() } else { None };
        let shortfall = shortfall.map(|error| Box::new(Failing::of(&error)));
        let is_good = has_value && shortfall.is_none();
        if !is_good {
            // First, so that whoever hears of the one finds the other.
            self.doubt.show(self.sink);
        }
        let (pace, mut news) = (Pace { again, pause }, News::default());
        let event = news.take(found, shortfall, &mechanism, pace, self.sink).await;
        if news.published.is_some() {
            (self.trial, self.withdrawal) = (news.trial.take(), None);
            metrics.published(origin, || self.source.edited());
        }
        if let Some(outcome) = news.counted() {
            metrics.loaded(outcome, begun.elapsed());
        }
        if !self.asked.is_empty()
            && let Some(answer) = news.answer()
        {
            self.answer(&answer);
        }
        if is_good {
            self.doubt.clear();
        }
        if self.trial.is_none() && news.is_published_and_logged() {
            // Whoever waits for the value has it before it is told of. One on trial is tried first.
            yield_now().await;
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

    /// Looks at the source, and has what it finds pass what it has to pass.
    ///
    /// # Errors
    ///
    /// The end, should it come first.
    async fn find(
        &mut self,
        origin: Origin,
        patience: Patience,
    ) -> Result<Looked<K::Admitted>, Event> {
        let Surroundings { source: name, limit, .. } = self.around;
        let failing = |error| Box::new(Failing::of::<V, S>(&error));
        let refused = |refusal| Box::new(Failing::refused(&refusal));
        let reason = origin.reason.as_str();
        let span = debug_span!("hot_reload.load", source = name, reason);
        let look = async {
            let mut look = look(self.source, patience, limit, &span).await.map_err(failing)?;
            let origin = Origin { is_partial: self.source.is_partial(), ..origin };
            if origin.is_partial && matches!(look, Look::Value(_)) {
                let is_first = std::mem::take(&mut self.may_restore);
                // Large, and seldom needed.
                let partial = unless_better(look, is_first, &self.around, self.sink);
                let lacks = || failing(self.source.shortfall().unwrap_or_else(lacks_a_part));
                look = Box::pin(partial).instrument(span.clone()).await.ok_or_else(lacks)?;
            }
            let admitted = span.in_scope(|| admit(look, origin, self.sink));
            let mut found = admitted.map_err(refused)?;
            if self.sink.has_gate()
                && let Found::New(admitted) = &mut found
            {
                // Large, and seldom needed.
                let passing = Box::pin(self.sink.pass(admitted, limit));
                passing.instrument(span.clone()).await.map_err(refused)?;
            }
            Ok(found)
        };
        let mut look = pin!(look);
        // Most looks wait for nothing.
        if let Some(found) = at_once(look.as_mut()).await {
            return Ok(found);
        }
        if origin.reason == Reason::Event {
            // What waits for nothing is over before anybody could see that there is something.
            self.doubt.show(self.sink);
        }
        loop {
            tokio::select! {
                biased;
                found = &mut look => return Ok(found),
                end = self.ears.interrupt(self.doubt.limit()) => match end {
                    Some(end) => return Err(end),
                    None => self.doubt.tell_staleness(self.sink, name),
                },
            }
        }
    }

    /// Waits for something to happen; `None` where it leaves the loop as it is.
    async fn wait(&mut self, state: State) -> Option<Event> {
        let lull =
            Lull { state, owes_answer: !self.asked.is_empty(), until: self.next_deadline(state) };
        let hints = |cx: &mut Context<'_>| {
            // What nobody is left to take is not looked at.
            if self.sink.is_closed() { Poll::Pending } else { self.source.poll_hint(cx) }
        };
        let woken = self.ears.listen(lull, &mut self.trial, hints).await;
        match woken {
            Woken::Hint(hint) => {
                self.doubt.arises(Instant::now());
                Some(match hint {
                    Hint::Touched => {
                        self.doubt.show(self.sink);
                        Event::Touched
                    }
                    Hint::Due => Event::Due,
                    Hint::Finished => Event::Finished,
                })
            }
            Woken::NoReceivers => Some(Event::NoReceivers),
            Woken::Wish(wish) => self.grant(wish).await,
            Woken::Proof(outcome) => {
                self.trial = None;
                match outcome {
                    Ok(()) => self.sink.acquit(),
                    // Seldom, and large.
                    Err(words) => Box::pin(self.withdraw(Withdrawal::first(words).into())).await,
                }
                None
            }
            Woken::Time => self.is_time(state).await,
        }
    }

    /// Does what it is time for.
    async fn is_time(&mut self, state: State) -> Option<Event> {
        let now = Instant::now();
        if self.doubt.limit().is_some_and(|limit| limit <= now) {
            self.doubt.tell_staleness(self.sink, self.around.source);
        }
        if let Some(withdrawal) = self.withdrawal.take_if(|withdrawal| withdrawal.again <= now) {
            Box::pin(self.withdraw(withdrawal)).await;
        }
        state.deadline().filter(|due| *due <= now).map(|_| Event::Tick)
    }

    fn next_deadline(&self, state: State) -> Option<Instant> {
        let again = self.withdrawal.as_ref().map(|withdrawal| withdrawal.again);
        [state.deadline(), self.doubt.limit(), again].into_iter().flatten().min()
    }

    /// Takes back the newest value, which is bad.
    async fn withdraw(&mut self, mut withdrawal: Box<Withdrawal>) {
        if withdrawal.attempts == 0 {
            self.doubt.clear();
            self.doubt.arises(Instant::now());
            self.doubt.show(self.sink);
        }
        let words = Some(withdrawal.words.as_str());
        let rolled_back = roll_back(Recall::LastGood, words, &self.around, self.sink).await;
        if let RolledBack::Refused(_) = rolled_back {
            // As by a port that is not free again yet.
            withdrawal.attempts = withdrawal.attempts.saturating_add(1);
            let pause = self.timing.backoff.pause(withdrawal.attempts, fastrand::f64());
            withdrawal.again = Instant::now() + pause;
            self.withdrawal = Some(withdrawal);
        }
    }

    /// Does what somebody wants.
    async fn grant(&mut self, wish: Wish) -> Option<Event> {
        let event = match wish {
            Wish::Rollback(generation, ask) => {
                let recall = Recall::Generation(generation);
                let rolled_back = roll_back(recall, None, &self.around, self.sink);
                let rolled_back = Box::pin(rolled_back).await;
                if let RolledBack::To(_) = rolled_back {
                    (self.trial, self.withdrawal) = (None, None);
                    self.around.control.pin(generation);
                    self.doubt.clear();
                    self.answer(&Triggered::Failed(PINNED.into()));
                }
                // Whoever asked may have gone.
                drop(ask.send(rolled_back.answer(generation)));
                return None;
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

/// Returns a look that lacks a part, unless a value from disk serves, or can from now on, that is
/// whole.
async fn unless_better<V, K: Sink<V>>(
    look: Look<V>,
    is_first: bool,
    around: &Surroundings<'_>,
    sink: &K,
) -> Option<Look<V>> {
    if is_first {
        restore(around, sink).await;
    }
    if sink.status().is_restored {
        drop_guarded(look);
        return None;
    }
    Some(look)
}

fn lacks_a_part<V, S>() -> ReloaderError<V, S> {
    ReloaderError::Other(anyhow::anyhow!("a part of the value can't be had"))
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

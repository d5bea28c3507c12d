//! One look, from its beginning to what is told of it.

use std::{fmt::Display, pin::pin, time::Duration};

use tokio::time::Instant;
use tracing::{Instrument, debug_span};

use super::Shell;
use crate::{
    change::{Origin, Reason},
    error::ReloaderError,
    follow::{Follow, Look, Patience},
    panic::Guarded,
    service::{
        beside::{Interruption, Part},
        control::Wish,
        look::{abandon, look},
        outcome::{Failing, Looked, News, Pace, admit},
        recall::{Surroundings, restore},
        sink::{Found, Sink},
        state::{Event, Round},
    },
};

/// A look that is not over.
#[derive(Clone, Copy)]
pub(super) struct UnderWay {
    begun: Instant,
    /// For how long something else came first.
    away: Duration,
    /// What it has come to.
    part: Part,
}

impl<V, S, F, K, C> Shell<'_, '_, V, S, F, K, C>
where
    S: Display,
    F: Follow<V, S> + ?Sized,
    K: Sink<V>,
    C: Future<Output = ()>,
{
    /// Looks at the source, and publishes what it finds if that may be; `None` where something else
    /// came first, and it has yet to be found.
    pub(super) async fn load(&mut self, round: Round) -> Option<Event> {
        let under_way = self.under_way.take().unwrap_or_else(|| self.begin());
        let begun = under_way.begun;
        let patience = if begun < round.ceiling { Patience::Left } else { Patience::Exhausted };
        let origin = Origin::new(round.reason, round.seen(&self.timing));
        self.beside.doubt.arises(origin.seen);
        let found = match self.find(origin, patience, under_way).await {
            Ok(found) => found,
            // Seldom, and large.
            Err(interruption) => return Box::pin(self.give_way(interruption)).await,
        };
        Some(self.conclude(found, origin, begun).await)
    }

    /// Publishes what was found, if that may be, and tells of it.
    async fn conclude(
        &mut self,
        found: Looked<K::Admitted>,
        origin: Origin,
        begun: Instant,
    ) -> Event {
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
        let shortfall = shortfall.map(|error| Box::new(Failing::of(error)));
        let is_good = has_value && shortfall.is_none();
        if !is_good {
            // First, so that whoever hears of the one finds the other.
            self.beside.doubt.show(self.sink);
        }
        let is_new = matches!(found, Ok(Found::New(_)));
        let edited = || if is_new { self.source.edited() } else { None };
        let tally = self.around.metrics.tally(origin, begun, edited);
        let is_asked = !self.asked.is_empty();
        let (pace, mut news) = (Pace { again, pause }, News::new(tally, is_asked));
        let event = news.take(found, shortfall, &mechanism, pace, self.sink).await;
        news.count();
        if is_good {
            self.beside.doubt.clear();
        }
        if news.published.is_some() {
            (self.beside.trial, self.beside.withdrawal) = (news.trial.take(), None);
        }
        if is_asked && let Some(answer) = news.answer() {
            self.answer(&answer);
        }
        news.log(self.around.source, origin.reason);
        if matches!(event, Event::Failed { .. }) && std::mem::take(&mut self.may_restore) {
            // Once in the life of a service, and large.
            self.may_restore = Box::pin(self.restore()).await;
        }
        event
    }

    /// Has the last good value of an earlier run serve; true if that is to be tried again.
    async fn restore(&mut self) -> bool {
        tokio::select! {
            biased;
            () = self.around.control.shutdown() => false,
            () = self.sink.closed() => false,
            again = restore(&self.around, self.sink) => again,
        }
    }

    /// Begins a look.
    fn begin(&mut self) -> UnderWay {
        let asked = self.around.control.take_asked();
        if !asked.is_empty() {
            self.source.must_load();
            self.asked.extend(asked);
        }
        UnderWay { begun: Instant::now(), away: Duration::ZERO, part: Part::Source }
    }

    /// Does what did not wait for the end of a look; `None` where that goes on.
    async fn give_way(&mut self, interruption: Interruption) -> Option<Event> {
        let since = Instant::now();
        let event = match interruption {
            Interruption::End(end) => Some(end),
            Interruption::Withdrawal(withdrawal) => self.withdraw(withdrawal).await,
            Interruption::Rollback(number, ask) => self.grant(Wish::Rollback(number, ask)).await,
        };
        if event.is_some() {
            self.under_way = None;
            abandon(self.source);
        } else if let Some(under_way) = &mut self.under_way {
            under_way.away += since.elapsed();
        }
        event
    }

    /// Looks at the source, and has what it finds pass what it has to pass.
    ///
    /// # Errors
    ///
    /// What did not wait for that.
    async fn find(
        &mut self,
        origin: Origin,
        patience: Patience,
        under_way: UnderWay,
    ) -> Result<Looked<K::Admitted>, Interruption> {
        let Surroundings { source: name, limit, .. } = self.around;
        let failing = |error| Box::new(Failing::of::<V, S>(error));
        let refused = |refusal| Box::new(Failing::refused(&refusal));
        let reason = origin.reason.as_str();
        let span = debug_span!("hot_reload.load", source = name, reason);
        let (to, show) = ((self.sink, name), origin.reason == Reason::Event);
        let looked = if under_way.part == Part::Source {
            let began = under_way.begun + under_way.away;
            let look = pin!(look(self.source, patience, (began, limit), &span));
            match self.beside.until(look, (Part::Source, show), to).await {
                Ok(looked) => looked,
                Err(interruption) => {
                    self.under_way = Some(under_way);
                    return Err(interruption);
                }
            }
        } else {
            // It is held, and a source that gives what is new only would not give it again.
            Ok(Look::Unchanged)
        };
        let mut look = match looked {
            Ok(look) => look,
            Err(error) => return Ok(Err(failing(error))),
        };
        let origin = Origin { is_partial: self.source.is_partial(), ..origin };
        if origin.is_partial && matches!(look, Look::Value(_)) {
            // Large, and seldom needed.
            let better = unless_better(look, &mut self.may_restore, &self.around, self.sink);
            let better = pin!(Box::pin(better).instrument(span.clone()));
            look = match self.beside.until(better, (Part::Gate, show), to).await {
                Ok(Some(look)) => look,
                Ok(None) => {
                    return Ok(Err(failing(self.source.shortfall().unwrap_or_else(lacks_a_part))));
                }
                Err(interruption) => {
                    // What was found is to be found again.
                    self.source.must_load();
                    return Err(interruption);
                }
            };
        }
        let mut found = match span.in_scope(|| admit(look, origin, self.sink)) {
            Ok(found) => found,
            Err(refusal) => return Ok(Err(refused(refusal))),
        };
        if self.sink.has_gate()
            && let Found::New(admitted) = &mut found
        {
            // Large, and seldom needed.
            let passing = pin!(Box::pin(self.sink.pass(admitted, limit)).instrument(span.clone()));
            match self.beside.until(passing, (Part::Gate, show), to).await {
                Ok(Ok(())) => {}
                Ok(Err(refusal)) => return Ok(Err(refused(refusal))),
                Err(interruption) => {
                    self.under_way = Some(UnderWay { part: Part::Gate, ..under_way });
                    return Err(interruption);
                }
            }
        }
        Ok(Ok(found))
    }
}

/// Returns a look that lacks a part, unless a value from disk serves, or can from now on, that is
/// whole.
async fn unless_better<V, K: Sink<V>>(
    look: Look<V>,
    may_restore: &mut bool,
    around: &Surroundings<'_>,
    sink: &K,
) -> Option<Look<V>> {
    let look = Guarded::new(look);
    if *may_restore {
        *may_restore = restore(around, sink).await;
    }
    (!sink.status().is_restored).then(|| look.into_inner())
}

fn lacks_a_part<V, S>() -> ReloaderError<V, S> {
    ReloaderError::Other(anyhow::anyhow!("a part of the value can't be had"))
}

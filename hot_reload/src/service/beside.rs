//! What is attended to while a look waits.

use std::{future::poll_fn, pin::Pin};

use tokio::{task::unconstrained, time::Instant};

use super::{
    control::{Ask, Wish},
    doubt::Doubt,
    ears::{Ears, Woken, proof},
    metrics::Metrics,
    recall::{PROBATION, not_kept},
    record::Trial,
    sink::{Report, Sink},
    state::Event,
};
use crate::{at_once::at_once, status::Status};

/// What a loop attends to beside its source.
pub(super) struct Beside<'a, 'n, C> {
    pub(super) ears: Ears<'a, 'n, C>,
    pub(super) doubt: Doubt,
    /// What the newest value has yet to prove.
    pub(super) trial: Option<Trial>,
    /// A bad value that could not be taken back yet.
    pub(super) withdrawal: Option<Box<Withdrawal>>,
    pub(super) metrics: &'n Metrics,
}

/// A bad value to be taken back.
pub(super) struct Withdrawal {
    /// What its health check has said.
    pub(super) words: String,
    /// How often it could not be.
    pub(super) attempts: u32,
    /// When to try again.
    pub(super) again: Instant,
}

/// What does not wait for the end of a look.
pub(super) enum Interruption {
    End(Event),
    /// To publish this generation anew.
    Rollback(u64, Ask),
    /// The newest value is bad.
    Withdrawal(Box<Withdrawal>),
}

/// A part of a look that may have to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Its source has it, and goes on with it once it is polled again.
    Source,
    /// What it found is passing the gate, and passes it from the start if it is interrupted: not at
    /// each time that a value can't be taken back, or a slow gate would let none through.
    Gate,
}

impl<C: Future<Output = ()>> Beside<'_, '_, C> {
    /// Drives a part of a look, and has the status `show` that there is one if it has to wait.
    ///
    /// # Errors
    ///
    /// What comes first.
    pub(super) async fn until<V, K: Sink<V>, R>(
        &mut self,
        mut look: Pin<&mut impl Future<Output = R>>,
        (part, show): (Part, bool),
        (sink, source): (&K, Option<&str>),
    ) -> Result<R, Interruption> {
        // Most wait for nothing, and are over before anybody could see that there is something.
        if let Some(found) = at_once(look.as_mut()).await {
            return Ok(found);
        }
        // Large.
        Box::pin(self.attend(look, (part, show), (sink, source))).await
    }

    /// Attends to all else while a part of a look waits.
    async fn attend<V, K: Sink<V>, R>(
        &mut self,
        mut look: Pin<&mut impl Future<Output = R>>,
        (part, show): (Part, bool),
        (sink, source): (&K, Option<&str>),
    ) -> Result<R, Interruption> {
        if show {
            self.doubt.show(sink);
        }
        self.metrics.state(|| sink.status());
        loop {
            let again = self.again().filter(|_| part == Part::Source);
            let time = [self.doubt.limit(), again].into_iter().flatten().min();
            let woken = tokio::select! {
                biased;
                // First, since a load that is ever busy leaves nothing of the task's budget
                // (`tokio::task::coop`), while a check that is has its window.
                outcome = poll_fn(|cx| proof(&mut self.trial, cx)) => Woken::Proof(outcome),
                found = &mut look => return Ok(found),
                woken = unconstrained(self.ears.overhear(time)) => woken,
            };
            let bad = match woken {
                Woken::NoReceivers => return Err(Interruption::End(Event::NoReceivers)),
                Woken::Wish(Wish::Event(end)) => return Err(Interruption::End(end)),
                Woken::Wish(Wish::Rollback(generation, ask)) => {
                    if sink.keeps(generation) {
                        return Err(Interruption::Rollback(generation, ask));
                    }
                    // Whoever asked may have gone.
                    drop(ask.send(not_kept(generation, source)));
                    None
                }
                // How the source is, the look will tell.
                Woken::Proof(outcome) => self.judge(outcome, sink).err(),
                Woken::Time => {
                    self.tell_staleness(sink, source);
                    if part == Part::Source { self.take_due() } else { None }
                }
                // Whoever looks already is given none.
                Woken::Hint(_) => None,
            };
            if let Some(bad) = bad {
                return Err(Interruption::Withdrawal(bad));
            }
        }
    }

    /// Does what the outcome of the trial calls for; true if a value is good that was found bad before.
    ///
    /// # Errors
    ///
    /// Where it is bad.
    pub(super) fn judge<V>(
        &mut self,
        outcome: Result<(), String>,
        sink: &impl Sink<V>,
    ) -> Result<bool, Box<Withdrawal>> {
        self.trial = None;
        match outcome {
            Ok(()) => Ok(sink.acquit()),
            Err(words) => Err(Box::new(Withdrawal { words, attempts: 0, again: Instant::now() })),
        }
    }

    /// Takes note that the newest value is good, which was bad when the source was last looked at.
    pub(super) fn rehabilitate(&mut self, sink: &impl Report) {
        if sink.status().refused_by.as_deref() == Some(PROBATION) {
            self.doubt.clear();
            sink.report(&mut Status::set_good);
        }
    }

    /// When the bad value is to be taken back that could not be yet.
    pub(super) fn again(&self) -> Option<Instant> {
        self.withdrawal.as_ref().map(|withdrawal| withdrawal.again)
    }

    /// Takes it, if it is time.
    pub(super) fn take_due(&mut self) -> Option<Box<Withdrawal>> {
        let now = Instant::now();
        self.withdrawal.take_if(|withdrawal| withdrawal.again <= now)
    }

    /// Says that the newest value is stale, if it is time.
    pub(super) fn tell_staleness(&mut self, sink: &impl Report, source: Option<&str>) {
        if self.doubt.limit().is_some_and(|limit| limit <= Instant::now()) {
            self.doubt.tell_staleness(sink, source);
            // What is waited for may take long yet.
            self.metrics.state(|| sink.status());
        }
    }
}

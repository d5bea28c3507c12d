//! What a look comes to: whether its value may be published, what the status says, what is logged.

use std::{fmt::Display, sync::Arc, time::Duration};

use tokio::time::Instant;
use tracing::{field::display, info, warn};

use super::{
    gate::Refusal,
    handle::Triggered,
    metrics::{Outcome, Tally},
    recall::PROBATION,
    record::Trial,
    sink::{Failure, Found, Sink, Standing},
    state::Event,
};
use crate::{
    change::{Origin, Reason},
    error::ReloaderError,
    follow::{Look, Mechanism},
    panic::{Guarded, caught},
    redact::{for_log, mask},
    status::{Health, Location, Problem, Status},
};

/// Tells whether what was found may be published, once it has passed what it has to pass.
pub(super) fn admit<V, K: Sink<V>>(
    look: Look<V>,
    origin: Origin,
    sink: &K,
) -> Result<Found<K::Admitted>, Refusal> {
    let value = match look {
        Look::Unsettled(retry) => return Ok(Found::Unsettled(retry)),
        Look::Unchanged => match sink.standing()? {
            Standing::Serves => return Ok(Found::Same),
            Standing::Bad(why) => return Ok(Found::Bad(why)),
            // A source that gives what is new only gives it once.
            Standing::Held(held) => held,
        },
        Look::Value(value) => value,
    };
    sink.admit(value, origin)
}

/// How a service is whose source holds a value that was found bad.
pub(super) fn bad_health<V>(sink: &impl Sink<V>) -> Health {
    // Where there is nothing to go back to, it is the bad value that serves.
    if sink.serves_bad() { Health::Retrying } else { Health::RolledBack }
}

/// When the source wants to be looked at next.
pub(super) struct Pace {
    /// After this long at the latest.
    pub(super) again: Option<Duration>,
    /// After exactly this long, if the look has failed.
    pub(super) pause: Option<Duration>,
}

/// What came of a look; what hardly ever comes is boxed, since it is passed on at every edit.
pub(super) type Looked<A> = Result<Found<A>, Box<Failing>>;

/// An error as it is told.
#[derive(Clone)]
pub(super) struct Failing {
    problem: Problem,
    is_missing: bool,
}

impl Failing {
    #[cold]
    pub(super) fn of<V, S: Display>(error: ReloaderError<V, S>) -> Self {
        let error = Guarded::new(error);
        // A user's `Display` that panics has told nothing.
        let told = caught(|| (error.words(), for_log(&error)));
        let (words, masked) = told.unwrap_or_else(|words| {
            let words = format!("the load has failed, and can't say why: {words}");
            (words.clone(), mask(&words))
        });
        let (words, masked, at) = (words.into(), masked.into(), location(&error));
        Self {
            problem: Problem { words, masked, at, refused_by: None },
            is_missing: is_missing(&error),
        }
    }

    #[cold]
    pub(super) fn refused(refusal: &Refusal) -> Self {
        let (words, refused_by) = (refusal.to_string(), Some(Arc::clone(&refusal.by)));
        let masked = mask(&words).into();
        Self {
            problem: Problem { words: words.into(), masked, at: None, refused_by },
            is_missing: false,
        }
    }

    /// Whether it is the gate that has failed it, and not the source.
    pub(super) fn is_refusal(&self) -> bool {
        self.problem.refused_by.is_some()
    }
}

/// What a look has changed that somebody waits for, or that is worth a line in the log.
#[derive(Default)]
pub(super) struct News<'a> {
    /// What came of the look, if it came to anything.
    outcome: Option<Outcome>,
    /// There until the look is counted.
    tally: Option<Tally<'a>>,
    /// Whether somebody waits for what is told of it, who comes first.
    is_asked: bool,
    /// Why it came to nothing good.
    words: Option<Arc<str>>,
    /// What the new value has to prove.
    pub(super) trial: Option<Trial>,
    degraded: Option<String>,
    has_events_again: bool,
    failed: Option<Box<Failing>>,
    had_value: bool,
    failures_over: u32,
    pub(super) published: Option<u64>,
}

impl<'a> News<'a> {
    /// Those of a look that is measured by `tally`.
    pub(super) fn new(tally: Tally<'a>, is_asked: bool) -> Self {
        Self { tally: Some(tally), is_asked, ..Self::default() }
    }

    /// Publishes what was found, and puts it into the status, together with what it falls short of.
    ///
    /// Whoever waits for a value has it before anything else is done for it, unless there is more to tell than after
    /// most edits.
    pub(super) async fn take<V, K: Sink<V>>(
        &mut self,
        found: Looked<K::Admitted>,
        shortfall: Option<Box<Failing>>,
        mechanism: &Mechanism,
        Pace { again: look_again, pause }: Pace,
        sink: &K,
    ) -> Event {
        // The status is changed under locks that a subscriber may take as well, so what there is to
        // say is said after.
        let event = match found {
            Ok(Found::New(admitted)) => {
                let mut has_value = |status: &mut Status, is_new: bool| {
                    self.note_value(status, is_new, mechanism, shortfall.as_deref());
                    self.is_but_a_value()
                };
                let trial = sink.publish(admitted, &mut has_value).await;
                self.trial = trial;
                Event::Loaded { look_again }
            }
            Ok(Found::Same) => {
                sink.report(&mut |status| {
                    self.note_value(status, false, mechanism, shortfall.as_deref());
                });
                // Whoever has asked is not told that all is as it was.
                self.words = shortfall.map(|failing| failing.problem.words);
                Event::Loaded { look_again }
            }
            Ok(Found::Unsettled(retry)) => Event::Unsettled { retry },
            Ok(Found::Bad(why)) => {
                let health = bad_health(sink);
                sink.report(&mut |status| {
                    self.note(status, mechanism);
                    status.worsen(health);
                    let (words, masked) = (Arc::clone(&why), mask(&why).into());
                    let refused_by = Some(PROBATION.into());
                    status.set_problem(Some(Problem { words, masked, at: None, refused_by }));
                    status.failures = 0;
                });
                self.words = Some(why);
                self.end_in(Outcome::Refused, Instant::now());
                Event::Loaded { look_again }
            }
            Err(failing) => {
                sink.report(&mut |status| {
                    self.note(status, mechanism);
                    self.fails(status, &failing);
                });
                self.words = Some(Arc::clone(&failing.problem.words));
                let is_refusal = failing.is_refusal();
                let outcome = if is_refusal { Outcome::Refused } else { Outcome::Failed };
                self.end_in(outcome, Instant::now());
                Event::Failed { luck: fastrand::u16(0..=1000), look_again, pause }
            }
        };
        if let Some(failing) = &self.failed {
            let words = Arc::clone(&failing.problem.words);
            sink.failed(Failure { words, is_missing: failing.is_missing }).await;
        }
        event
    }

    /// Puts into the status that there is a value, which may fall short of something.
    fn note_value(
        &mut self,
        status: &mut Status,
        is_new: bool,
        mechanism: &Mechanism,
        shortfall: Option<&Failing>,
    ) {
        self.note(status, mechanism);
        let now = Instant::now();
        self.end_in(if is_new { Outcome::Published } else { Outcome::Unchanged }, now);
        self.published = is_new.then_some(status.generation);
        status.is_restored = false;
        status.last_load = Some(now);
        if let Some(failing) = shortfall {
            return self.fails(status, failing);
        }
        self.failures_over = std::mem::take(&mut status.failures);
        status.set_good();
    }

    fn fails(&mut self, status: &mut Status, failing: &Failing) {
        self.had_value = status.generation > 0;
        // Said once, not at every retry.
        if status.last_error.as_ref() != Some(&failing.problem.words) {
            self.failed = Some(Box::new(failing.clone()));
        }
        status.worsen(Health::Retrying);
        status.failures = status.failures.saturating_add(1);
        status.set_problem(Some(failing.problem.clone()));
    }

    /// Puts into the status how changes are noticed.
    fn note(&mut self, status: &mut Status, mechanism: &Mechanism) {
        if status.mechanism.as_ref() == Some(mechanism) {
            return;
        }
        if let Mechanism::Degraded(reason) = mechanism {
            self.degraded = Some(mask(reason));
        } else if matches!(status.mechanism, Some(Mechanism::Degraded(_))) {
            self.has_events_again = true;
        }
        status.mechanism = Some(mechanism.clone());
    }

    /// Takes note of what has come of the look.
    fn end_in(&mut self, outcome: Outcome, now: Instant) {
        self.outcome = Some(outcome);
        if let Some(tally) = &mut self.tally {
            tally.end_in(outcome, now);
        }
    }

    /// Counts the look.
    pub(super) fn count(&mut self) {
        self.tally = None;
    }

    /// What is told whoever has asked for the look.
    pub(super) fn answer(&self) -> Option<Triggered> {
        match (self.outcome?, &self.words, self.published) {
            (_, Some(words), _) => Some(Triggered::Failed(Arc::clone(words))),
            (_, None, Some(generation)) => Some(Triggered::Published(generation)),
            (_, None, None) => Some(Triggered::Unchanged),
        }
    }

    /// Whether there is a new value, and no more to tell than after most edits.
    fn is_but_a_value(&self) -> bool {
        let is_first = self.published == Some(1);
        let is_other = self.degraded.is_some() || self.has_events_again || self.failed.is_some();
        let is_plain = !is_first && !is_other && !self.is_asked;
        self.published.is_some() && is_plain && self.failures_over == 0
    }

    pub(super) fn log(self, source: Option<&str>, reason: Reason) {
        let source = source.map(display);
        if let Some(why) = self.degraded {
            warn!(target: "hot_reload::degraded", source, error = %why, "polling in place of events");
        }
        if self.has_events_again {
            info!(target: "hot_reload::has_events", source, "events are to be had again");
        }
        if let Some(failing) = self.failed {
            let why = failing.problem.masked;
            if self.had_value {
                warn!(target: "hot_reload::failed", source, error = %why, "the last good value keeps serving");
            } else {
                warn!(target: "hot_reload::failed", source, error = %why, "there is no value yet");
            }
        }
        if self.failures_over > 0 {
            info!(target: "hot_reload::recovered", source, failures = self.failures_over, "the source is good again");
        }
        if let Some(generation) = self.published {
            info!(target: "hot_reload::published", source, generation, reason = reason.as_str(), "published");
        }
    }
}

/// Where in the source an error is.
#[cfg(feature = "file-reloader")]
fn location<V, S>(error: &ReloaderError<V, S>) -> Option<Location> {
    let error = error.file_error()?;
    let source = error.path().display().to_string().into();
    Some(Location { source, line: error.line(), column: error.column() })
}

#[cfg(not(feature = "file-reloader"))]
fn location<V, S>(_error: &ReloaderError<V, S>) -> Option<Location> {
    None
}

#[cfg(feature = "file-reloader")]
fn is_missing<V, S>(error: &ReloaderError<V, S>) -> bool {
    error.file_error().is_some_and(crate::file_reloader::FileError::is_missing)
}

#[cfg(not(feature = "file-reloader"))]
fn is_missing<V, S>(_error: &ReloaderError<V, S>) -> bool {
    false
}

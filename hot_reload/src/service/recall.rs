//! Values that were published before, published anew.

use std::{pin::pin, sync::Arc, time::Duration};

use tokio::time::Instant;
use tracing::warn;

use super::{
    beside::Beside,
    control::Control,
    gate::Refusal,
    handle::Triggered,
    metrics::Metrics,
    outcome::bad_health,
    sink::{NotRestored, Recall, Sink},
    state::Event,
};
use crate::{
    change::{Origin, Reason},
    redact::mask,
    status::{Health, Problem, Status},
};

/// What a running loop has to do with beside its source and its sink.
#[derive(Clone, Copy)]
pub(super) struct Surroundings<'a> {
    pub(super) source: Option<&'a str>,
    /// How long a load, or a step of the gate, may take.
    pub(super) limit: Duration,
    pub(super) control: &'a Control,
    pub(super) metrics: &'a Metrics,
}

/// Publishes the last good value of an earlier run, where nothing is published yet; true if that was not
/// to be had for now, and is worth another try.
pub(super) async fn restore<V, K: Sink<V>>(around: &Surroundings<'_>, sink: &K) -> bool {
    let Surroundings { source, limit, metrics, .. } = *around;
    let begun = Instant::now();
    if sink.status().generation > 0 {
        return false;
    }
    let error = match sink.restore(limit).await {
        Ok(None) => return false,
        Ok(Some(admitted)) => {
            let mut change = |status: &mut Status, _is_new: bool| {
                status.is_restored = true;
                false
            };
            sink.publish(admitted, &mut change).await;
            metrics.published(Origin::new(Reason::Restored, begun));
            warn!(target: "hot_reload::restored", source = source.map(display), "the last good value of an earlier run serves");
            return false;
        }
        Err(error) => error,
    };
    match error {
        NotRestored::NoThread(words) => {
            let error = mask(&words);
            warn!(target: "hot_reload::not_restored", source = source.map(display), %error, "the last good value on disk can't be read yet");
            true
        }
        NotRestored::Refused(refusal) => {
            let error = mask(&refusal.to_string());
            warn!(target: "hot_reload::not_restored", source = source.map(display), %error, "ignoring the last good value on disk");
            false
        }
    }
}

/// Says that a generation can't be had again.
pub(super) fn not_kept(generation: u64, source: Option<&str>) -> Triggered {
    let words = format!("generation {generation} is not kept; the history has those that are");
    warn!(target: "hot_reload::not_rolled_back", source = source.map(display), error = words, "can't roll back");
    Triggered::Failed(words.into())
}

/// What came of a roll-back.
pub(super) enum RolledBack {
    /// The value serves again, as this generation.
    To(u64),
    /// There is no such value.
    NotKept,
    Refused(Refusal),
    /// The service came to its end first.
    Ended(Event),
}

impl RolledBack {
    /// What is told whoever has asked for it.
    pub(super) fn answer(&self) -> Triggered {
        match self {
            Self::To(generation) => Triggered::Published(*generation),
            Self::NotKept => Triggered::Failed(NONE_KEPT.into()),
            Self::Refused(refusal) => Triggered::Failed(refusal.to_string().into()),
            Self::Ended(_) => Triggered::Stopped,
        }
    }
}

/// Publishes a value of the past anew, because a health check has failed with these words or
/// because somebody wants it.
pub(super) async fn roll_back<V, K: Sink<V>>(
    recall: Recall,
    failed_check: Option<&str>,
    around: &Surroundings<'_>,
    sink: &K,
    beside: &mut Beside<'_, '_, impl Future<Output = ()>>,
) -> RolledBack {
    let Surroundings { source, limit, control, metrics } = *around;
    let begun = Instant::now();
    let problem = failed_check.map(|words| {
        let words = format!("refused by {PROBATION}: {words}");
        let (masked, refused_by) = (mask(&words).into(), Some(PROBATION.into()));
        Problem { words: words.into(), masked, at: None, refused_by }
    });
    let why = problem.as_ref().map_or("rolled back".into(), |problem| Arc::clone(&problem.words));
    let mut recalling = pin!(sink.recall(recall, &why, limit));
    let recalled = loop {
        // A turn is waited for however long it takes.
        tokio::select! {
            biased;
            end = beside.ears.interrupt(beside.doubt.limit()) => match end {
                Some(end) => return RolledBack::Ended(end),
                None => beside.tell_staleness(sink, source),
            },
            recalled = &mut recalling => break recalled,
        }
    };
    let probation = failed_check.map(mask);
    let (admitted, to) = match recalled {
        Ok(Some(found)) => found,
        refused => {
            let error = match &refused {
                Err(refusal) => mask(&refusal.to_string()),
                Ok(_) => NONE_KEPT.to_owned(),
            };
            warn!(target: "hot_reload::not_rolled_back", source = source.map(display), error, probation, "can't roll back");
            if problem.is_some() {
                let health = bad_health(sink);
                sink.report(&mut |status| {
                    status.worsen(health);
                    status.set_problem(problem.clone());
                    status.probation_until = None;
                });
            }
            return refused.map_or_else(RolledBack::Refused, |_| RolledBack::NotKept);
        }
    };
    let mut generation = 0;
    let mut change = |status: &mut Status, _is_new: bool| {
        generation = status.generation;
        if let Recall::Generation(generation) = recall {
            status.health = Health::RolledBack;
            // Whoever sees that it is may let go of it at once.
            control.pin(generation);
            (status.pinned, status.is_paused) = (Some(generation), true);
            status.unapplied_since = None;
            status.failures = 0;
        } else {
            // The source is no better than it was.
            status.worsen(Health::RolledBack);
        }
        status.set_problem(problem.clone());
        false
    };
    sink.publish(admitted, &mut change).await;
    // As whoever asked knows it, who may know it by an earlier number.
    let to = if let Recall::Generation(number) = recall { number } else { to };
    metrics.published(Origin::new(Reason::Rollback, begun));
    warn!(target: "hot_reload::rolled_back", source = source.map(display), generation, to, probation, "an earlier value serves again");
    RolledBack::To(generation)
}

const NONE_KEPT: &str = "nothing is kept to go back to";

/// What a service calls the check of a value that serves already.
pub(super) const PROBATION: &str = "probation";

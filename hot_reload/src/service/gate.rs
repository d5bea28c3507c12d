//! What a value has to pass before it is published.

use std::{
    fmt::{self, Display},
    pin::Pin,
    sync::{self, Arc},
    time::Duration,
};

use tokio::{
    sync::{Mutex, OwnedMutexGuard},
    task::spawn_blocking,
    time::{Instant, timeout},
};
use tracing::{debug, error};

use crate::{
    channel::Snapshot,
    lock::lock,
    panic::{Guarded, caught, words},
    redact::mask,
};

/// A value on its way to be published, and the one that it would take the place of.
#[derive(Debug)]
#[non_exhaustive]
pub struct Candidate<V> {
    /// What was loaded; its generation is the one that it gets if it passes.
    pub new: Snapshot<V>,
    /// What serves now; `None` before the first.
    pub current: Option<Snapshot<V>>,
}

impl<V> Clone for Candidate<V> {
    fn clone(&self) -> Self {
        Self { new: self.new.clone(), current: self.current.clone() }
    }
}

/// What makes a prepared change effective; dropping it undoes what was prepared.
pub(crate) type Commit = Box<dyn FnOnce() + Send>;

/// What comes of one step.
type Passed = Result<Option<Commit>, String>;

/// One step on the way to publication.
struct Step<V> {
    name: Arc<str>,
    /// It may take that long.
    check: Box<dyn Fn(Candidate<V>, Duration) -> Checking + Send + Sync>,
}

type Checking = Pin<Box<dyn Future<Output = Passed> + Send>>;

/// The steps that a value has to pass, in the order in which they were added.
pub(crate) struct Gate<V> {
    /// What a value holds from its first step until it is published or refused.
    turns: Vec<Arc<Mutex<()>>>,
    steps: Vec<Step<V>>,
}

impl<V> Default for Gate<V> {
    fn default() -> Self {
        Self { turns: Vec::new(), steps: Vec::new() }
    }
}

impl<V> Gate<V> {
    /// Has each value wait for this one's turn, however long that takes.
    pub(super) fn in_turn(&mut self, turn: Arc<Mutex<()>>) {
        self.turns.push(turn);
    }

    /// Adds a check that may block.
    pub(super) fn validate<E>(
        &mut self,
        check: impl Fn(&V, Option<&V>) -> Result<(), E> + Send + Sync + 'static,
    ) where
        V: Send + Sync + 'static,
        E: Display,
    {
        let check = Arc::new(check);
        let single = Arc::new(Single::default());
        self.steps.push(Step {
            name: VALIDATION.into(),
            check: Box::new(move |candidate, limit| {
                let (check, single) = (Arc::clone(&check), Arc::clone(&single));
                Box::pin(async move {
                    let at_work = single.begin(limit).await?;
                    let checked = spawn_blocking(move || {
                        let _at_work = at_work;
                        let current = candidate.current.as_deref();
                        check(&candidate.new, current).map_err(|refusal| refusal.to_string())
                    });
                    match checked.await {
                        Ok(checked) => checked.map(|()| None),
                        Err(error) => Err(match error.try_into_panic() {
                            Ok(panic) => format!("it panicked: {}", words(&*panic)),
                            Err(_) => "the runtime is shutting down".to_owned(),
                        }),
                    }
                })
            }),
        });
    }

    /// Adds a part of the program that prepares for each value before any takes it.
    pub(super) fn prepare<C, E, F>(
        &mut self,
        name: Arc<str>,
        prepare: impl Fn(Candidate<V>) -> F + Send + Sync + 'static,
    ) where
        F: Future<Output = Result<C, E>> + Send + 'static,
        C: FnOnce() + Send + 'static,
        E: Display,
    {
        self.steps.push(Step {
            name,
            check: Box::new(move |candidate, _| {
                // Called here, so that what it does before its first await is guarded as well.
                let preparing = prepare(candidate);
                Box::pin(async move {
                    let prepared = preparing.await.map_err(|error| error.to_string())?;
                    Ok(Some(Box::new(prepared) as Commit))
                })
            }),
        });
    }

    /// Whether there is nothing to pass, and nothing to wait for.
    pub(super) fn is_open(&self) -> bool {
        self.steps.is_empty() && self.turns.is_empty()
    }

    /// Has `candidate` pass every step; what was prepared is undone by dropping what is returned.
    pub(super) async fn pass(
        &self,
        candidate: &Candidate<V>,
        limit: Duration,
    ) -> Result<Prepared, Refusal> {
        let mut prepared = Prepared::default();
        for turn in &self.turns {
            let has_turn = if let Ok(at_once) = Arc::clone(turn).try_lock_owned() {
                at_once
            } else {
                let generation = candidate.new.generation();
                debug!(target: "hot_reload::waits", generation, "it waits for its turn");
                Arc::clone(turn).lock_owned().await
            };
            prepared.turns.0.push(has_turn);
        }
        for step in &self.steps {
            let outcome = guarded(|| (step.check)(candidate.clone(), limit), limit).await;
            let commit = outcome.map_err(|words| Refusal { by: Arc::clone(&step.name), words })?;
            prepared.commits.extend(commit.map(|commit| (Arc::clone(&step.name), commit)));
        }
        Ok(prepared)
    }
}

/// Lets checks that block in one at a time: one that nobody waits for any more runs on.
#[derive(Default)]
struct Single {
    at_work: Arc<Mutex<()>>,
    since: sync::Mutex<Option<Instant>>,
}

impl Single {
    /// Begins once the one before has ended, unless that has taken longer than it may.
    async fn begin(&self, limit: Duration) -> Result<OwnedMutexGuard<()>, String> {
        let taken = lock(&self.since).map_or(Duration::ZERO, |since| since.elapsed());
        let ended = Arc::clone(&self.at_work).lock_owned();
        let hangs = |_| "it still hangs on an earlier value".to_owned();
        let at_work = timeout(limit.saturating_sub(taken), ended).await.map_err(hangs)?;
        *lock(&self.since) = Some(Instant::now());
        Ok(at_work)
    }
}

/// What a service calls its own validation.
const VALIDATION: &str = "validation";

/// Runs a step that may panic or hang.
async fn guarded(step: impl FnOnce() -> Checking, limit: Duration) -> Passed {
    let checked = Guarded::new(caught(step)?);
    let late = |_| Err(format!("it did not answer within {limit:?}"));
    timeout(limit, checked).await.unwrap_or_else(late)?
}

/// What the steps have prepared; dropping it undoes that, the last first, and then lets others have
/// their turn.
#[derive(Default)]
pub(crate) struct Prepared {
    commits: Vec<(Arc<str>, Commit)>,
    turns: Turns,
}

/// That nobody else has a turn.
#[derive(Default)]
#[must_use]
pub(super) struct Turns(Vec<OwnedMutexGuard<()>>);

impl Prepared {
    /// Makes all of it effective, and returns what keeps others waiting. One that panics keeps no
    /// other from it.
    pub(super) fn commit(mut self) -> Turns {
        for (name, commit) in std::mem::take(&mut self.commits) {
            if let Err(words) = caught(commit) {
                error!(target: "hot_reload::panicked", part = %name, panic = mask(&words), "a commit panicked");
            }
        }
        std::mem::take(&mut self.turns)
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        while let Some((name, undone)) = self.commits.pop() {
            if let Err(words) = caught(|| drop(undone)) {
                error!(target: "hot_reload::panicked", part = %name, panic = mask(&words), "undoing panicked");
            }
        }
    }
}

/// Which step refused a value, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) by: Arc<str>,
    pub(crate) words: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "refused by {}: {}", self.by, self.words)
    }
}

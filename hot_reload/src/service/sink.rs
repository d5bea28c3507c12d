//! Where a running loop puts what it found.

use std::{
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::{Instant, timeout};

use super::{
    control::Control,
    gate::{Candidate, Gate, Prepared, Refusal},
    record::{Record, Trial},
};
use crate::{
    change::{Origin, Reason},
    channel::{ReloaderSender, Snapshot},
    lock::lock,
    panic::{caught, drop_guarded},
    status::Status,
};

/// Takes note of how the service is doing.
pub(crate) trait Report {
    fn report(&self, change: &mut dyn FnMut(&mut Status));

    /// What it says of itself now.
    fn status(&self) -> Status;
}

/// Why the source could not be loaded.
#[cfg(feature = "file-reloader")]
pub(crate) struct Failure {
    pub(crate) words: Arc<str>,
    /// There is nothing to load, rather than something bad.
    pub(crate) is_missing: bool,
}

/// What publishing does to the status.
pub(crate) type OnPublish<'a> = &'a mut (dyn FnMut(&mut Status, bool) + Send);

/// Whether a value may be published.
pub(crate) enum Admission<A> {
    /// It may.
    New(A),
    /// It serves already.
    Same,
    /// It was tried, and taken back for this reason.
    Bad(Arc<str>),
}

/// A value of the past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Past {
    Generation(u64),
    /// The last that proved itself, in the place of the one on trial, which is bad.
    Good,
}

/// Takes the values.
pub(crate) trait Sink<V>: Report {
    /// A value that may be published.
    type Admitted;

    /// Resolves once nobody is left to take anything.
    fn closed(&self) -> impl Future<Output = ()>;

    /// Has `value` pass whatever it has to pass first; each step may take as long as `limit`.
    fn admit(
        &self,
        value: V,
        origin: Origin,
        limit: Duration,
    ) -> impl Future<Output = Result<Admission<Self::Admitted>, Refusal>>;

    /// Has a value of the past pass it.
    fn recall(
        &self,
        past: Past,
        why: &Arc<str>,
        limit: Duration,
    ) -> impl Future<Output = Result<Self::Admitted, Refusal>>;

    /// Has the last good value of an earlier run pass it, if there is one.
    fn restore(
        &self,
        limit: Duration,
    ) -> impl Future<Output = Result<Option<Self::Admitted>, Refusal>>;

    /// Passes a value on, together with a change of the status, which is told whether there is a new
    /// generation; returns what that has to prove.
    fn publish(
        &self,
        admitted: Self::Admitted,
        change: OnPublish<'_>,
    ) -> impl Future<Output = Option<Trial>>;

    /// What the newest value has yet to prove, where an earlier run has not seen the end of it.
    fn on_trial(&self) -> Option<Trial>;

    /// What the source holds, where that is not what serves.
    fn held(&self) -> Option<V>;

    /// Whether there is a value to go back to.
    fn has_good(&self) -> bool;

    /// Whether what serves was found bad.
    fn serves_bad(&self) -> bool;

    /// Waits until what is kept for a later run is on disk.
    fn flush(&self) -> impl Future<Output = ()>;

    /// Why the source's value is one that was taken back, if it is.
    fn taken_back(&self) -> Option<Arc<str>>;

    /// Takes note that the newest value has proved itself.
    fn is_good(&self);

    /// Passes on that the source could not be loaded.
    #[cfg(feature = "file-reloader")]
    fn failed(&self, failure: Failure) -> impl Future<Output = ()>;
}

/// Publishes to the receivers of a service.
pub(crate) struct Publish<'a, V> {
    pub(crate) sender: &'a ReloaderSender<V>,
    pub(crate) gate: &'a Gate<V>,
    /// `None` where nothing is kept, and nothing on probation.
    pub(crate) record: Option<&'a Record<V>>,
    pub(crate) control: &'a Control,
    pub(crate) keeper: Option<&'a dyn Keeper<V>>,
    /// What the source holds, where that is not what serves.
    pub(crate) held: &'a Mutex<Option<Snapshot<V>>>,
    /// Publishes a value that equals the last as well.
    pub(crate) force: bool,
}

/// A value that passed, what was prepared for it, and where it is from.
pub(crate) struct Admitted<V> {
    value: Snapshot<V>,
    prepared: Prepared,
    home: Home,
}

/// Where a value is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Home {
    Source,
    /// It served before, and somebody wants it back.
    History,
    /// It is the last good one, in the place of one that is bad.
    Good,
    /// It served in an earlier run.
    Disk,
}

impl<V: Eq> Publish<'_, V> {
    fn hold(&self, held: Option<Snapshot<V>>) {
        let was = std::mem::replace(&mut *lock(self.held), held);
        drop_guarded(was);
    }

    /// The value that is not tried again, and why.
    fn bad(&self) -> Option<(Snapshot<V>, Arc<str>)> {
        self.record?.bad()
    }

    async fn pass(
        &self,
        value: V,
        origin: Origin,
        limit: Duration,
    ) -> Result<(Snapshot<V>, Prepared), Refusal> {
        let value = self.sender.candidate(value, origin);
        let candidate = Candidate { new: value.clone(), current: self.sender.current() };
        // Large, and nothing where there is no gate.
        let prepared = match &self.gate {
            gate if gate.is_open() => Prepared::default(),
            gate => {
                let passed = Box::pin(gate.pass(&candidate, limit)).await;
                // One of the past that is refused, or from disk, is not what the source holds.
                let is_past = matches!(origin.reason, Reason::Rollback | Reason::Restored);
                if passed.is_err() && !is_past {
                    self.hold(Some(value.clone()));
                }
                passed?
            }
        };
        Ok((value, prepared))
    }
}

/// Keeps the last good value for a later run.
pub(crate) trait Keeper<V>: Send + Sync {
    /// Has `value` written, unless a newer one comes before its turn.
    fn save(&self, value: Snapshot<V>);

    /// Reads what an earlier run has left, if it is whole.
    fn load(&self) -> Pin<Box<dyn Future<Output = Option<V>> + Send>>;

    /// Waits until nothing is to be written any more.
    fn flush(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// Has a user's `Eq` or `Clone` at work.
fn guarded<R>(what: &'static str, work: impl FnOnce() -> R) -> Result<R, Refusal> {
    caught(work).map_err(|words| Refusal { by: what.into(), words })
}

impl<V> Report for Publish<'_, V> {
    fn report(&self, change: &mut dyn FnMut(&mut Status)) {
        self.sender.set_status(change);
    }

    fn status(&self) -> Status {
        self.sender.status()
    }
}

impl<V: Eq + Clone> Sink<V> for Publish<'_, V> {
    type Admitted = Admitted<V>;

    fn closed(&self) -> impl Future<Output = ()> {
        self.sender.closed()
    }

    async fn admit(
        &self,
        value: V,
        origin: Origin,
        limit: Duration,
    ) -> Result<Admission<Admitted<V>>, Refusal> {
        if let Some((bad, why)) = self.bad()
            && guarded("comparison", || *bad == value)?
        {
            drop_guarded(value);
            return Ok(Admission::Bad(why));
        }
        if !self.force && guarded("comparison", || self.sender.holds(&value))? {
            self.record.inspect(|record| record.forget_bad());
            self.hold(None);
            drop_guarded(value);
            return Ok(Admission::Same);
        }
        let (value, prepared) = self.pass(value, origin, limit).await?;
        Ok(Admission::New(Admitted { value, prepared, home: Home::Source }))
    }

    async fn recall(
        &self,
        past: Past,
        why: &Arc<str>,
        limit: Duration,
    ) -> Result<Admitted<V>, Refusal> {
        let (found, words) = match past {
            Past::Generation(number) => (
                self.record.and_then(|record| record.find(number)),
                format!("generation {number} is not kept; history() has those that are"),
            ),
            Past::Good => (
                self.record.and_then(|record| record.is_bad(why)),
                "there is no good value to go back to".to_owned(),
            ),
        };
        let found = found.ok_or_else(|| Refusal { by: "history".into(), words })?;
        let origin = Origin { reason: Reason::Rollback, seen: Instant::now() };
        let value = guarded("cloning", || (*found).clone())?;
        let (value, prepared) = self.pass(value, origin, limit).await?;
        let home = if past == Past::Good { Home::Good } else { Home::History };
        Ok(Admitted { value, prepared, home })
    }

    async fn restore(&self, limit: Duration) -> Result<Option<Admitted<V>>, Refusal> {
        let Some(keeper) = self.keeper else { return Ok(None) };
        let loaded = timeout(limit, keeper.load()).await.map_err(|_| Refusal {
            by: "its disk".into(),
            words: format!("it did not answer within {limit:?}"),
        })?;
        let Some(value) = loaded else { return Ok(None) };
        let origin = Origin { reason: Reason::Restored, seen: Instant::now() };
        let (value, prepared) = self.pass(value, origin, limit).await?;
        Ok(Some(Admitted { value, prepared, home: Home::Disk }))
    }

    async fn publish(&self, admitted: Admitted<V>, change: OnPublish<'_>) -> Option<Trial> {
        let Admitted { value, prepared, home } = admitted;
        prepared.commit();
        match home {
            Home::Source => self.hold(None),
            // What a source that gives what is new only will not give again.
            Home::History | Home::Good => {
                let mut held = lock(self.held);
                if held.is_none() {
                    *held = self.sender.current();
                }
            }
            Home::Disk => {}
        }
        if let Some(record) = self.record {
            let bad = record.bad().filter(|_| home == Home::Good);
            record.is_published(&value, matches!(home, Home::Good | Home::Disk));
            record.stays_bad(bad);
            self.control.set_past(record.past());
        }
        self.sender.publish(&value, |status| change(status, true));
        let record = self.record.filter(|_| home == Home::Source);
        let trial = record.and_then(|record| record.try_out(&value));
        if let (Some(keeper), None) = (self.keeper.filter(|_| home != Home::Disk), &trial) {
            keeper.save(value);
        }
        trial
    }

    fn on_trial(&self) -> Option<Trial> {
        let record = self.record?;
        record.try_out(&record.on_trial()?)
    }

    fn held(&self) -> Option<V> {
        let held = lock(self.held).clone()?;
        guarded("cloning", || (*held).clone()).ok()
    }

    fn has_good(&self) -> bool {
        self.record.is_some_and(Record::has_good)
    }

    fn serves_bad(&self) -> bool {
        let serving = self.sender.current().map(|current| current.generation());
        self.bad().is_some_and(|(bad, _)| Some(bad.generation()) == serving)
    }

    async fn flush(&self) {
        if let Some(keeper) = self.keeper {
            keeper.flush().await;
        }
    }

    fn taken_back(&self) -> Option<Arc<str>> {
        self.bad().map(|(_, why)| why)
    }

    fn is_good(&self) {
        let good = self.record.and_then(Record::is_good);
        if let (Some(keeper), Some(good)) = (self.keeper, good) {
            keeper.save(good);
        }
    }

    #[cfg(feature = "file-reloader")]
    async fn failed(&self, _failure: Failure) {
        // Receivers keep what they had; the status has the reason.
    }
}

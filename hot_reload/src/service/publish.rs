//! A sink that publishes to the receivers of a service, and remembers what it published.

use std::{
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    task::yield_now,
    time::{Instant, timeout},
};

use super::{
    control::Control,
    gate::{Candidate, Gate, Prepared, Refusal},
    record::{Home, Record, Trial},
    sink::{Found, NotRestored, OnPublish, Recall, Report, Sink, Standing},
};
use crate::{
    change::{Origin, Reason},
    channel::{ReloaderSender, Snapshot},
    lock::lock,
    panic::{Guarded, caught, drop_guarded},
    status::Status,
};

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
    /// What the source was named.
    pub(crate) name: Option<&'a Arc<str>>,
    /// Publishes a value that equals the last as well.
    pub(crate) force: bool,
}

/// A value that was let in, what was prepared for it by what it has passed, and where it is from.
pub(crate) struct Admitted<V> {
    value: Guarded<Snapshot<V>>,
    /// `None` before it has passed, and where there is no gate; boxed, since a value is passed on at every edit.
    prepared: Option<Box<Prepared>>,
    home: Home,
}

/// Keeps the last good value for a later run.
pub(crate) trait Keeper<V>: Send + Sync {
    /// Has `value` written, unless a newer one comes before its turn.
    fn save(&self, value: Snapshot<V>);

    /// Reads what an earlier run has left, if it is whole.
    ///
    /// # Errors
    ///
    /// Where there is no thread for it.
    fn load(&self) -> Pin<Box<dyn Future<Output = Result<Option<V>, NotRestored>> + Send>>;

    /// Waits until nothing is to be written any more.
    fn flush(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

impl<V: Eq> Publish<'_, V> {
    fn hold(&self, held: Option<Snapshot<V>>) {
        let was = std::mem::replace(&mut *lock(self.held), held);
        drop_guarded(was);
    }

    /// Keeps a value that has proved itself for a later run, unless it lacks a part.
    fn keep(&self, value: &Snapshot<V>) {
        if let Some(keeper) = self.keeper.filter(|_| !value.is_partial()) {
            keeper.save(value.clone());
        }
    }

    /// The value that is not tried again, and why.
    fn bad(&self) -> Option<(Snapshot<V>, Arc<str>)> {
        self.record?.bad()
    }

    /// Makes the next generation of `value`, which has to pass yet.
    fn candidate(&self, value: V, origin: Origin, home: Home) -> Admitted<V> {
        let value = Guarded::new(self.sender.candidate(value, origin));
        Admitted { value, prepared: None, home }
    }
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

    fn name(&self) -> Option<Arc<str>> {
        self.name.cloned()
    }

    async fn closed(&self) {
        self.sender.closed().await;
    }

    fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    fn admit(&self, value: V, origin: Origin) -> Result<Found<Admitted<V>>, Refusal> {
        let value = Guarded::new(value);
        if let Some((bad, why)) = self.bad()
            && guarded("comparison", || *bad == *value)?
        {
            // In the place of one that was refused since.
            self.hold(Some(bad));
            return Ok(Found::Bad(why));
        }
        if !self.force && guarded("comparison", || self.sender.holds(&value))? {
            self.record.inspect(|record| record.forget_bad());
            self.hold(None);
            return Ok(Found::Same);
        }
        Ok(Found::New(self.candidate(value.into_inner(), origin, Home::Source)))
    }

    fn has_gate(&self) -> bool {
        !self.gate.is_open()
    }

    async fn pass(&self, admitted: &mut Admitted<V>, limit: Duration) -> Result<(), Refusal> {
        let candidate = Candidate { new: admitted.value.clone(), current: self.sender.current() };
        // One of the past, or from disk, is not what the source holds. First, since whoever stops the
        // service drops this on the way, and a source that gives what is new only has given it.
        if admitted.home == Home::Source {
            self.hold(Some(candidate.new.clone()));
        }
        admitted.prepared = Some(Box::new(self.gate.pass(&candidate, limit).await?));
        Ok(())
    }

    fn keeps(&self, generation: u64) -> bool {
        self.record.is_some_and(|record| record.find(generation).is_some())
    }

    async fn recall(
        &self,
        recall: Recall,
        why: &Arc<str>,
        limit: Duration,
    ) -> Result<Option<(Admitted<V>, u64)>, Refusal> {
        let found = self.record.and_then(|record| match recall {
            Recall::Generation(number) => record.find(number),
            Recall::LastGood => {
                let good = record.condemn(why);
                self.control.set_past(record.past());
                good
            }
        });
        let Some(found) = found else { return Ok(None) };
        let number = found.generation();
        let origin = Origin::new(Reason::Rollback, Instant::now());
        let origin = Origin { is_partial: found.is_partial(), ..origin };
        let value = guarded("cloning", || (*found).clone())?;
        let home = match recall {
            Recall::Generation(_) => Home::History(number),
            Recall::LastGood => Home::LastGood(number),
        };
        let mut admitted = self.candidate(value, origin, home);
        self.pass(&mut admitted, limit).await?;
        Ok(Some((admitted, number)))
    }

    async fn restore(&self, limit: Duration) -> Result<Option<Admitted<V>>, NotRestored> {
        let Some(keeper) = self.keeper else { return Ok(None) };
        let loaded = timeout(limit, keeper.load()).await.map_err(|_| Refusal {
            by: "its disk".into(),
            words: format!("it did not answer within {limit:?}"),
        })?;
        let Some(value) = loaded? else { return Ok(None) };
        let origin = Origin::new(Reason::Restored, Instant::now());
        let mut admitted = self.candidate(value, origin, Home::Disk);
        self.pass(&mut admitted, limit).await?;
        Ok(Some(admitted))
    }

    async fn publish(&self, admitted: Admitted<V>, change: OnPublish<'_>) -> Option<Trial> {
        let Admitted { value, prepared, home } = admitted;
        // Until it can be seen to serve.
        let turns = prepared.map(|prepared| prepared.commit());
        let mut held_before = None;
        match home {
            Home::Source => held_before = lock(self.held).take(),
            // What a source that gives what is new only will not give again.
            Home::History(_) | Home::LastGood(_) => {
                let mut held = lock(self.held);
                if held.is_none() {
                    *held = self.sender.current();
                }
            }
            Home::Disk => {}
        }
        let (until, displaced) = self.record.map(|record| record.publish(&value, home)).unzip();
        let until = until.flatten();
        self.record.inspect(|record| self.control.set_past(record.past()));
        let mut is_awaited = false;
        let over = self.sender.publish(&value, |status| {
            is_awaited = change(status, true);
            status.probation_until = until;
        });
        // Once the new one serves, since to free them may take long.
        drop_guarded((displaced, held_before));
        let trial =
            self.record.zip(until).and_then(|(record, until)| record.try_out(&value, until));
        if trial.is_none() && home != Home::Disk {
            self.keep(&value);
        }
        // One on trial is tried first.
        if is_awaited && trial.is_none() {
            drop(turns);
            yield_now().await;
        }
        drop(over);
        trial
    }

    fn standing(&self) -> Result<Standing<V>, Refusal> {
        let held = lock(self.held).clone();
        if let Some((bad, why)) = self.bad()
            // Else it holds one that was refused after the bad one.
            && held.as_ref().is_none_or(|held| held.generation() == bad.generation())
        {
            return Ok(Standing::Bad(why));
        }
        let Some(held) = held else { return Ok(Standing::Serves) };
        Ok(Standing::Held(guarded("cloning", || (*held).clone())?))
    }

    fn on_trial(&self) -> Option<Trial> {
        let record = self.record?;
        let (value, until) = record.on_trial()?;
        self.sender.set_status(|status| status.probation_until = Some(until));
        record.try_out(&value, until)
    }

    fn acquit(&self) -> bool {
        self.sender.set_status(|status| status.probation_until = None);
        let Some(record) = self.record else { return false };
        let Some((good, was_bad)) = record.acquit() else { return false };
        self.control.set_past(record.past());
        self.keep(&good);
        was_bad
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
}

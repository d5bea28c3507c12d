//! A part of a value as a live value of its own.

use std::{borrow::Cow, fmt::Display, panic::AssertUnwindSafe, sync::Arc};

use tracing::error;

use super::{Generation, ReloaderReceiver, ReloaderSender};
use crate::{
    lock::lock,
    panic::{Guarded, caught},
    redact::mask,
};

/// What is made of each value that a channel publishes.
pub(super) struct Projections<V> {
    all: Vec<Part<V>>,
    /// Whether the sender is gone, so that nothing will be published any more.
    is_over: bool,
}

/// One of them, of which a user's closure is a part.
pub(super) type Part<V> = Arc<Guarded<Box<dyn Project<V> + Send + Sync>>>;

/// What publishing to one lets go of.
pub(super) type OfPart = Box<dyn Send>;

impl<V> Default for Projections<V> {
    fn default() -> Self {
        Self { all: Vec::new(), is_over: false }
    }
}

impl<V> Projections<V> {
    /// Puts its part in place in each that somebody still has; returns what is let go of.
    pub(super) fn place(&mut self, next: &Generation<V>) -> (Vec<Part<V>>, Vec<OfPart>) {
        let unwanted = self.all.extract_if(.., |one| !one.is_wanted()).collect();
        (unwanted, self.all.iter().filter_map(|one| one.place(next)).collect())
    }

    /// Those there are, to be woken.
    pub(super) fn all(&self) -> Vec<Part<V>> {
        self.all.clone()
    }

    /// Adds one, unless nothing will be published any more; returns what is let go of.
    fn add(&mut self, one: Part<V>) -> Vec<Part<V>> {
        if self.is_over {
            return vec![one];
        }
        let mut unwanted = Vec::new();
        // Looked for only once as many have been added as there are.
        if self.all.len() == self.all.capacity() {
            unwanted.extend(self.all.extract_if(.., |one| !one.is_wanted()));
            self.all.reserve(self.all.len().max(1));
        }
        self.all.push(one);
        unwanted
    }

    /// Lets go of all; what is returned is dropped by the caller, and their receivers hear of the end.
    pub(super) fn end(&mut self) -> Vec<Part<V>> {
        self.is_over = true;
        std::mem::take(&mut self.all)
    }
}

/// Wakes whoever waits for a part that is new.
pub(super) fn wake<V>(parts: Vec<Part<V>>) {
    for one in parts {
        one.wake();
    }
}

pub(super) trait Project<V> {
    fn is_wanted(&self) -> bool;

    /// Wakes nobody yet; returns what is let go of.
    fn place(&self, next: &Generation<V>) -> Option<OfPart>;

    fn wake(&self);
}

struct Projection<P, F> {
    sender: ReloaderSender<P>,
    part: F,
}

impl<P, F> Projection<P, F>
where
    P: Eq + PartialEq + Clone + Send + Sync + 'static,
{
    /// Puts the part of `next` in place, if it is another than before; returns what is let go of.
    fn take<V>(&self, next: &Generation<V>) -> Option<OfPart>
    where
        F: Fn(&V) -> &P,
    {
        let part = next.value.as_ref().map(&self.part);
        if self.sender.cell.current.load().value.as_ref() == part {
            return None;
        }
        let next = self.sender.next(part.cloned(), next.origin);
        let mut projections = lock(&self.sender.cell.projections);
        // The status is the whole's to change.
        let (let_go, _is_news) = self.sender.place(&mut projections, &next, |_| {});
        Some(Box::new(let_go))
    }
}

impl<V, P, F> Project<V> for Projection<P, F>
where
    P: Eq + PartialEq + Clone + Send + Sync + 'static,
    F: Fn(&V) -> &P,
{
    fn is_wanted(&self) -> bool {
        !self.sender.published.is_closed()
    }

    fn place(&self, next: &Generation<V>) -> Option<OfPart> {
        // A part that can't be had stays as it was; the others and the whole are as good as ever.
        caught(|| self.take(next)).unwrap_or_else(|words| {
            error!(target: "hot_reload::panicked", generation = next.number, panic = mask(&words), "a projection panicked");
            None
        })
    }

    fn wake(&self) {
        let parts = lock(&self.sender.cell.projections).all();
        wake(parts);
        self.sender.tell(self.sender.cell.current.load().number);
    }
}

impl<V, S> ReloaderReceiver<V, S>
where
    V: Eq + PartialEq,
    S: Into<Cow<'static, str>> + Display,
{
    /// Returns a receiver of one part of the value, which is woken only when that part changes.
    ///
    /// It is a receiver like any other, counts generations of its own, and may be projected again.
    /// Its [`status`](Self::status) is that of the service, which goes on for as long as any
    /// projection is held. Whoever sees a new whole sees its new part as well, and whoever is woken, by the
    /// whole or by any part, finds all of them in place.
    ///
    /// `part` is called at each publication, before anyone is woken, so it has to be quick. Should
    /// it panic then, the panic is logged and the part stays as it was. It may not project the same
    /// receiver again, which would wait for itself.
    ///
    /// # Panics
    ///
    /// When `part` panics for the value there is now.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(not(feature = "toml"))] fn main() {}
    /// # #[cfg(feature = "toml")] #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # tokio::time::timeout(std::time::Duration::from_secs(10), async {
    /// # #[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
    /// # struct Limits { body: u64 }
    /// # #[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
    /// # struct Config { name: String, limits: Limits }
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("config.toml");
    /// # std::fs::write(&path, "name = 'one'\nlimits.body = 1024")?;
    /// # let mut config = hot_reload::TomlFile::<Config>::watch(&path).await?;
    /// let mut body = config.project(|config| &config.limits).project(|limits| &limits.body);
    /// body.changed().await?;
    ///
    /// std::fs::write(&path, "name = 'two'\nlimits.body = 1024")?;
    /// config.wait_for(|config| config.name == "two").await?;
    /// assert_eq!(body.borrow().generation(), 1); // it was not woken
    ///
    /// std::fs::write(&path, "name = 'two'\nlimits.body = 4096")?;
    /// body.changed().await?;
    /// assert_eq!(body.get(), Some(4096));
    /// # Ok(()) }).await? }
    /// ```
    pub fn project<P>(
        &self,
        part: impl Fn(&V) -> &P + Send + Sync + 'static,
    ) -> ReloaderReceiver<P, S>
    where
        P: Eq + PartialEq + Clone + Send + Sync + 'static,
    {
        let (sender, mut receiver) = super::part(&self.cell.statement);
        // As long as a part is received, so is the whole.
        // It is only kept, never touched again.
        let whole = AssertUnwindSafe((self.changes.clone(), self.whole.clone()));
        receiver.whole = Some(Arc::new(whole));
        let projection = Projection { sender, part };
        let mut projections = lock(&self.cell.projections);
        let of_part = projection.take(&self.cell.current.load());
        projection.wake();
        let unwanted = projections.add(Arc::new(Guarded::new(Box::new(projection))));
        drop(projections);
        // A user's: not under the lock.
        drop((unwanted, of_part));
        receiver
    }
}

//! Publication: the newest value in one place, and a watch channel that says it is new.

mod blocking;
mod projection;
mod receiver;
mod snapshot;
#[cfg(feature = "stream")]
mod stream;

use std::{
    fmt, mem,
    sync::{Arc, Mutex, OnceLock},
};

use arc_swap::ArcSwap;
use tokio::{
    sync::watch::{self, error::SendError},
    time::Instant,
};

use self::projection::{OfPart, Part, Projections, wake};
#[cfg(feature = "stream")]
pub use self::stream::ReloaderStream;
pub use self::{
    receiver::ReloaderReceiver,
    snapshot::{CachedReader, Ref, Snapshot},
};
use crate::{
    change::{Origin, Reason},
    lock::lock,
    panic::{Guarded, drop_guarded, wake_all},
    status::{Alive, Health, Statement, Status},
};

/// One published value and its number.
#[repr(C)]
pub(crate) struct Generation<V> {
    _apart: Apart,
    /// `None` until something is published, and where `None` itself was sent.
    value: Option<V>,
    /// 0 before the first publication, then one more at each.
    number: u64,
    origin: Origin,
    /// Unset until it is published.
    published: OnceLock<Instant>,
    /// Counts it; `None` where it is not one of a service, but of a part, or nobody holds it any more.
    alive: Option<Alive>,
}

/// Keeps a value off the cache line, of 64 bytes, that the counts of its [`Arc`] are at the start of.
///
/// Whoever takes a snapshot writes to those, which would hold up all who only read the value. Room, in
/// place of an alignment: an allocator pays for that with far more.
#[derive(Default)]
struct Apart {
    _room: [u64; 6],
}

/// What the sender and every receiver hold in common.
///
/// The value lives here alone; the watch channel carries its number, and wakes.
struct Cell<V> {
    current: ArcSwap<Generation<V>>,
    /// What the service says of itself, the same for every projection of its value.
    statement: Arc<Statement>,
    /// Locked while a value is published to them.
    projections: Mutex<Projections<V>>,
}

/// What a publication lets go of: a user's, whose `Drop` may take a lock that somebody holds who
/// projects a value, so that it is dropped once nothing is locked here.
pub(crate) struct LetGo<V> {
    _unheld: Guarded<Option<Arc<Generation<V>>>>,
    /// What somebody else held as well.
    held: Guarded<Option<Arc<Generation<V>>>>,
    _unwanted: Vec<Part<V>>,
    _of_parts: Vec<OfPart>,
}

/// The sending half of a service: publishes values to every receiver.
pub struct ReloaderSender<V> {
    cell: Arc<Cell<V>>,
    published: watch::Sender<u64>,
    /// Whether the status is that of another, of which this publishes a part.
    is_part: bool,
}

impl<V> ReloaderSender<V> {
    /// Publishes `value`; it is in place before any receiver is woken.
    ///
    /// # Errors
    ///
    /// Returns the value when every receiver is gone.
    pub fn send(&self, value: Option<V>) -> Result<(), SendError<Option<V>>> {
        let origin = Origin::new(Reason::Sent, Instant::now());
        self.send_with(value, origin, |_| {}).map(drop)
    }

    /// Publishes `value` and changes the status, which whoever is woken finds changed; returns what is
    /// let go of.
    pub(crate) fn send_with(
        &self,
        value: Option<V>,
        origin: Origin,
        change: impl FnOnce(&mut Status),
    ) -> Result<LetGo<V>, SendError<Option<V>>> {
        if self.published.is_closed() {
            return Err(SendError(value));
        }
        Ok(self.put(&self.next(value, origin), change))
    }

    /// Makes the next generation, for others to look at before it is published.
    pub(crate) fn candidate(&self, value: V, origin: Origin) -> Snapshot<V> {
        Snapshot::of_value(self.next(Some(value), origin))
    }

    /// Publishes the last candidate that was made, as [`send_with`](Self::send_with) does.
    pub(crate) fn publish(
        &self,
        candidate: &Snapshot<V>,
        change: impl FnOnce(&mut Status),
    ) -> LetGo<V> {
        self.put(candidate.inside(), change)
    }

    fn next(&self, value: Option<V>, origin: Origin) -> Arc<Generation<V>> {
        let number = self.cell.current.load().number + 1;
        let alive = (!self.is_part).then(|| Alive::new(&self.cell.statement));
        Arc::new(Generation {
            _apart: Apart::default(),
            value,
            number,
            origin,
            published: OnceLock::new(),
            alive,
        })
    }

    fn put(&self, next: &Arc<Generation<V>>, change: impl FnOnce(&mut Status)) -> LetGo<V> {
        // One publication after another, so that projections see them in order.
        let mut projections = lock(&self.cell.projections);
        let (mut let_go, is_news) = self.place(&mut projections, next, change);
        let parts = projections.all();
        drop(projections);
        // Whoever is woken, by the whole or by a part, finds all of it in place, and nothing locked.
        wake(parts);
        self.tell(next.number);
        if is_news {
            self.cell.statement.tell();
        }
        // Whoever holds it frees it.
        drop_guarded(let_go.held.take());
        let_go
    }

    /// Has whoever reads the whole, or a part of it, find this, and wakes nobody; also says whether whoever
    /// follows the status is to be.
    fn place(
        &self,
        projections: &mut Projections<V>,
        next: &Arc<Generation<V>>,
        change: impl FnOnce(&mut Status),
    ) -> (LetGo<V>, bool) {
        let number = next.number;
        let published = *next.published.get_or_init(Instant::now);
        // First, so that whoever sees a new whole sees its new part as well.
        let (unwanted, of_parts) = projections.place(next);
        let (mut unheld, mut held) = (None, None);
        let is_news = self.cell.statement.change_untold(|status| {
            // Under its lock, so that whoever sees the new value finds this status, and the other
            // way round.
            let mut last = self.cell.current.swap(Arc::clone(next));
            if let Some(generation) = Arc::get_mut(&mut last) {
                // It is only to be freed.
                generation.alive = None;
                unheld = Some(last);
            } else {
                held = Some(last);
            }
            if !self.is_part {
                status.generation = number;
                status.last_change = Some(published);
            }
            change(status);
        });
        // What may take long to free holds up nobody, and what panics at it ends nothing.
        let (unheld, held) = (Guarded::new(unheld), Guarded::new(held));
        (LetGo { _unheld: unheld, held, _unwanted: unwanted, _of_parts: of_parts }, is_news)
    }

    /// Wakes whoever waits for this generation, unless that is done.
    fn tell(&self, number: u64) {
        let mut is_told = false;
        wake_all(self.published.receiver_count(), || {
            // One that panicked has cut the last round short: all are told anew, though the number is no news.
            let again = mem::replace(&mut is_told, true);
            self.published.send_if_modified(|told| {
                let is_new = *told < number;
                *told = number.max(*told);
                is_new || again
            });
        });
    }

    /// What receivers hold.
    pub(crate) fn current(&self) -> Option<Snapshot<V>> {
        Snapshot::new(&self.cell)
    }

    /// Whether `value` is what receivers hold already.
    pub(crate) fn holds(&self, value: &V) -> bool
    where
        V: Eq,
    {
        self.cell.current.load().value.as_ref() == Some(value)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.published.is_closed()
    }

    pub(crate) async fn closed(&self) {
        self.published.closed().await;
    }

    pub(crate) fn statement(&self) -> Arc<Statement> {
        Arc::clone(&self.cell.statement)
    }

    pub(crate) fn status(&self) -> Status {
        self.cell.statement.get()
    }

    pub(crate) fn set_status(&self, change: impl FnOnce(&mut Status)) {
        self.cell.statement.change(change);
    }
}

impl<V> Drop for ReloaderSender<V> {
    fn drop(&mut self) {
        let ended = lock(&self.cell.projections).end();
        // A user's closures: not under the lock.
        drop(ended);
        if !self.is_part {
            self.cell.statement.change(|status| status.health = Health::Ended);
        }
    }
}

impl<V> fmt::Debug for ReloaderSender<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not held while it is written to where it may wait.
        let generation = *self.published.borrow();
        f.debug_struct("ReloaderSender").field("generation", &generation).finish_non_exhaustive()
    }
}

/// Creates both halves; nothing is published yet.
pub(crate) fn channel<V, S>() -> (ReloaderSender<V>, ReloaderReceiver<V, S>) {
    halves(Arc::default(), false)
}

/// Creates both halves of a channel for a part of what another publishes.
fn part<V, S>(statement: &Arc<Statement>) -> (ReloaderSender<V>, ReloaderReceiver<V, S>) {
    halves(Arc::clone(statement), true)
}

fn halves<V, S>(
    statement: Arc<Statement>,
    is_part: bool,
) -> (ReloaderSender<V>, ReloaderReceiver<V, S>) {
    let origin = Origin::new(Reason::Initial, Instant::now());
    let nothing = Generation {
        _apart: Apart::default(),
        value: None,
        number: 0,
        origin,
        published: OnceLock::new(),
        alive: None,
    };
    let cell = Arc::new(Cell {
        current: ArcSwap::from_pointee(nothing),
        statement,
        projections: Mutex::default(),
    });
    let (published, changes) = watch::channel(0);
    let receiver = ReloaderReceiver::new(Arc::clone(&cell), changes);
    (ReloaderSender { cell, published, is_part }, receiver)
}

//! One layer as it is followed: its looks, its pauses, its last good.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, SystemTime},
};

use hot_reload::{
    BoxFollow, Hint, Look, Mechanism, Patience, ReloadResult, ReloaderError, ReloaderOptions,
};
use tokio::{
    task::{coop::Unconstrained, unconstrained},
    time::{Instant, Sleep, sleep},
};

use super::{
    layer::Layer,
    tree::Tree,
    trouble::{Trouble, is_missing},
};
use crate::{error::Kind, pace::Pace};

/// A limit that the user has set is for all layers together; so much of it is for one of them, so that
/// it is known which has taken too long.
const PART_OF_LIMIT: f64 = 0.9;
/// More than a look is worth waiting for; the rest is taken by the next.
const MOST_AT_ONCE: usize = 256;

/// A layer that is followed.
pub(super) struct Followed<'a> {
    pub(super) layer: &'a Layer,
    follow: BoxFollow<'a, Tree, String>,
    is_looking: bool,
    /// When the look under way is given up.
    alarm: Option<Pin<Box<Unconstrained<Sleep>>>>,
    limit: Duration,
    /// Whether it is to be looked at.
    is_wanted: bool,
    /// Whether it has said that something is over: it counts on being looked at before it is asked again.
    has_told: bool,
    /// What was heard by a look that is over.
    heard: Option<Hint>,
    /// When it is to be looked at although nothing was heard.
    look_at: Option<Instant>,
    /// How long the writer needs that is at work there.
    unsettled: Option<Duration>,
    pace: Pace,
    /// The newest that was good.
    pub(super) tree: Option<Arc<Tree>>,
    /// What was part of the newest value.
    pub(super) served: Option<Arc<Tree>>,
    pub(super) trouble: Option<Trouble>,
    mechanism: Mechanism,
    edited: Option<SystemTime>,
}

impl<'a> Followed<'a> {
    pub(super) fn new(layer: &'a Layer, options: &ReloaderOptions) -> Self {
        let follow = layer.source.follow(options);
        let (_, floor, ceiling) = options.pace();
        let limit = options.look_limit().map(|limit| limit.mul_f64(PART_OF_LIMIT));
        Self {
            layer,
            is_looking: false,
            alarm: None,
            limit: limit.unwrap_or_else(|| follow.load_timeout()),
            is_wanted: true,
            has_told: false,
            heard: None,
            look_at: None,
            unsettled: None,
            pace: Pace::new(floor, ceiling, ceiling),
            tree: None,
            served: None,
            trouble: None,
            mechanism: follow.mechanism(),
            edited: None,
            follow,
        }
    }

    pub(super) fn is_looking(&self) -> bool {
        self.is_looking
    }

    pub(super) fn limit(&self) -> Duration {
        self.limit
    }

    /// When it is to be looked at; not while that is under way.
    pub(super) fn look_at(&self) -> Option<Instant> {
        self.look_at.filter(|_| !self.is_looking)
    }

    pub(super) fn unsettled(&self) -> Option<Duration> {
        self.unsettled
    }

    pub(super) fn mechanism(&self) -> &Mechanism {
        &self.mechanism
    }

    pub(super) fn edited(&self) -> Option<SystemTime> {
        self.edited
    }

    /// Whether it has nothing to give, and has to.
    pub(super) fn is_lacking(&self) -> bool {
        self.tree.is_none() && !self.layer.is_optional
    }

    /// Whether what serves has nothing of it, though it may have something.
    pub(super) fn is_partial(&self) -> bool {
        self.served.is_none() || self.follow.is_partial()
    }

    /// Whether it has something else to give than what serves.
    pub(super) fn has_moved(&self) -> bool {
        self.tree != self.served
    }

    pub(super) fn must_load(&mut self) {
        self.is_wanted = true;
        self.follow.must_load();
    }

    /// Waits until it may have changed, and goes on with a slow look meanwhile.
    pub(super) fn poll_hint(&mut self, cx: &mut Context<'_>) -> Poll<Hint> {
        if self.is_looking {
            ready!(self.poll_look(cx, Patience::Left));
            return Poll::Ready(Hint::Finished);
        }
        if self.has_told {
            return Poll::Pending;
        }
        let hint = match self.heard.take() {
            Some(hint) => hint,
            None => ready!(self.follow.poll_hint(cx)),
        };
        self.is_wanted = true;
        self.has_told = hint != Hint::Touched;
        Poll::Ready(hint)
    }

    /// Begins a look where one is due.
    pub(super) fn begin(&mut self, now: Instant) {
        let is_due = self.look_at.is_some_and(|at| at <= now);
        if self.is_wanted || is_due || self.unsettled.is_some() || self.layer.is_at_hand {
            self.is_looking = true;
        }
    }

    /// Goes on with the look under way; takes all that has queued up behind it as well.
    pub(super) fn poll_look(&mut self, cx: &mut Context<'_>, patience: Patience) -> Poll<()> {
        for left in (0..MOST_AT_ONCE).rev() {
            let is_new = self.alarm.is_none();
            let looked = ready!(self.poll_one_look(cx, patience));
            // What took its time, as a new connection does, is not done again at once.
            let may_be_queue = is_new && matches!(looked, Ok(Look::Value(_)));
            self.ends(looked);
            if !may_be_queue {
                break;
            }
            let Poll::Ready(hint) = self.follow.poll_hint(cx) else { break };
            if hint == Hint::Touched || left == 0 {
                self.heard = Some(hint);
                break;
            }
            self.is_looking = true;
        }
        Poll::Ready(())
    }

    /// Goes on with one look; one that panics or hangs has failed.
    fn poll_one_look(
        &mut self,
        cx: &mut Context<'_>,
        patience: Patience,
    ) -> Poll<ReloadResult<Look<Tree>, Tree, String>> {
        let looked = catch_unwind(AssertUnwindSafe(|| self.follow.poll_look(cx, patience)));
        Poll::Ready(match looked {
            Ok(Poll::Ready(looked)) => looked,
            Ok(Poll::Pending) => {
                let limit = self.limit;
                // Whatever a look that is ever busy has left of the task's budget (`tokio::task::coop`).
                let set = || Box::pin(unconstrained(sleep(limit)));
                let alarm = self.alarm.get_or_insert_with(set);
                ready!(alarm.as_mut().poll(cx));
                Err(no_answer(limit))
            }
            Err(panic) => {
                // It may have been given what the next look would not be given again.
                self.follow.must_load();
                Err(panicked(&*panic))
            }
        })
    }

    /// Gives up the look under way.
    pub(super) fn abandon(&mut self) {
        if self.is_looking {
            self.ends(Err(no_answer(self.limit)));
        }
    }

    fn ends(&mut self, looked: ReloadResult<Look<Tree>, Tree, String>) {
        self.follow.abandon_look();
        self.is_looking = false;
        self.has_told = false;
        self.alarm = None;
        self.unsettled = None;
        self.mechanism = self.follow.mechanism();
        let again = self.follow.look_again_after();
        let mut pause = again;
        match looked {
            Ok(Look::Unsettled(wait)) => {
                self.unsettled = Some(wait);
                self.look_at = Some(Instant::now() + wait);
                return;
            }
            Ok(Look::Value(tree)) => {
                self.edited = self.follow.edited();
                if self.tree.as_deref() != Some(&tree) {
                    self.tree = Some(Arc::new(tree));
                }
                self.is_good();
            }
            Ok(Look::Unchanged) if self.is_lacking() => {
                self.trouble = Some(Trouble::words(&self.layer.name, "it has given nothing yet"));
            }
            Ok(Look::Unchanged) => self.is_good(),
            Err(error) if self.layer.is_optional && is_missing(&error) => {
                self.tree = Some(Arc::default());
                self.is_good();
                if error.file_error().is_some() {
                    // Back again, it may be the very same that was there before.
                    self.follow.must_load();
                }
                let ceiling = self.pace.ceiling();
                pause = Some(again.map_or(ceiling, |again| again.min(ceiling)));
            }
            Err(error) => {
                self.trouble = Some(Trouble::of(&self.layer.name, &error));
                let own = self.pace.failed(Kind::Invalid);
                let own = again.map_or(own, |again| own.min(again));
                pause = Some(self.follow.pause().unwrap_or(own));
            }
        }
        self.is_wanted = false;
        self.look_at = pause.map(|pause| Instant::now() + pause);
    }

    fn is_good(&mut self) {
        self.pace.succeeded();
        let shortfall = self.follow.shortfall();
        self.trouble = shortfall.map(|error| Trouble::of(&self.layer.name, &error));
    }
}

fn no_answer(limit: Duration) -> ReloaderError<Tree, String> {
    anyhow::anyhow!("no answer within {limit:?}; a longer load_timeout gives it more").into()
}

fn panicked(panic: &(dyn Any + Send)) -> ReloaderError<Tree, String> {
    let words = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    anyhow::anyhow!("the loader panicked: {words}").into()
}

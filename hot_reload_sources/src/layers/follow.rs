//! All layers, followed as one source.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use hot_reload::{
    Follow, Hint, Look, Mechanism, Patience, ReloadResult, ReloaderError, ReloaderOptions,
};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, Sleep, sleep};

use super::{
    Layers,
    followed::Followed,
    merge::{Fault, Merged, Part, has, merge},
    tree::Tree,
    trouble::{Trouble, as_one},
};

/// How long a slow layer holds up the others: longer than a store in reach needs, too short to notice.
const GRACE: Duration = Duration::from_millis(100);
/// The same where somebody has asked for a look, and waits for what comes of it.
const GRACE_WHEN_ASKED: Duration = Duration::from_secs(1);
/// What is left for the merge, once the slowest layer has been given up.
const MARGIN: Duration = Duration::from_secs(1);

/// Follows all layers for one run of a service.
pub(super) struct FollowLayers<'a, V> {
    layers: &'a Layers<V>,
    followed: Vec<Followed<'a>>,
    polls: bool,
    is_looking: bool,
    grace: Option<Pin<Box<Sleep>>>,
    must_merge: bool,
    /// What the last merge was made of.
    merged: Vec<Option<Arc<Tree>>>,
    /// What the last merge could not make use of.
    faults: Vec<Trouble>,
    shortfall: Option<anyhow::Error>,
}

impl<'a, V: DeserializeOwned> FollowLayers<'a, V> {
    pub(super) fn new(layers: &'a Layers<V>, options: &ReloaderOptions) -> Self {
        let followed = layers.all.iter().map(|layer| Followed::new(layer, options)).collect();
        Self {
            layers,
            followed,
            polls: options.pace().0.is_some(),
            is_looking: false,
            grace: None,
            must_merge: true,
            merged: Vec::new(),
            faults: Vec::new(),
            shortfall: None,
        }
    }

    /// Whether a look may do without the layers that are slow.
    fn can_wait_no_longer(&mut self, cx: &mut Context<'_>) -> bool {
        // The first value is made of all.
        if self.merged.is_empty() {
            return false;
        }
        let length = if self.must_merge { GRACE_WHEN_ASKED } else { GRACE };
        let grace = self.grace.get_or_insert_with(|| Box::pin(sleep(length)));
        grace.as_mut().poll(cx).is_ready()
    }

    /// Makes of the layers what there is to be made.
    fn concludes(&mut self, patience: Patience) -> ReloadResult<Look<V>, V, String> {
        let unsettled = self.followed.iter().filter_map(Followed::unsettled).min();
        let is_lacking = self.followed.iter().any(Followed::is_lacking);
        if let Some(wait) = unsettled.filter(|_| patience == Patience::Left || is_lacking) {
            return Ok(Look::Unsettled(wait));
        }
        self.shortfall = None;
        let slow = self.slow();
        let mut value = None;
        let trees = || self.followed.iter().map(|followed| &followed.tree);
        if !is_lacking && (self.must_merge || !trees().eq(&self.merged)) {
            let trees = trees().cloned().collect();
            value = self.merges();
            // Where the type of the user panics, the next look tries again.
            self.merged = trees;
            self.must_merge = value.is_none() && self.must_merge;
        }
        let own = self.followed.iter().filter_map(|followed| followed.trouble.as_ref());
        let trouble = as_one(own.chain(&slow).chain(&self.faults));
        match (value, trouble) {
            (Some(value), trouble) => {
                self.shortfall = trouble;
                Ok(Look::Value(value))
            }
            (None, Some(trouble)) => Err(trouble.into()),
            (None, None) => Ok(Look::Unchanged),
        }
    }

    /// What to say of layers that have not answered whoever has asked.
    fn slow(&self) -> Vec<Trouble> {
        let is_asked = self.must_merge && !self.merged.is_empty();
        let slow = self.followed.iter().filter(|followed| is_asked && followed.is_looking());
        // What else is wrong with it is said already.
        let slow = slow.filter(|followed| followed.trouble.is_none());
        let words = format!("no answer within {GRACE_WHEN_ASKED:?}; it is still waited for");
        slow.map(|followed| Trouble::words(&followed.layer.name, &words)).collect()
    }

    /// Merges the newest of all layers, or of those whose newest fits with the rest.
    fn merges(&mut self) -> Option<V> {
        self.faults.clear();
        let mut held = vec![false; self.followed.len()];
        loop {
            let fault = match self.merge_but(&held) {
                Ok(Merged { value, origins }) => {
                    for (followed, is_held) in self.followed.iter_mut().zip(held) {
                        if !is_held {
                            followed.served.clone_from(&followed.tree);
                        }
                    }
                    self.layers.provenance.set(origins);
                    return Some(value);
                }
                Err(fault) => fault,
            };
            let culprit = self.culprit(&fault, &held);
            self.faults.push(Trouble::Words(fault.words.into()));
            held[culprit?] = true;
        }
    }

    /// Merges what is newest, of those that are held what serves.
    fn merge_but(&self, held: &[bool]) -> Result<Merged<V>, Fault> {
        let empty = &Tree::default();
        let parts = self.followed.iter().zip(held).map(|(followed, is_held)| {
            let tree = if *is_held { &followed.served } else { &followed.tree };
            Part { name: &followed.layer.name, tree: tree.as_deref().unwrap_or(empty) }
        });
        merge(&parts.collect::<Vec<_>>())
    }

    /// Which layer is to stay as it serves, since its newest does not fit.
    fn culprit(&self, fault: &Fault, held: &[bool]) -> Option<usize> {
        let may_be_held = |n: usize| {
            let followed = &self.followed[n];
            let can_do_without = followed.served.is_some() || followed.layer.is_optional;
            !held[n] && can_do_without && followed.has_moved()
        };
        if let Some(part) = fault.part {
            return Some(part).filter(|&part| may_be_held(part));
        }
        // What is missing, it has taken away.
        (0..held.len()).rev().find(|&n| {
            let had = self.followed[n].served.as_deref();
            may_be_held(n) && had.is_some_and(|had| has(had, &fault.path))
        })
    }

    /// When to look although nothing is heard.
    fn look_at(&self) -> Option<Duration> {
        let at = self.followed.iter().filter_map(Followed::look_at).min()?;
        Some(at.saturating_duration_since(Instant::now()))
    }
}

impl<V: DeserializeOwned> Follow<V, String> for FollowLayers<'_, V> {
    fn poll_hint(&mut self, cx: &mut Context<'_>) -> Poll<Hint> {
        let movable = self.followed.iter().filter(|followed| !followed.layer.is_at_hand).count();
        let mut heard = None;
        for followed in &mut self.followed {
            let was_looking = followed.is_looking();
            if let Poll::Ready(hint) = followed.poll_hint(cx) {
                // Layers that move together are given the time to arrive together.
                let waits = movable > 1 && hint == Hint::Finished && !was_looking;
                heard = heard.max(Some(if waits { Hint::Touched } else { hint }));
            }
        }
        heard.map_or(Poll::Pending, Poll::Ready)
    }

    fn poll_look(
        &mut self,
        cx: &mut Context<'_>,
        patience: Patience,
    ) -> Poll<ReloadResult<Look<V>, V, String>> {
        if !self.is_looking {
            let now = Instant::now();
            self.followed.iter_mut().for_each(|followed| followed.begin(now));
            self.is_looking = true;
            self.grace = None;
        }
        let mut is_pending = false;
        for followed in self.followed.iter_mut().filter(|followed| followed.is_looking()) {
            is_pending |= followed.poll_look(cx, patience).is_pending();
        }
        if is_pending && !self.can_wait_no_longer(cx) {
            return Poll::Pending;
        }
        self.is_looking = false;
        Poll::Ready(self.concludes(patience))
    }

    fn abandon_look(&mut self) {
        // Those that are slow go on after a look, save where the whole was given up.
        if std::mem::take(&mut self.is_looking) {
            self.followed.iter_mut().for_each(Followed::abandon);
        }
    }

    fn must_load(&mut self) {
        self.must_merge = true;
        self.followed.iter_mut().for_each(Followed::must_load);
    }

    fn look_again_after(&self) -> Option<Duration> {
        self.look_at()
    }

    fn pause(&mut self) -> Option<Duration> {
        // Each layer has its own; and what does not fit together does so once one of them moves.
        self.look_at()
    }

    fn shortfall(&mut self) -> Option<ReloaderError<V, String>> {
        self.shortfall.take().map(Into::into)
    }

    fn is_partial(&self) -> bool {
        self.followed.iter().any(Followed::is_partial)
    }

    fn name(&self) -> Option<Arc<str>> {
        Some(self.layers.name())
    }

    fn mechanism(&self) -> Mechanism {
        let mut watched = self.followed.iter().filter(|followed| !followed.layer.is_at_hand);
        let degraded = watched.clone().find_map(|followed| match followed.mechanism() {
            Mechanism::Degraded(reason) => Some(format!("{}: {reason}", followed.layer.name)),
            _ => None,
        });
        if let Some(reason) = degraded {
            return Mechanism::Degraded(reason.into());
        }
        let has_events = watched.any(|followed| *followed.mechanism() != Mechanism::Polling);
        match (has_events, self.polls) {
            (true, true) => Mechanism::EventsAndPolling,
            (false, true) => Mechanism::Polling,
            (_, false) => Mechanism::Events,
        }
    }

    fn edited(&self) -> Option<SystemTime> {
        self.followed.iter().filter_map(Followed::edited).max()
    }

    fn load_timeout(&self) -> Duration {
        let slowest = self.followed.iter().map(Followed::limit).max();
        slowest.unwrap_or_default() + MARGIN
    }
}

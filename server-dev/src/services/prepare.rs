//! What an edit asks for: what of it can be had at once, what only once others have ended, and what not.

use std::{collections::BTreeMap, sync::Arc};

use tokio_util::sync::CancellationToken;

use super::{
    Given,
    changes::Changes,
    live::{Live, Opened},
};
use crate::{
    config::Service,
    failure::Failure,
    sockets::{SocketError, Sockets},
    spec::{Address, Spec},
};

/// Whatever may hold a socket.
#[derive(Default)]
pub(super) struct Before {
    pub(super) running: BTreeMap<String, Arc<Live>>,
    /// Those that were told to end.
    pub(super) leaving: Vec<(String, Arc<Live>)>,
    /// What is being closed.
    pub(super) closing: Vec<Spec>,
}

/// What becomes of an edit.
#[derive(Default)]
pub(super) struct Prepared {
    pub(super) opened: Vec<Opened>,
    /// These can be opened once what is in their way is closed, and what runs of them ends before.
    pub(super) waiting: Vec<String>,
    pub(super) refused: Vec<(String, Failure)>,
    pub(super) removed: Vec<String>,
}

/// A socket that is asked for by one service and held by another.
#[derive(Debug, thiserror::Error)]
#[error("{place} is held by {by}, which goes on as it was")]
struct HeldBy {
    place: Address,
    by: String,
}

/// A service, and what it has no use for any more.
struct Giver<'a> {
    name: &'a str,
    specs: Vec<Spec>,
    gone: &'a CancellationToken,
}

impl Before {
    /// Opens what services need that are changed or added.
    pub(super) fn prepare(&self, given: &Given, changes: Changes) -> Prepared {
        let Changes { removed, changed, added } = changes;
        let mut wanted: Vec<_> = changed.into_iter().chain(added).collect();
        let mut refused = Vec::new();
        loop {
            let goes_on = |(name, _): &(String, Failure)| self.running.contains_key(name);
            let stay = refused.iter().filter_map(|(name, _): &(String, Failure)| {
                self.running.get_key_value(name).map(|(name, live)| (name.as_str(), live.as_ref()))
            });
            let stay: Vec<_> = stay.collect();
            let mut prepared = self.attempt(given, &removed, &wanted, &stay);
            let more = std::mem::take(&mut prepared.refused);
            wanted.retain(|(name, _)| more.iter().all(|(refused, _)| refused != name));
            // What goes on gives up nothing, and others may have been given it.
            let is_all = !more.iter().any(goes_on);
            refused.extend(more);
            if is_all {
                let stays = |name: &String| {
                    !refused.iter().all(goes_on) && !self.is_in_the_way(name, &wanted)
                };
                // What is new and refused may be what is gone by another name.
                prepared.removed = removed.into_iter().filter(|name| !stays(name)).collect();
                prepared.refused = refused;
                return prepared;
            }
        }
    }

    fn attempt(
        &self,
        given: &Given,
        removed: &[String],
        wanted: &[(String, Service)],
        stay: &[(&str, &Live)],
    ) -> Prepared {
        let (givers, mut spare) = self.givers(removed, wanted);
        let mut prepared = Prepared::default();
        for (name, service) in wanted {
            let sockets = &service.sockets;
            let conflict = |spec: &Spec| {
                let holds =
                    |live: &Live| live.service.sockets.iter().any(|it| it.conflicts_with(spec));
                let (by, _) = stay.iter().find(|(_, live)| holds(live))?;
                Some(HeldBy { place: spec.place.clone(), by: (*by).to_owned() })
            };
            if let Some(held) = sockets.iter().find_map(conflict) {
                prepared.refused.push((name.clone(), held.into()));
                continue;
            }
            if givers.iter().any(|giver| giver.has_to_close_for(sockets)) {
                prepared.waiting.push(name.clone());
                continue;
            }
            let live = self.running.get(name).map(Arc::as_ref);
            match Opened::prepare(given, name.clone(), service.clone(), live, &mut spare) {
                Ok(mut one) => {
                    let before = givers.iter().filter(|it| it.name == name || it.gives_to(sockets));
                    one.after = before.map(|giver| giver.gone.clone()).collect();
                    prepared.opened.push(one);
                }
                Err(error) if self.is_closing_for(sockets, &error) => {
                    prepared.waiting.push(name.clone());
                }
                Err(error) => prepared.refused.push((name.clone(), error)),
            }
        }
        prepared
    }

    /// Who gives up sockets, and those sockets.
    fn givers(
        &self,
        removed: &[String],
        wanted: &[(String, Service)],
    ) -> (Vec<Giver<'_>>, Sockets) {
        let running = |name: &String| self.running.get_key_value(name);
        let removed = removed.iter().filter_map(running).map(|(name, live)| (name, live, None));
        let leaving = self.leaving.iter().map(|(name, live)| (name, live, None));
        let changed = wanted.iter().filter_map(|(name, service)| {
            running(name).map(|(name, live)| (name, live, Some(service)))
        });
        let (mut givers, mut spare) = (Vec::new(), Sockets::default());
        for (name, live, next) in removed.chain(leaving).chain(changed) {
            // Without another handle, it can't be taken over, and is opened once it is free.
            let Ok(sockets) = live.sockets.again() else { continue };
            let (_, given_up) = sockets.split(next.map_or(&[], |next| &next.sockets));
            let specs = given_up.specs().cloned().collect();
            givers.push(Giver { name, specs, gone: &live.gone });
            spare.append(given_up);
        }
        (givers, spare)
    }

    /// Whether a service that is gone has a socket that one needs which is wanted.
    fn is_in_the_way(&self, name: &str, wanted: &[(String, Service)]) -> bool {
        let Some(live) = self.running.get(name) else { return false };
        let specs = live.service.sockets.clone();
        let giver = Giver { name, specs, gone: &live.gone };
        wanted.iter().any(|(_, service)| {
            giver.gives_to(&service.sockets) || giver.has_to_close_for(&service.sockets)
        })
    }

    fn is_closing_for(&self, sockets: &[Spec], error: &Failure) -> bool {
        let conflicts = |spec| self.closing.iter().any(|it| it.conflicts_with(spec));
        error.downcast_ref().is_some_and(SocketError::is_taken) && sockets.iter().any(conflicts)
    }
}

impl Giver<'_> {
    fn has_to_close_for(&self, sockets: &[Spec]) -> bool {
        let is_in_the_way =
            |spec: &Spec| self.specs.iter().any(|it| it.conflicts_with(spec) && !it.is_where(spec));
        sockets.iter().any(is_in_the_way)
    }

    fn gives_to(&self, sockets: &[Spec]) -> bool {
        sockets.iter().any(|spec| self.specs.iter().any(|it| it.is_where(spec)))
    }
}

//! Sockets that are asked for more than once.

use std::collections::BTreeMap;

use crate::{
    config::Service,
    spec::{Address, Spec},
};

/// Two sockets of which only one can be held.
#[derive(Debug, thiserror::Error)]
#[error("{place} is asked for {}", self.by_whom())]
pub(crate) struct AskedTwice {
    place: Address,
    /// The services, the one that asks first before the other.
    pub(crate) by: [String; 2],
}

impl AskedTwice {
    fn by_whom(&self) -> String {
        let [first, other] = &self.by;
        if first == other { "twice".to_owned() } else { format!("by {first} and by {other}") }
    }
}

/// Finds each that is in the way of one before it.
pub(crate) fn asked_twice(
    services: &BTreeMap<String, Service>,
) -> impl Iterator<Item = AskedTwice> {
    let all: Vec<(&String, &Spec)> = services
        .iter()
        .flat_map(|(name, service)| service.sockets.iter().map(move |spec| (name, spec)))
        .collect();
    (0..all.len()).filter_map(move |at| {
        let (name, spec) = all[at];
        let (first, _) = all[..at].iter().find(|(_, before)| before.conflicts_with(spec))?;
        Some(AskedTwice { place: spec.place.clone(), by: [(*first).clone(), name.clone()] })
    })
}

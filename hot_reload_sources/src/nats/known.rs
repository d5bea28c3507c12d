//! What a place holds, as far as it has been told.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use async_nats::Message;
use bytes::Bytes;

use super::{
    history::{Epoch, History},
    place::Keys,
};
use crate::content::Entry;

/// The header of a key that was deleted or purged by a client, and of nothing else.
/// <https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-8.md>
const OPERATION: &str = "KV-Operation";
/// The header of what a server leaves where a value has expired, from 2.11 on.
/// <https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-43.md>
const MARKER: &str = "Nats-Marker-Reason";

/// The values by their keys, each with its sequence number.
#[derive(Debug)]
pub(super) struct Known {
    keys: Keys,
    epoch: Epoch,
    history: Arc<History>,
    values: BTreeMap<String, (u64, Bytes)>,
    /// The number of the last message that was taken account of, of any key of the bucket.
    latest: u64,
}

impl Known {
    /// Creates what is known before the first message.
    pub(super) fn new(keys: Keys, epoch: Epoch, history: Arc<History>) -> Self {
        // What is not there any more is newer than all that was seen of it.
        let latest = history.highest();
        Self { keys, epoch, history, values: BTreeMap::new(), latest }
    }

    pub(super) fn epoch(&self) -> Epoch {
        self.epoch
    }

    pub(super) fn latest(&self) -> u64 {
        self.latest
    }

    /// Takes the message with this number, of `key`.
    pub(super) fn takes(&mut self, key: &str, sequence: u64, message: Message) {
        self.latest = self.latest.max(sequence);
        let Some(name) = self.keys.name(key) else { return };
        if is_gone(&message) {
            self.values.remove(name);
        } else if let Some(value) = self.values.get_mut(name) {
            *value = (sequence, message.payload);
        } else {
            self.values.insert(name.to_owned(), (sequence, message.payload));
        }
    }

    /// Forgets what is not among the keys that there were when the bucket had counted up to `last`; a
    /// value that expires, or that an administrator removes, leaves nothing behind that would tell.
    pub(super) fn keeps(&mut self, keys: &HashSet<&str>, last: u64) {
        let place = &self.keys;
        self.values
            .retain(|name, (sequence, _)| *sequence > last || keys.contains(&*place.key(name)));
        self.latest = self.latest.max(last);
    }

    pub(super) fn entry(&self) -> Entry {
        self.history.saw(self.epoch, self.latest);
        let (entry, sequence) = if let Keys::One(_) = self.keys {
            match self.values.values().next() {
                Some((sequence, bytes)) => (Entry::one(bytes.clone()), *sequence),
                None => (Entry::gone(), self.latest),
            }
        } else {
            let values = self.values.iter();
            let set = values.map(|(name, (_, bytes))| (name.clone(), bytes.clone())).collect();
            (Entry::set(set), self.latest)
        };
        // Nothing was ever there.
        if sequence == 0 { entry } else { entry.at(self.epoch.revision(sequence)) }
    }
}

fn is_gone(message: &Message) -> bool {
    message.headers.as_ref().is_some_and(|headers| {
        headers.get(MARKER).is_some()
            || headers.get(OPERATION).is_some_and(|did| matches!(did.as_str(), "DEL" | "PURGE"))
    })
}

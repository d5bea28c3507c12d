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
    /// The number of the last message that was pushed, of any key of the bucket.
    latest: u64,
    /// The number of the one that said last that a key is gone.
    gone: Option<u64>,
}

impl Known {
    /// Creates what is known before the first message.
    pub(super) fn new(keys: Keys, epoch: Epoch, history: Arc<History>) -> Self {
        // What is not there any more is newer than all that was seen of it.
        let latest = history.highest();
        Self { keys, epoch, history, values: BTreeMap::new(), latest, gone: None }
    }

    pub(super) fn epoch(&self) -> &Epoch {
        &self.epoch
    }

    pub(super) fn latest(&self) -> u64 {
        self.latest
    }

    /// Takes the message with this number, of `key`, that was pushed.
    pub(super) fn takes(&mut self, key: &str, sequence: u64, message: Message) {
        self.latest = self.latest.max(sequence);
        self.reads(key, sequence, message);
    }

    /// Takes the message with this number, of `key`, that was read: one that was pushed may be newer.
    pub(super) fn reads(&mut self, key: &str, sequence: u64, message: Message) {
        self.history.told(&self.epoch, sequence);
        let Some(name) = self.keys.name(key) else { return };
        if let Keys::One(_) = self.keys {
            if self.newest().is_some_and(|newest| sequence < newest) {
                return;
            }
            self.history.takes(&self.epoch, sequence);
        }
        let is_gone = is_gone(&message);
        self.gone = is_gone.then_some(sequence);
        if is_gone {
            self.values.remove(name);
        } else if let Some(value) = self.values.get_mut(name) {
            *value = (sequence, message.payload);
        } else {
            self.values.insert(name.to_owned(), (sequence, message.payload));
        }
    }

    /// Takes note of how far the watch has come; whether the newest message of the one key, which it was not
    /// sent on the way, was removed: what there is now is newest from here on.
    pub(super) fn passes(&mut self, sequence: u64) -> bool {
        let newest = self.newest();
        let removed = newest.and_then(|newest| self.history.passed(&self.epoch, newest, sequence));
        let is_removed = removed.is_some();
        self.epoch = removed.unwrap_or_else(|| self.epoch.clone());
        is_removed
    }

    /// Forgets what is of another epoch than this, which is that of what is read next.
    pub(super) fn begins(&mut self, epoch: &Epoch) {
        if self.epoch != *epoch {
            self.epoch = epoch.clone();
            self.values.clear();
            self.gone = None;
        }
    }

    /// The number of the last message of the one key, if there is one.
    fn newest(&self) -> Option<u64> {
        let Keys::One(_) = self.keys else { return None };
        self.values.values().next().map(|(sequence, _)| *sequence).or(self.gone)
    }

    /// Forgets what is not among the keys that there were when the bucket had counted up to `last`; a
    /// value that expires, or that an administrator removes, leaves nothing behind that would tell.
    ///
    /// It is not known as of `last` now: messages up to there may be on their way.
    pub(super) fn keeps(&mut self, keys: &HashSet<&str>, last: u64) {
        let place = &self.keys;
        self.values
            .retain(|name, (sequence, _)| *sequence > last || keys.contains(&*place.key(name)));
    }

    pub(super) fn entry(&self) -> Entry {
        let (entry, sequence) = if let Keys::One(_) = self.keys {
            match self.values.values().next() {
                Some((sequence, bytes)) => (Entry::one(bytes.clone()), *sequence),
                // A member that lags behind may say so of an earlier time.
                None => (Entry::gone(), self.gone.unwrap_or(self.latest)),
            }
        } else {
            let values = self.values.iter();
            let set = values.map(|(name, (_, bytes))| (name.clone(), bytes.clone())).collect();
            (Entry::set(set), self.latest)
        };
        // Nothing was ever there.
        if sequence == 0 { entry } else { entry.at(self.epoch.at(sequence)) }
    }
}

fn is_gone(message: &Message) -> bool {
    message.headers.as_ref().is_some_and(|headers| {
        headers.get(MARKER).is_some()
            || headers.get(OPERATION).is_some_and(|did| matches!(did.as_str(), "DEL" | "PURGE"))
    })
}

#[cfg(test)]
mod tests {
    use async_nats::HeaderMap;

    use super::*;
    use crate::content::Revision;

    fn message(text: &str) -> Message {
        let payload = Bytes::from(text.to_owned());
        let headers = text.is_empty().then(|| {
            let mut headers = HeaderMap::new();
            headers.insert(OPERATION, "DEL");
            headers
        });
        Message {
            subject: "s".into(),
            reply: None,
            length: payload.len(),
            payload,
            headers,
            status: None,
            description: None,
        }
    }

    /// What is known of a bucket that has counted up to `last`.
    fn known(keys: Keys, last: u64) -> Known {
        let history = Arc::new(History::default());
        let epoch = history.read(&history.before(), "monday".into(), last);
        Known::new(keys, epoch, history)
    }

    fn at(known: &Known, number: u64) -> Revision {
        known.epoch.at(number)
    }

    #[test]
    fn a_message_that_is_on_its_way_is_not_passed_over_by_a_look() {
        let mut known = known(Keys::Prefix("f.".into()), 9);
        known.takes("f.a", 8, message("1"));
        known.takes("f.b", 9, message("1"));
        // The bucket has counted to 10 meanwhile, and `f.b` has expired.
        known.keeps(&HashSet::from(["f.a"]), 10);
        let left = Entry::set([("a".to_owned(), "1".into())].into()).at(at(&known, 9));
        assert!(known.entry() == left);
        known.takes("f.a", 10, message("2"));
        assert_eq!(known.entry().revision(), Some(at(&known, 10)));
    }

    #[test]
    fn a_key_is_gone_as_of_the_message_that_says_so() {
        let mut known = known(Keys::One("k".into()), 7);
        assert_eq!(known.entry().revision(), Some(at(&known, 7)));
        known.takes("k", 6, message(""));
        assert_eq!(known.entry().revision(), Some(at(&known, 6)));
        known.takes("k", 8, message("1"));
        known.keeps(&HashSet::new(), 9);
        assert_eq!(known.entry().revision(), Some(at(&known, 8)));
    }
}

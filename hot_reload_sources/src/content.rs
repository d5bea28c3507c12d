//! What a store holds at one moment.

use std::{
    collections::BTreeMap,
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
};

use bytes::Bytes;

use crate::error::StoreError;

/// What a key holds, or all keys of a set.
#[derive(Clone, PartialEq, Eq)]
pub enum Content {
    /// One value.
    One(Bytes),
    /// A set, read at one moment; its names are without what all of them begin with.
    Set(BTreeMap<String, Bytes>),
}

impl Content {
    /// Bytes in all, names included.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::One(bytes) => bytes.len(),
            Self::Set(set) => set.iter().map(|(name, bytes)| name.len() + bytes.len()).sum(),
        }
    }

    /// Whether there is nothing in it.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::One(bytes) => bytes.iter().all(u8::is_ascii_whitespace),
            Self::Set(set) => set.is_empty(),
        }
    }
}

/// Tells how much it is, and never what, as it may be a secret.
impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(bytes) => write!(f, "One({} bytes)", bytes.len()),
            Self::Set(set) => write!(f, "Set({} keys, {} bytes)", set.len(), self.size()),
        }
    }
}

/// Where an entry stands in the order of its store, so that an older never replaces a newer.
///
/// # Examples
///
/// ```
/// use hot_reload_sources::Revision;
///
/// let cluster = "7587869135466163513";
/// assert!(Revision::new(cluster, 6).is_older_than(Revision::new(cluster, 7)));
/// // A store that was set up anew counts from the start again.
/// assert!(!Revision::new("another", 6).is_older_than(Revision::new(cluster, 7)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revision {
    epoch: u64,
    number: u64,
}

impl Revision {
    /// Creates the revision `number`, counted by what `epoch` identifies: a cluster, a stream.
    ///
    /// Numbers of different epochs have no order: there, what is read later is newer.
    pub fn new(epoch: impl Hash, number: u64) -> Self {
        // Fixed keys, so that it is the same for every connection of the process.
        let mut hasher = DefaultHasher::new();
        epoch.hash(&mut hasher);
        Self { epoch: hasher.finish(), number }
    }

    /// Whether `other` is newer, as far as the two can be compared.
    pub fn is_older_than(self, other: Self) -> bool {
        self.epoch == other.epoch && self.number < other.number
    }
}

/// What a store holds at one moment, and which moment that is.
///
/// Two are equal if they hold the same, or say the same of why they can't be taken.
#[derive(Debug, Clone)]
pub struct Entry {
    pub(crate) content: Result<Option<Content>, StoreError>,
    pub(crate) revision: Option<Revision>,
}

impl Entry {
    /// Creates an entry of one value.
    pub fn one(bytes: impl Into<Bytes>) -> Self {
        Self { content: Ok(Some(Content::One(bytes.into()))), revision: None }
    }

    /// Creates an entry of a set.
    pub fn set(set: BTreeMap<String, Bytes>) -> Self {
        Self { content: Ok(Some(Content::Set(set))), revision: None }
    }

    /// Creates an entry that says that there is nothing.
    pub fn gone() -> Self {
        Self { content: Ok(None), revision: None }
    }

    /// Creates an entry of what is there and can't be a value: the last good one serves on, and `error` is
    /// said until another entry comes.
    ///
    /// An error of the read or the watch in its place would have the connection given up, and what mends it
    /// found only by the next.
    pub fn invalid(error: StoreError) -> Self {
        Self { content: Err(error), revision: None }
    }

    /// Says where it stands in the order of its store.
    ///
    /// Without that, entries are taken in the order in which they arrive, and one that was read while
    /// another arrived is read again.
    #[must_use]
    pub fn at(mut self, revision: Revision) -> Self {
        self.revision = Some(revision);
        self
    }

    /// Returns what is there, if anything that can be taken.
    pub fn content(&self) -> Option<&Content> {
        self.content.as_ref().ok()?.as_ref()
    }

    /// Returns why what is there can't be taken, if that is so.
    pub fn error(&self) -> Option<&StoreError> {
        self.content.as_ref().err()
    }

    /// Returns where it stands in the order of its store, if that was said.
    pub fn revision(&self) -> Option<Revision> {
        self.revision
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        let holds_same = match (&self.content, &other.content) {
            (Ok(content), Ok(other)) => content == other,
            (Err(error), Err(other)) => error.says_the_same_as(other),
            _ => false,
        };
        holds_same && self.revision == other.revision
    }
}

impl Eq for Entry {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_invalid_for_the_same_reason_is_the_same() {
        let invalid = |told: &str| Entry::invalid(StoreError::invalid(told));
        assert_eq!(invalid("a list"), invalid("a list"));
        assert_ne!(invalid("a list"), invalid("a stream"));
        assert_ne!(invalid("a list"), Entry::gone());
        assert!(invalid("a list").content().is_none() && Entry::gone().error().is_none());
        let because = |cause: &str| Entry::invalid(StoreError::invalid("a list").because(cause));
        assert_eq!(because("x"), because("x"));
        assert_ne!(because("x"), because("y"));
        let at = |number| invalid("a list").at(Revision::new("one", number));
        assert_ne!(at(1), at(2));
    }
}

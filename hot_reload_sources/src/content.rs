//! What a store holds at one moment.

use std::{
    collections::BTreeMap,
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
};

use bytes::Bytes;

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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub(crate) content: Option<Content>,
    pub(crate) revision: Option<Revision>,
}

impl Entry {
    /// Creates an entry of one value.
    pub fn one(bytes: impl Into<Bytes>) -> Self {
        Self { content: Some(Content::One(bytes.into())), revision: None }
    }

    /// Creates an entry of a set.
    pub fn set(set: BTreeMap<String, Bytes>) -> Self {
        Self { content: Some(Content::Set(set)), revision: None }
    }

    /// Creates an entry that says that there is nothing.
    pub fn gone() -> Self {
        Self { content: None, revision: None }
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

    /// Returns what is there, if anything.
    pub fn content(&self) -> Option<&Content> {
        self.content.as_ref()
    }

    /// Returns where it stands in the order of its store, if that was said.
    pub fn revision(&self) -> Option<Revision> {
        self.revision
    }
}

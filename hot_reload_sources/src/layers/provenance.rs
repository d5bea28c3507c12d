//! Which layer gave a key.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex},
};

use crate::lock::lock;

/// What gave each key: the name of its layer, or of a variable of the environment; never a value.
pub type Origins = BTreeMap<String, Arc<str>>;

/// Tells for each key which layer it is from, while a service follows the layers.
///
/// It is of the newest value that could be merged, which a gate of the service may yet refuse. Lists are
/// taken from one layer as a whole, and have one line.
#[derive(Debug, Clone, Default)]
pub struct Provenance(Arc<Mutex<Arc<Origins>>>);

impl Provenance {
    /// Returns all keys, in dotted form, each with what gave it; none before the first merge.
    pub fn get(&self) -> Arc<Origins> {
        Arc::clone(&lock(&self.0))
    }

    /// Returns what gave `key`, such as `limits.rps`.
    pub fn of(&self, key: &str) -> Option<Arc<str>> {
        lock(&self.0).get(key).cloned()
    }

    pub(super) fn set(&self, origins: Origins) {
        *lock(&self.0) = Arc::new(origins);
    }
}

/// A line for each key, as status pages have it.
impl fmt::Display for Provenance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().iter().try_for_each(|(key, origin)| writeln!(f, "{key}: {origin}"))
    }
}

//! What a layer gives: keys and values, as any format has them.

use std::{collections::BTreeMap, fmt, sync::Arc};

use figment::value::{Dict, Num, Value};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A tree of keys and values of no type yet: what a store, or a source of your own, is to yield to
/// become a [`Layer`](super::Layer).
///
/// # Examples
///
/// ```
/// use std::collections::BTreeMap;
/// use hot_reload_sources::layers::Tree;
///
/// assert!(Tree::of(&BTreeMap::from([("workers", 2)])).is_ok());
/// assert!(Tree::of(&"workers").is_err());
/// ```
#[derive(Clone, Default)]
pub struct Tree {
    pub(super) keys: Dict,
    /// What gave a key, where that is more than the layer: a variable of the environment.
    pub(super) names: BTreeMap<String, Arc<str>>,
}

impl Tree {
    /// Makes a tree of anything that has keys.
    ///
    /// # Errors
    ///
    /// When `value` has none, or what is in it can't be put into one, as bytes.
    pub fn of(value: &impl Serialize) -> Result<Self, TreeError> {
        // What it says may quote the value.
        Self::from_value(Value::serialize(value).map_err(|_| TreeError::Unfit)?)
    }

    fn from_value(value: Value) -> Result<Self, TreeError> {
        match value {
            Value::Dict(_, keys) => Ok(Self { keys, names: BTreeMap::new() }),
            // An empty text, where that is allowed.
            Value::Empty(..) => Ok(Self::default()),
            _ => Err(TreeError::NoKeys),
        }
    }

    /// What gave the key at `path`, where that is more than the layer.
    pub(super) fn name_of(&self, path: &[String]) -> Option<&Arc<str>> {
        (1..=path.len()).rev().find_map(|n| self.names.get(&path[..n].join(".")))
    }
}

/// Why something is no tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TreeError {
    /// It is one value, or a list of them.
    #[error("no keys in it; a layer has to be a table of them")]
    NoKeys,
    /// There is something in it that no format has.
    #[error("something in it is neither a key with a value nor a list of values")]
    Unfit,
}

impl PartialEq for Tree {
    fn eq(&self, other: &Self) -> bool {
        same_keys(&self.keys, &other.keys)
    }
}

/// A number that is none is the same as itself here.
impl Eq for Tree {}

fn same_keys(a: &Dict, b: &Dict) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.0 == b.0 && same(a.1, b.1))
}

fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Dict(_, a), Value::Dict(_, b)) => same_keys(a, b),
        (Value::Array(_, a), Value::Array(_, b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Num(_, Num::F64(a)), Value::Num(_, Num::F64(b))) => a.total_cmp(b).is_eq(),
        (Value::Num(_, Num::F32(a)), Value::Num(_, Num::F32(b))) => a.total_cmp(b).is_eq(),
        _ => a == b,
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_value(<Value as Deserialize>::deserialize(deserializer)?)
            .map_err(de::Error::custom)
    }
}

impl Serialize for Tree {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.keys.serialize(serializer)
    }
}

/// Without the values, any of which may be a secret.
impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.keys.keys()).finish()
    }
}

//! Trees merged into one value, and what to say of the key that does not fit.

use std::sync::Arc;

use figment::{
    Error, Figment, Metadata, Profile, Provider,
    error::{Actual, Kind},
    value::{Dict, Map, Value},
};
use serde::de::DeserializeOwned;

use super::{
    provenance::Origins,
    told::{hide, mask},
    tree::Tree,
};

/// How TOML's own type of a date and time looks to all other formats.
const DATETIME: &str = "$__toml_private_datetime";

/// What one layer has to give.
pub(super) struct Part<'a> {
    pub(super) name: &'a Arc<str>,
    pub(super) tree: &'a Tree,
}

/// A value, and where its keys are from.
#[derive(Debug)]
pub(super) struct Merged<V> {
    pub(super) value: V,
    pub(super) origins: Origins,
}

/// Why the whole is no value.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// Which of the parts gave what does not fit; `None` where no part gave anything.
    pub(super) part: Option<usize>,
    /// Where it is, or should be.
    pub(super) path: Vec<String>,
    /// What and where, without any value.
    pub(super) words: String,
}

/// Merges `parts`, later ones over earlier ones.
pub(super) fn merge<V: DeserializeOwned>(parts: &[Part<'_>]) -> Result<Merged<V>, Fault> {
    let figment = parts.iter().enumerate().fold(Figment::new(), |figment, (n, part)| {
        figment.merge(Numbered { n, keys: &part.tree.keys })
    });
    let keys = figment
        .data()
        .ok()
        .and_then(|mut profiles| profiles.remove(&Profile::Default))
        .unwrap_or_default();
    let part_of = |value: &Value| {
        let metadata = figment.get_metadata(value.tag());
        metadata.and_then(|metadata| metadata.name.parse::<usize>().ok())
    };
    let origin = |value: &Value, path: &[String]| {
        let n = part_of(value)?;
        let part = parts.get(n)?;
        Some((n, Arc::clone(part.tree.name_of(path).unwrap_or(part.name))))
    };
    match figment.extract::<V>() {
        Ok(value) => {
            let mut origins = Origins::new();
            walk(&keys, &mut Vec::new(), &mut |path, value| {
                if let Some((_, name)) = origin(value, path) {
                    origins.insert(dotted(path), name);
                }
            });
            Ok(Merged { value, origins })
        }
        Err(error) => {
            let Error { path, kind, .. } = error;
            let found = if let Kind::MissingField(_) = kind { None } else { find(&keys, &path) };
            let origin = found.and_then(|found| origin(found, &path));
            let problem = problem(&kind, found);
            let mut path = path;
            if let Kind::MissingField(field) = &kind {
                path.push(field.to_string());
            }
            let key = dotted(&path);
            let colon = if key.is_empty() { "" } else { ": " };
            let (part, words) = match origin {
                Some((n, name)) => (Some(n), format!("{name}: {key}{colon}{problem}")),
                None => (None, format!("{key}{colon}{problem}")),
            };
            Err(Fault { part, path, words })
        }
    }
}

/// A layer as [`figment`] takes it: its metadata is its number.
struct Numbered<'a> {
    n: usize,
    keys: &'a Dict,
}

impl Provider for Numbered<'_> {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.n.to_string())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        Ok(Profile::Default.collect(self.keys.clone()))
    }
}

/// A key as it is written in a line.
fn dotted(path: &[String]) -> String {
    path.iter().map(|segment| segment.escape_debug().to_string()).collect::<Vec<_>>().join(".")
}

/// Shows every value that is no table to `see`, with where it is.
fn walk(keys: &Dict, path: &mut Vec<String>, see: &mut impl FnMut(&[String], &Value)) {
    for (key, value) in keys {
        path.push(key.clone());
        match value {
            Value::Dict(_, below) if !below.is_empty() && !below.contains_key(DATETIME) => {
                walk(below, path, see);
            }
            leaf => see(path, leaf),
        }
        path.pop();
    }
}

/// The value at `path`, through tables and lists.
fn find<'k>(keys: &'k Dict, path: &[String]) -> Option<&'k Value> {
    let (first, below) = path.split_first()?;
    below.iter().try_fold(keys.get(first)?, |value, segment| match value {
        Value::Dict(_, keys) => keys.get(segment),
        Value::Array(_, list) => list.get(segment.parse::<usize>().ok()?),
        _ => None,
    })
}

/// Whether `keys` have something at `path`.
pub(super) fn has(tree: &Tree, path: &[String]) -> bool {
    find(&tree.keys, path).is_some()
}

/// What is wrong, without what was found and without quotes: the log masks what stands in them.
fn problem(kind: &Kind, found: Option<&Value>) -> String {
    match kind {
        Kind::InvalidType(actual, expected) => {
            format!("invalid type: found {}, expected {expected}", noun(actual))
        }
        Kind::InvalidValue(actual, expected) => {
            format!("invalid value: found another {}, expected {expected}", noun(actual))
        }
        Kind::InvalidLength(length, expected) => {
            format!("invalid length {length}, expected {expected}")
        }
        Kind::UnknownVariant(_, variants) => {
            format!("unknown variant, expected one of {}", variants.join(", "))
        }
        Kind::UnknownField(_, fields) => {
            format!("unknown key, expected one of {}", fields.join(", "))
        }
        Kind::MissingField(_) => "missing; none of the layers gives it".to_owned(),
        Kind::DuplicateField(_) => "given twice".to_owned(),
        Kind::ISizeOutOfRange(_) | Kind::USizeOutOfRange(_) => "a number out of range".to_owned(),
        Kind::Unsupported(actual) => format!("{}, which is not supported", noun(actual)),
        Kind::UnsupportedKey(actual, expected) => {
            format!("a key that is {}, which has to be {expected}", noun(actual))
        }
        Kind::Message(words) => {
            let mut words = words.lines().next().unwrap_or_default().to_owned();
            let mut hide = |value: &Value| {
                for text in texts(value) {
                    words = hide(&words, &text);
                }
            };
            match found {
                Some(Value::Dict(_, below)) => {
                    walk(below, &mut Vec::new(), &mut |_, value| hide(value));
                }
                Some(value) => hide(value),
                None => {}
            }
            mask(&words)
        }
    }
}

/// The words that a message may have for a value, its longest first.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Array(_, list) => list.iter().flat_map(texts).collect(),
        Value::Dict(_, keys) => keys.values().flat_map(texts).collect(),
        Value::String(_, text) => vec![text.clone()],
        Value::Char(_, c) => vec![c.to_string()],
        Value::Num(_, number) => match number.to_actual() {
            Actual::Unsigned(n) => vec![n.to_string()],
            Actual::Signed(n) => vec![n.to_string()],
            Actual::Float(n) => vec![n.to_string()],
            _ => Vec::new(),
        },
        Value::Bool(..) | Value::Empty(..) => Vec::new(),
    }
}

fn noun(actual: &Actual) -> &'static str {
    match actual {
        Actual::Bool(_) => "boolean",
        Actual::Unsigned(_) | Actual::Signed(_) => "integer",
        Actual::Float(_) => "float",
        Actual::Char(_) => "character",
        Actual::Str(_) => "string",
        Actual::Bytes(_) => "bytes",
        Actual::Unit | Actual::Option => "nothing",
        Actual::Seq => "list",
        Actual::Map => "table",
        Actual::NewtypeStruct
        | Actual::Enum
        | Actual::UnitVariant
        | Actual::NewtypeVariant
        | Actual::TupleVariant
        | Actual::StructVariant
        | Actual::Other(_) => "something else",
    }
}

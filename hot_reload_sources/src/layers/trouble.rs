//! Why a layer, or the whole, is not as it should be.

use std::sync::Arc;

use hot_reload::{FileError, ReloaderError};

use super::tree::Tree;
use crate::error::StoreError;

/// What is wrong with one layer; can be told again and again.
#[derive(Debug)]
pub(super) enum Trouble {
    /// With its place in the file, or in what a store holds.
    File(FileError),
    Words(Arc<str>),
}

impl Trouble {
    /// Takes what the layer `name` has to say.
    pub(super) fn of(name: &str, error: &ReloaderError<Tree, String>) -> Self {
        if let Some(error) = error.file_error() {
            return Self::File(error.again());
        }
        let words = match error {
            ReloaderError::Other(error) => format!("{error:#}"),
            other => other.to_string(),
        };
        Self::words(name, &words)
    }

    /// Takes words about the layer `name`, which they name or do not.
    pub(super) fn words(name: &str, words: &str) -> Self {
        if words.starts_with(name) {
            Self::Words(words.into())
        } else {
            Self::Words(format!("{name}: {words}").into())
        }
    }

    /// On one line.
    fn in_short(&self) -> String {
        match self {
            Self::File(error) => error.without_content(),
            Self::Words(words) => words.lines().next().unwrap_or_default().to_owned(),
        }
    }

    fn error(&self) -> anyhow::Error {
        match self {
            Self::File(error) => error.again().into(),
            Self::Words(words) => anyhow::anyhow!("{words}"),
        }
    }
}

/// Whether a layer says that there is nothing, and means it: a bucket or a table that is not there may
/// well be one that was lost.
pub(super) fn is_missing(error: &ReloaderError<Tree, String>) -> bool {
    let ReloaderError::Other(error) = error else { return false };
    error.downcast_ref::<StoreError>().is_some_and(StoreError::is_gone)
        || error.downcast_ref::<FileError>().is_some_and(FileError::is_missing)
}

/// Makes one error of all troubles, the first of which may have a place in a file.
pub(super) fn as_one<'t>(troubles: impl IntoIterator<Item = &'t Trouble>) -> Option<anyhow::Error> {
    let mut troubles = troubles.into_iter();
    let first = troubles.next()?.error();
    let others: Vec<_> = troubles.map(Trouble::in_short).collect();
    if others.is_empty() {
        return Some(first);
    }
    Some(first.context(format!("{}, and", others.join(", and "))))
}

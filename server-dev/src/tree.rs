//! The files that a service is made of, as a source of [`hot_reload`]: its value is what was edited.

mod filter;
mod index;
mod watch;

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use hot_reload::{RealtimeWatch, RealtimeWatchHandle, Reload, ReloadResult, ReloaderError};

pub(crate) use filter::Filter;
use index::Index;

use crate::config::Action;

/// Edits that are remembered for whoever has not looked for a while; of more, only their number.
const REMEMBERED: usize = 256;

/// A tree of files that is followed.
#[derive(Debug, Clone)]
pub(crate) struct Tree(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    filter: Filter,
    settle: Duration,
    found: Mutex<Found>,
}

/// What was found so far.
#[derive(Debug, Default)]
struct Found {
    index: Index,
    edits: Edits,
}

/// The last edits of a tree, each by its number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Edits {
    /// How many there were since the start.
    number: u64,
    last: VecDeque<Arc<Edit>>,
}

/// A file whose contents changed, that appeared or vanished.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Edit {
    pub(crate) path: PathBuf,
    pub(crate) action: Action,
}

impl Tree {
    pub(crate) fn new(filter: Filter, settle: Duration) -> Self {
        Self(Arc::new(Shared { filter, settle, found: Mutex::default() }))
    }

    /// How many files there are, and in how many folders.
    pub(crate) fn size(&self) -> (usize, usize) {
        self.found().index.size()
    }

    /// Returns a path as a person in `directory` names it.
    pub(crate) fn named<'a>(&self, path: &'a Path) -> &'a Path {
        path.strip_prefix(self.0.filter.directory()).unwrap_or(path)
    }

    /// Looks at everything, and returns the edits, were there any.
    pub(crate) fn look(&self) -> Edits {
        let mut found = self.found();
        let Found { index, edits } = &mut *found;
        index.look_at_all(&self.0.filter, |edit| edits.push(edit));
        edits.clone()
    }

    /// Looks at these paths only.
    fn look_at(&self, paths: &[PathBuf]) -> Edits {
        let mut found = self.found();
        let Found { index, edits } = &mut *found;
        for path in paths {
            index.look_at(path, &self.0.filter, |edit| edits.push(edit));
        }
        edits.clone()
    }

    /// Returns the folders that are to be watched.
    fn folders(&self) -> Vec<PathBuf> {
        self.found().index.folders()
    }

    /// Reads the files for the first time, so that a later edit can be told from a mere touch.
    fn learn(&self) {
        loop {
            // Not while the lock is held: somebody may have edited by then.
            let Some(unknown) = self.found().index.next_unknown() else { return };
            let hash = unknown.hash();
            self.found().index.learn(unknown, hash);
        }
    }

    fn found(&self) -> MutexGuard<'_, Found> {
        // What a panicking holder left is at worst not yet looked at.
        self.0.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Edits {
    fn push(&mut self, edit: Edit) {
        self.number += 1;
        self.last.push_back(Arc::new(edit));
        if self.last.len() > REMEMBERED {
            self.last.pop_front();
        }
    }

    /// Returns those after `seen`, of which there may have been more than are remembered.
    pub(crate) fn since(&self, seen: &Self) -> impl Iterator<Item = &Arc<Edit>> {
        let missed = usize::try_from(self.number - seen.number).unwrap_or(usize::MAX);
        self.last.iter().skip(self.last.len().saturating_sub(missed))
    }
}

#[async_trait]
impl Reload<Edits, String> for Tree {
    type Source = Tree;

    async fn new(tree: &Tree) -> ReloadResult<Self, Edits, String> {
        Ok(tree.clone())
    }

    async fn reload(&self) -> ReloadResult<Option<Edits>, Edits, String> {
        let tree = self.clone();
        let look = tokio::task::spawn_blocking(move || tree.look());
        look.await.map(Some).map_err(|error| ReloaderError::Reload(error.to_string()))
    }
}

#[async_trait]
impl RealtimeWatch<Edits, String> for Tree {
    async fn watch_realtime(&self) -> ReloadResult<RealtimeWatchHandle<Edits>, Edits, String> {
        let tree = self.clone();
        let watched = tokio::task::spawn_blocking(move || watch::start(tree)).await;
        match watched {
            Ok(Ok(handle)) => Ok(handle),
            Ok(Err(error)) => Err(ReloaderError::Reload(error)),
            Err(error) => Err(ReloaderError::Reload(error.to_string())),
        }
    }
}

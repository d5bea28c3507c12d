//! The files that a service is made of, as a source of [`hot_reload`]: its value is what was edited.

mod arm;
mod extensions;
pub(crate) mod filesystem;
mod filter;
mod follow;
mod identity;
mod ignored;
mod index;
mod inotify;
mod links;
mod names;
mod needed;
mod noted;
mod seen;

use std::{
    collections::{BTreeSet, VecDeque},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use hot_reload::{RealtimeWatch, RealtimeWatchHandle, Reload, ReloadResult, ReloaderError};

use tokio::sync::watch;

pub(crate) use self::{
    filter::{Filter, InvalidFilter},
    ignored::CACHE,
};
use self::{
    index::{Index, Look, Watcher},
    inotify::NoWatch,
    needed::Needed,
};
use crate::config::{Action, poll_interval};

/// A tree that never rests is looked at after so many settle windows, or this long.
const CEILING: u32 = 10;
const SHORTEST_CEILING: Duration = Duration::from_secs(1);
/// Edits that are remembered for whoever has not looked for a while; of more, only their number.
const REMEMBERED: usize = 256;
/// How many kinds of [`Action`] there are, of which this is the last.
const ACTIONS: usize = Action::Nothing as usize + 1;

/// A tree of files that is followed.
#[derive(Debug, Clone)]
pub(crate) struct Tree(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    filter: Filter,
    settle: Duration,
    /// How often everything is looked at, where nobody is to tell.
    poll: Option<Duration>,
    found: Mutex<Found>,
    mechanism: watch::Sender<Mechanism>,
}

/// How edits are noticed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Mechanism {
    /// Whether the system tells of them.
    pub(crate) is_told: bool,
    /// How often everything is looked at as well.
    pub(crate) poll: Option<Duration>,
    /// Why it has to be.
    pub(crate) reason: Option<String>,
}

/// What was found so far.
#[derive(Debug, Default)]
struct Found {
    index: Index,
    edits: Edits,
    /// Whether nothing can have been missed since the watch began to look.
    is_fresh: bool,
}

/// The last edits of a tree, each by its number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Edits {
    /// How many of each [`Action`] there were since the start.
    numbers: [u64; ACTIONS],
    last: VecDeque<Arc<Edit>>,
}

/// A file whose contents changed, that appeared or vanished.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Edit {
    pub(crate) path: PathBuf,
    pub(crate) action: Action,
    /// When it was written last, or put where it is; `None` where it is gone, or on a filesystem without times.
    pub(crate) modified: Option<SystemTime>,
}

impl Tree {
    pub(crate) fn new(filter: Filter, settle: Duration, poll: Option<Duration>) -> Self {
        let (mechanism, found) = (watch::Sender::default(), Mutex::default());
        Self(Arc::new(Shared { filter, settle, poll, found, mechanism }))
    }

    /// How edits are noticed, as long as that lasts.
    pub(crate) fn watch_mechanism(&self) -> watch::Receiver<Mechanism> {
        self.0.mechanism.subscribe()
    }

    /// Looks at everything once, watches nothing, and returns what would be watched.
    pub(crate) fn survey(&self) -> BTreeSet<PathBuf> {
        let mut needed = Needed::default();
        self.look(&mut needed);
        needed.above(&self.0.filter);
        needed.paths
    }

    /// What is looked at, as a person names it.
    pub(crate) fn roots(&self) -> Vec<String> {
        let filter = &self.0.filter;
        // Most have no file of variables.
        let is_there = |root: &&PathBuf| *root != filter.env_file() || root.exists();
        let named = filter.roots().iter().filter(is_there).map(|root| self.named(root));
        let here = |root: &Path| {
            if root.as_os_str().is_empty() { Path::new(".") } else { root }.display().to_string()
        };
        named.map(here).collect()
    }

    /// The extensions that files have which count, where not all do.
    pub(crate) fn extensions(&self) -> &[String] {
        self.0.filter.extensions()
    }

    /// Whether there is a file whose edit would be told, beside that of variables.
    pub(crate) fn has_files(&self) -> bool {
        let (files, _) = self.size();
        files > usize::from(self.found().index.has(self.0.filter.env_file()))
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
    fn look(&self, watcher: &mut impl Watcher) -> Edits {
        let mut found = self.found();
        found.look(&self.0.filter, watcher).at_all();
        found.edits.clone()
    }

    /// Looks at these paths only.
    fn look_at(&self, paths: &BTreeSet<PathBuf>, watcher: &mut impl Watcher) -> Edits {
        let mut found = self.found();
        found.look(&self.0.filter, watcher).at(paths);
        found.edits.clone()
    }

    fn number(&self) -> u64 {
        self.found().edits.number()
    }

    /// How long a tree may go on changing, before it is looked at all the same.
    fn ceiling(&self) -> Duration {
        (self.0.settle * CEILING).max(SHORTEST_CEILING)
    }

    fn mechanism(&self) -> Mechanism {
        self.0.mechanism.borrow().clone()
    }

    /// Says how it is watched, after a look.
    fn set_mechanism(&self, no_watch: Option<&NoWatch>) {
        let silent = self.found().index.silent().map(|(folder, kind)| {
            format!("{} is on {kind}, which does not tell of every change", folder.display())
        });
        let reason = no_watch.map(NoWatch::to_string).or(silent);
        let poll = self.0.poll.or_else(|| reason.is_some().then_some(*poll_interval()));
        let is_told = no_watch.is_none() && self.0.poll.is_none();
        let now = Mechanism { is_told, poll, reason: reason.filter(|_| self.0.poll.is_none()) };
        self.0.mechanism.send_if_modified(|known| {
            *known != now && {
                *known = now;
                true
            }
        });
    }

    /// Reads the files for the first time, so that a later edit can be told from a mere touch.
    fn learn(&self) {
        loop {
            // Not while the lock is held: somebody may have edited by then.
            let Some(unknown) = self.found().index.next_unknown() else { return };
            let hash = unknown.hash();
            self.found().index.learn(&unknown, hash);
        }
    }

    fn found(&self) -> MutexGuard<'_, Found> {
        // What a panicking holder left is at worst not yet looked at.
        self.0.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Found {
    fn look<'a, W: Watcher>(&'a mut self, filter: &'a Filter, watcher: &'a mut W) -> Look<'a, W> {
        Look { index: &mut self.index, filter, watcher, edits: &mut self.edits }
    }
}

impl Edits {
    /// How many there were since the start.
    pub(crate) fn number(&self) -> u64 {
        self.numbers.iter().sum()
    }

    pub(crate) fn push(&mut self, edit: Edit) {
        self.numbers[edit.action as usize] += 1;
        self.last.push_back(Arc::new(edit));
        if self.last.len() > REMEMBERED {
            self.last.pop_front();
        }
    }

    /// Whether there was one after `seen` that asks for this.
    pub(crate) fn ask_since(&self, seen: &Self, action: Action) -> bool {
        self.numbers[action as usize] > seen.numbers[action as usize]
    }

    /// Returns those after `seen`, of which there may have been more than are remembered.
    pub(crate) fn since(&self, seen: &Self) -> impl Iterator<Item = &Arc<Edit>> {
        let missed = usize::try_from(self.number() - seen.number()).unwrap_or(usize::MAX);
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
        let look = tokio::task::spawn_blocking(move || {
            if std::mem::take(&mut tree.found().is_fresh) {
                return tree.found().edits.clone();
            }
            tree.look(&mut ())
        });
        look.await.map(Some).map_err(|error| ReloaderError::Reload(error.to_string()))
    }
}

#[async_trait]
impl RealtimeWatch<Edits, String> for Tree {
    async fn watch_realtime(&self) -> ReloadResult<RealtimeWatchHandle<Edits>, Edits, String> {
        let watched = follow::start(self.clone()).await.map_err(ReloaderError::Reload)?;
        self.found().is_fresh = true;
        Ok(watched)
    }
}

//! What would be watched of a tree.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use super::{filter::Filter, index::Watcher, inotify::MAX_WATCHED_FILES, links::Links};

/// Folders and files, each by the one name that has no link in it: what has several is watched once.
#[derive(Debug, Default)]
pub(super) struct Needed {
    pub(super) paths: BTreeSet<PathBuf>,
    links: Links,
    files: usize,
}

impl Needed {
    /// The folders by which the end of a root is told are watched as well.
    pub(super) fn above(&mut self, filter: &Filter) {
        for above in filter.above_roots() {
            self.entered(above);
        }
    }
}

impl Watcher for Needed {
    fn entered(&mut self, folder: &Path) {
        // One that has gone isn't watched.
        self.paths.extend(folder.canonicalize());
    }

    fn linked(&mut self, link: &Path) {
        self.paths.extend(self.links.insert(link).through);
    }

    fn shared(&mut self, file: &Path) {
        self.files += 1;
        if self.files <= MAX_WATCHED_FILES {
            self.entered(file);
        }
    }

    // Nothing was there before.
    fn unlinked(&mut self, _link: &Path) {}
    fn unshared(&mut self, _file: &Path) {}
    fn left(&mut self, _folder: &Path) {}
}

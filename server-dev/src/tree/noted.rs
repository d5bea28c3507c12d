//! What the system has said of a tree.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use super::{
    filter::Filter,
    inotify::Hint,
    links::{Links, is_link},
};

/// Hints that are kept one by one; of more, everything is looked at.
const MAX_HINTED_PATHS: usize = 4096;

/// What the system has said since it was last asked.
#[derive(Debug, Default)]
pub(super) struct Noted {
    pub(super) paths: BTreeSet<PathBuf>,
    pub(super) hints: u64,
    /// Whether everything is to be looked at.
    pub(super) is_all: bool,
}

impl Noted {
    pub(super) fn all() -> Self {
        Self { is_all: true, ..Self::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.is_all && self.paths.is_empty()
    }

    pub(super) fn take_note(&mut self, hint: Hint, filter: &Filter, links: &Links) {
        match hint {
            Hint::Path { path, is_folder, is_new } => {
                // A new link may be one to a folder.
                let may_be_folder = || is_new && is_link(&path) && filter.concerns(&path, true);
                if filter.concerns(&path, is_folder) || may_be_folder() {
                    self.paths.insert(path);
                    self.hints += 1;
                } else {
                    self.take_note_of_links(&path, links);
                }
            }
            Hint::Way(path) => self.take_note_of_links(&path, links),
            Hint::Anything => {
                self.is_all = true;
                self.hints += 1;
            }
        }
        if self.paths.len() > MAX_HINTED_PATHS {
            self.is_all = true;
        }
        if self.is_all {
            self.paths.clear();
        }
    }

    fn take_note_of_links(&mut self, place: &Path, links: &Links) {
        for link in links.through(place) {
            self.paths.insert(link.clone());
            self.hints += 1;
        }
    }
}

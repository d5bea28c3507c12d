//! What never counts.

use std::{path::Path, sync::Arc};

use ignore::{
    WalkBuilder,
    gitignore::{Gitignore, GitignoreBuilder},
};

use super::filter::InvalidFilter;

/// What no service is made of: what version control, editors and interpreters keep for themselves.
const NEVER: [&str; 11] = [
    ".git/",
    ".hg/",
    ".svn/",
    ".jj/",
    "*~",
    "*.sw?",
    ".#*",
    "4913",
    ".DS_Store",
    "__pycache__/",
    "node_modules/",
];
/// A folder with this file in it can be made anew at any time (bford.info/cachedir), as can cargo's
/// `target`.
pub(crate) const CACHE: &str = "CACHEDIR.TAG";

/// Tells what never counts, beside what git ignores.
#[derive(Debug, Clone)]
pub(super) struct Ignored(Arc<Gitignore>);

impl Ignored {
    pub(super) fn of(directory: &Path, globs: &[String]) -> Result<Self, InvalidFilter> {
        let mut ignored = GitignoreBuilder::new(directory);
        for glob in NEVER.iter().copied().chain(globs.iter().map(String::as_str)) {
            ignored
                .add_line(None, glob)
                .map_err(|error| InvalidFilter::Ignore(glob.to_owned(), error))?;
        }
        let ignored =
            ignored.build().map_err(|error| InvalidFilter::Ignore(String::new(), error))?;
        Ok(Self(Arc::new(ignored)))
    }

    pub(super) fn has(&self, path: &Path, is_folder: bool) -> bool {
        self.0.matched(path, is_folder).is_ignore()
    }

    pub(super) fn enters(&self, folder: &Path) -> bool {
        !self.has(folder, true) && !folder.join(CACHE).exists()
    }

    /// Walks what is below `root`, folders that don't count left out before they are entered.
    pub(super) fn walk(&self, root: &Path, depth: Option<usize>) -> ignore::Walk {
        let ignored = self.clone();
        WalkBuilder::new(root)
            .hidden(false)
            .require_git(false)
            .max_depth(depth)
            .filter_entry(move |entry| {
                let is_dir = entry.file_type().is_some_and(|kind| kind.is_dir());
                if is_dir {
                    return ignored.enters(entry.path());
                }
                !ignored.has(entry.path(), is_dir)
            })
            .build()
    }
}

/// Whether a file says which others count: what is ignored is told by these, so an edit of one changes
/// what counts.
pub(super) fn says_what_counts(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == ".gitignore" || name == ".ignore" || name == CACHE)
}

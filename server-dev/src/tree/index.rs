//! What every file that counts was when it was last looked at.

mod look;

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
};

use super::{
    identity::{Identity, hash},
    seen::Seen,
};

pub(super) use look::Look;

/// The files that count, and the folders that they are in.
#[derive(Debug, Default)]
pub(super) struct Index {
    files: HashMap<PathBuf, File>,
    /// How many looks at a folder and all below it there were, the one under way included.
    looks: u64,
    folders: HashSet<PathBuf>,
    /// Of each device, where it was met and what it is, if it doesn't tell of every change.
    devices: HashMap<u64, Option<(PathBuf, &'static str)>>,
    /// Whose contents are not known yet.
    unknown: Vec<PathBuf>,
    /// Whether everything was looked at once: what is found before that was no edit.
    is_complete: bool,
}

/// Is told what there is to watch.
pub(super) trait Watcher {
    /// Called before what is in the folder is read.
    fn entered(&mut self, folder: &Path);
    /// Called before it is looked at what a link leads to.
    fn linked(&mut self, link: &Path);
    /// It is no link any more, or doesn't count.
    fn unlinked(&mut self, link: &Path);
    /// Called before a file is read whose folder may not be told of an edit.
    fn shared(&mut self, file: &Path);
    /// Its folder is told of every edit.
    fn unshared(&mut self, file: &Path);
    /// It is to be watched no longer, nor are the links in it.
    fn left(&mut self, folder: &Path);
}

/// Nobody wants to know.
impl Watcher for () {
    fn entered(&mut self, _folder: &Path) {}
    fn linked(&mut self, _link: &Path) {}
    fn unlinked(&mut self, _link: &Path) {}
    fn shared(&mut self, _file: &Path) {}
    fn unshared(&mut self, _file: &Path) {}
    fn left(&mut self, _folder: &Path) {}
}

#[derive(Debug)]
struct File {
    identity: Identity,
    hash: Option<u64>,
    /// Whether another edit may have had the same time.
    is_recent: bool,
    /// The last of the looks that found it.
    look: u64,
}

/// A file whose contents are to be read for the first time.
#[derive(Debug)]
pub(super) struct Unknown {
    path: PathBuf,
    identity: Identity,
}

impl Index {
    pub(super) fn size(&self) -> (usize, usize) {
        (self.files.len(), self.folders.len())
    }

    pub(super) fn has(&self, file: &Path) -> bool {
        self.files.contains_key(file)
    }

    /// Where not every change is told, and the kind of filesystem that it is.
    pub(super) fn silent(&self) -> Option<(&Path, &'static str)> {
        let silent = self.devices.values().flatten();
        silent.map(|(folder, kind)| (folder.as_path(), *kind)).min()
    }

    /// Returns a file that was never read.
    pub(super) fn next_unknown(&mut self) -> Option<Unknown> {
        while let Some(path) = self.unknown.pop() {
            if let Some(File { identity, hash: None, .. }) = self.files.get(&path) {
                return Some(Unknown { identity: *identity, path });
            }
        }
        None
    }

    /// Takes what was read, if nobody has edited the file since.
    pub(super) fn learn(&mut self, unknown: &Unknown, hash: Option<u64>) {
        if let Some(file) = self.files.get_mut(&unknown.path)
            && file.identity == unknown.identity
            && Seen::of(&unknown.path).is_ok_and(|now| now.identity == unknown.identity)
        {
            file.hash = hash;
        }
    }
}

impl Unknown {
    pub(super) fn hash(&self) -> Option<u64> {
        hash(&self.path, self.identity.size)
    }
}

//! What every file that counts was when it was last looked at.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, hash_map::Entry},
    fs::{self, Metadata},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::{
    Edit,
    filesystem::silent,
    filter::{Filter, says_what_counts},
    identity::{Identity, hash, is_recent},
};

/// The files that count, and the folders that they are in.
#[derive(Debug, Default)]
pub(super) struct Index {
    files: HashMap<PathBuf, File>,
    folders: HashSet<PathBuf>,
    /// Of each device, where it was met and what it is, if it doesn't tell of every change.
    devices: HashMap<u64, Option<(PathBuf, &'static str)>>,
    /// Whose contents are not known yet.
    unknown: Vec<PathBuf>,
    /// Whether everything was looked at once: what is found before that was no edit.
    is_complete: bool,
}

/// Is told which folders there are.
pub(super) trait Folders {
    /// Called before what is in it is read.
    fn entered(&mut self, folder: &Path);
    fn left(&mut self, folder: &Path);
}

/// Nobody wants to know.
impl Folders for () {
    fn entered(&mut self, _folder: &Path) {}
    fn left(&mut self, _folder: &Path) {}
}

#[derive(Debug)]
struct File {
    identity: Identity,
    hash: Option<u64>,
    /// Whether another edit may have had the same time.
    is_recent: bool,
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

    /// Where not every change is told, and the kind of filesystem that it is.
    pub(super) fn silent(&self) -> Option<(&Path, &'static str)> {
        let silent = self.devices.values().flatten();
        silent.map(|(folder, kind)| (folder.as_path(), *kind)).min()
    }

    /// Looks at every file below the roots.
    pub(super) fn look_at_all(
        &mut self,
        filter: &Filter,
        folders: &mut impl Folders,
        mut edited: impl FnMut(Edit),
    ) {
        self.devices.clear();
        for root in filter.roots() {
            self.look_below(root, filter, folders, &mut edited);
        }
        self.is_complete = true;
    }

    /// Looks at these paths, whatever each is or was.
    pub(super) fn look_at(
        &mut self,
        paths: &BTreeSet<PathBuf>,
        filter: &Filter,
        folders: &mut impl Folders,
        mut edited: impl FnMut(Edit),
    ) {
        let is_above = |path: &PathBuf| {
            filter.roots().iter().any(|root| root != path && root.starts_with(path))
        };
        if paths.iter().any(|path| says_what_counts(path) || is_above(path)) {
            return self.look_at_all(filter, folders, edited);
        }
        // Whether a new one counts is told by the files that its folder has for that.
        let mut new = BTreeMap::<_, BTreeSet<_>>::new();
        for path in paths {
            if filter.roots().contains(path) {
                self.look_below(path, filter, folders, &mut edited);
                continue;
            }
            match fs::metadata(path) {
                Ok(found) if found.is_file() && self.files.contains_key(path) => {
                    self.found(path, &found, filter, &mut edited);
                }
                Ok(_) => {
                    new.entry(path.parent()).or_default().insert(path.as_path());
                }
                Err(_gone) if self.folders.contains(path) => {
                    self.look_below(path, filter, folders, &mut edited);
                }
                Err(_gone) => self.lost(path, filter, &mut edited),
            }
        }
        for (parent, names) in new {
            let Some(parent) = parent.filter(|parent| self.folders.contains(*parent)) else {
                continue;
            };
            for entry in filter.walk(parent, Some(1)).flatten() {
                if !names.contains(entry.path()) {
                    continue;
                }
                if entry.file_type().is_some_and(|kind| kind.is_dir()) {
                    self.look_below(entry.path(), filter, folders, &mut edited);
                } else if filter.action(entry.path()).is_some()
                    && let Ok(found) = fs::metadata(entry.path())
                {
                    self.found(entry.path(), &found, filter, &mut edited);
                }
            }
        }
    }

    fn look_below(
        &mut self,
        root: &Path,
        filter: &Filter,
        watched: &mut impl Folders,
        edited: &mut impl FnMut(Edit),
    ) {
        let mut files = HashSet::new();
        let mut folders = HashSet::new();
        for entry in filter.walk(root, None).flatten() {
            // A link counts as what it leads to; the walk doesn't follow it into folders.
            let Ok(found) = fs::metadata(entry.path()) else { continue };
            if found.is_dir() {
                if entry.file_type().is_some_and(|kind| kind.is_dir()) || entry.depth() == 0 {
                    // What is in it is read after this.
                    watched.entered(entry.path());
                    self.devices.entry(found.dev()).or_insert_with(|| {
                        silent(entry.path()).map(|kind| (entry.path().to_owned(), kind))
                    });
                    folders.insert(entry.into_path());
                }
            } else if filter.action(entry.path()).is_some() {
                self.found(entry.path(), &found, filter, edited);
                files.insert(entry.into_path());
            }
        }
        // A root that is ignored in another is looked at by itself.
        let is_other = |path: &PathBuf| path != root && filter.roots().contains(path);
        let is_gone =
            |path: &&PathBuf| path.starts_with(root) && !files.contains(*path) && !is_other(path);
        let gone = self.files.keys().filter(is_gone);
        for path in gone.cloned().collect::<Vec<_>>() {
            if path.exists() {
                // It counts no longer, which is no edit.
                self.files.remove(&path);
            } else {
                self.lost(&path, filter, edited);
            }
        }
        self.folders.retain(|folder| {
            let stays = !folder.starts_with(root) || folders.contains(folder);
            if !stays {
                watched.left(folder);
            }
            stays
        });
        self.folders.extend(folders);
    }

    fn found(
        &mut self,
        path: &Path,
        found: &Metadata,
        filter: &Filter,
        edited: &mut impl FnMut(Edit),
    ) {
        if !found.is_file() {
            return;
        }
        let (identity, is_recent) = (Identity::of(found), is_recent(found));
        match self.files.entry(path.to_owned()) {
            Entry::Vacant(vacant) => {
                vacant.insert(File { identity, hash: None, is_recent });
                self.unknown.push(path.to_owned());
                if self.is_complete {
                    tell(path, filter, edited);
                }
            }
            Entry::Occupied(mut known) => {
                let file = known.get_mut();
                let is_same = file.identity == identity;
                if is_same && !file.is_recent {
                    return;
                }
                let (before, hash) = (file.hash, hash(path, identity.size()));
                *file = File { identity, hash, is_recent };
                // Of what was never read, its times are all that is known.
                let is_touched = hash.is_some() && before == hash || is_same && before.is_none();
                if !is_touched {
                    tell(path, filter, edited);
                }
            }
        }
    }

    fn lost(&mut self, path: &Path, filter: &Filter, edited: &mut impl FnMut(Edit)) {
        if self.files.remove(path).is_some() {
            tell(path, filter, edited);
        }
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
            && fs::metadata(&unknown.path).is_ok_and(|now| Identity::of(&now) == unknown.identity)
        {
            file.hash = hash;
        }
    }
}

impl Unknown {
    pub(super) fn hash(&self) -> Option<u64> {
        hash(&self.path, self.identity.size())
    }
}

fn tell(path: &Path, filter: &Filter, edited: &mut impl FnMut(Edit)) {
    if let Some(action) = filter.action(path) {
        let saved = fs::metadata(path).and_then(|found| found.modified()).ok();
        edited(Edit { path: path.to_owned(), saved, action });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::{super::identity::TICK, *};
    use crate::config::{Service, Words};

    #[test]
    fn tells_edits_apart_that_have_the_same_time_and_size() {
        let directory = tempfile::tempdir().unwrap();
        let mut service = Service::of(Words::parse("server").unwrap());
        service.directory = directory.path().to_owned();
        let filter = Filter::of(&service).unwrap();
        let path = directory.path().join("file");
        fs::write(&path, "0").unwrap();
        let (mut index, mut edits) = (Index::default(), 0);
        index.look_at_all(&filter, &mut (), |_| edits += 1);
        let unknown = index.next_unknown().unwrap();
        let hash = unknown.hash();
        index.learn(&unknown, hash);
        let mut has_ticked = true;
        for n in 1..=200 {
            let start = Instant::now();
            fs::write(&path, (n % 10).to_string()).unwrap();
            if !has_ticked {
                // As a clock has it that stands still.
                let identity = Identity::of(&fs::metadata(&path).unwrap());
                index.files.get_mut(&path).unwrap().identity = identity;
            }
            index.look_at(&[path.clone()].into(), &filter, &mut (), |_| edits += 1);
            assert_eq!(edits, n);
            has_ticked = start.elapsed() >= TICK;
        }
        index.look_at_all(&filter, &mut (), |_| edits += 1);
        assert_eq!(edits, 200, "nothing was edited since");
    }
}

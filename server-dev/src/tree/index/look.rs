//! One look at a tree, or at a part of it.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet, hash_map::Entry},
    path::{Path, PathBuf},
    time::SystemTime,
};

use ignore::DirEntry;

use super::{File, Index, Watcher};
use crate::tree::{
    Edit, Edits, filesystem::silent, filter::Filter, identity::hash, ignored::says_what_counts,
    links::is_link, seen::Seen,
};

/// What is looked at, and who is told of what is found.
pub(in crate::tree) struct Look<'a, W> {
    pub(in crate::tree) index: &'a mut Index,
    pub(in crate::tree) filter: &'a Filter,
    pub(in crate::tree) watcher: &'a mut W,
    pub(in crate::tree) edits: &'a mut Edits,
}

/// What a walk has found.
#[derive(Debug, Default)]
struct Below {
    folders: HashSet<PathBuf>,
    /// Links to folders that are to be walked as well.
    links: Vec<PathBuf>,
}

impl<W: Watcher> Look<'_, W> {
    /// Looks at every file below the roots.
    pub(in crate::tree) fn at_all(&mut self) {
        self.index.devices.clear();
        for root in self.filter.roots() {
            self.below(root);
        }
        self.index.is_complete = true;
    }

    /// Looks at these paths, whatever each is or was.
    pub(in crate::tree) fn at(&mut self, paths: &BTreeSet<PathBuf>) {
        let roots = self.filter.roots();
        let is_above =
            |path: &PathBuf| roots.iter().any(|root| root != path && root.starts_with(path));
        if paths.iter().any(|path| says_what_counts(path) || is_above(path)) {
            return self.at_all();
        }
        // Whether a new one counts is told by the files that its folder has for that.
        let mut new = BTreeMap::<_, BTreeSet<_>>::new();
        for path in paths {
            if roots.contains(path) {
                self.below(path);
                continue;
            }
            let is_known = self.index.files.contains_key(path);
            if is_known && is_link(path) {
                self.watcher.linked(path);
            }
            match Seen::of(path) {
                Ok(found) if found.is_file() && is_known => self.found(path, found),
                Err(_gone) if self.index.folders.contains(path) => self.below(path),
                // A link that leads nowhere may do so by another way now.
                found if found.is_ok() || !is_known && is_link(path) => {
                    new.entry(path.parent()).or_default().insert(path.as_path());
                }
                _gone => self.lost(path),
            }
        }
        for (parent, names) in new {
            let Some(parent) = parent.filter(|parent| self.index.folders.contains(*parent)) else {
                continue;
            };
            let entries = self.filter.walk(parent, Some(1)).flatten();
            for entry in entries.filter(|entry| names.contains(entry.path())) {
                let path = entry.path();
                let is_folder = entry.file_type().is_some_and(|kind| kind.is_dir());
                if is_folder || self.index.folders.contains(path) || self.filter.follows(path) {
                    self.below(path);
                }
                if !is_folder {
                    self.entry(&entry, &mut Below::default());
                }
            }
        }
    }

    /// Looks at what is below a path, and forgets what was.
    fn below(&mut self, root: &Path) {
        self.index.looks += 1;
        let look = self.index.looks;
        let mut found = Below::default();
        if !is_link(root)
            || self.filter.roots().iter().any(|path| path == root)
            || self.filter.follows(root)
        {
            self.walk(root, &mut found);
        }
        // None that is in one of these is followed.
        for link in std::mem::take(&mut found.links) {
            self.walk(&link, &mut found);
        }
        let folders = found.folders;
        // A root that is ignored in another is looked at by itself.
        let is_other = |path: &PathBuf| path != root && self.filter.roots().contains(path);
        let is_gone = |path: &PathBuf, file: &File| {
            file.look != look && path.starts_with(root) && !is_other(path)
        };
        let gone = self.index.files.iter().filter(|(path, file)| is_gone(path, file));
        for path in gone.map(|(path, _)| path.clone()).collect::<Vec<_>>() {
            if path.exists() {
                // It counts no longer, which is no edit.
                self.index.files.remove(&path);
                self.watcher.unshared(&path);
                // By now it may be a folder, or a link to one.
                if !folders.contains(&path) {
                    self.watcher.unlinked(&path);
                }
            } else {
                self.lost(&path);
            }
        }
        self.index.folders.retain(|folder| {
            let stays = !folder.starts_with(root) || folders.contains(folder);
            if !stays {
                self.watcher.left(folder);
                // One that leads nowhere, for now.
                if is_link(folder) {
                    self.watcher.linked(folder);
                }
            }
            stays
        });
        self.index.folders.extend(folders);
    }

    fn walk(&mut self, root: &Path, found: &mut Below) {
        for entry in self.filter.walk(root, None).flatten() {
            self.entry(&entry, found);
        }
    }

    /// Looks at what was met on a walk.
    fn entry(&mut self, entry: &DirEntry, found: &mut Below) {
        let path = entry.path();
        let is_top = entry.depth() == 0;
        let is_link = if is_top { is_link(path) } else { entry.path_is_symlink() };
        let counts = self.filter.action(path).is_some();
        if is_link {
            // A device is written to all the time.
            let may_count =
                Seen::of(path).map_or(counts, |seen| seen.is_dir() || counts && seen.is_file());
            if !may_count {
                return;
            }
            self.watcher.linked(path);
        } else if !is_top && !counts && entry.file_type().is_some_and(|kind| kind.is_file()) {
            return;
        }
        let Ok(seen) = Seen::of(path) else { return };
        if seen.is_dir() && is_link && !is_top {
            if self.filter.follows(path) {
                found.links.push(path.to_owned());
            }
        } else if seen.is_dir() {
            // What is in it is read after this.
            self.watcher.entered(path);
            self.device(path, &seen);
            found.folders.insert(path.to_owned());
        } else if counts {
            if is_link || seen.is_shared() {
                self.device(path, &seen);
            }
            self.found(path, seen);
        }
    }

    /// Takes a note of what a path is on.
    fn device(&mut self, path: &Path, seen: &Seen) {
        let devices = &mut self.index.devices;
        devices
            .entry(seen.identity.device)
            .or_insert_with(|| silent(path).map(|kind| (path.to_owned(), kind)));
    }

    fn found(&mut self, path: &Path, mut found: Seen) {
        if !found.is_file() {
            return;
        }
        if found.is_shared() {
            self.watcher.shared(path);
            // What it was before may have been edited before it was watched.
            let Ok(now) = Seen::of(path) else { return self.lost(path) };
            found = now;
        }
        let (identity, is_recent) = (found.identity, found.identity.is_recent());
        let look = self.index.looks;
        let is_edit = match self.index.files.entry(path.to_owned()) {
            Entry::Vacant(vacant) => {
                vacant.insert(File { identity, hash: None, is_recent, look });
                self.index.unknown.push(path.to_owned());
                self.index.is_complete
            }
            Entry::Occupied(mut known) => {
                let file = known.get_mut();
                file.look = look;
                let is_same = file.identity == identity;
                if !is_same && !found.is_shared() {
                    // It may have been until now.
                    self.watcher.unshared(path);
                }
                if is_same && !file.is_recent {
                    return;
                }
                let (before, hash) = (file.hash, hash(path, identity.size));
                *file = File { identity, hash, is_recent, look };
                // Of what was never read, its times are all that is known.
                let is_touched = hash.is_some() && before == hash || is_same && before.is_none();
                !is_touched
            }
        };
        if is_edit {
            self.tell(path, found.modified());
        }
    }

    fn lost(&mut self, path: &Path) {
        if self.index.files.remove(path).is_some() {
            self.watcher.unshared(path);
            // One that leads nowhere may lead somewhere again.
            if !is_link(path) {
                self.watcher.unlinked(path);
            }
            self.tell(path, None);
        }
    }

    fn tell(&mut self, path: &Path, modified: Option<SystemTime>) {
        if let Some(action) = self.filter.action(path) {
            self.edits.push(Edit { path: path.to_owned(), action, modified });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, time::Instant};

    use super::*;
    use crate::{
        config::{Service, Words},
        tree::identity::TICK,
    };

    #[test]
    fn tells_edits_apart_that_have_the_same_time_and_size() {
        let directory = tempfile::tempdir().unwrap();
        let mut service = Service::of(Words::parse("server").unwrap());
        service.directory = directory.path().to_owned();
        let filter = Filter::of(&service).unwrap();
        let path = directory.path().join("file");
        fs::write(&path, "0").unwrap();
        let (mut index, mut edits) = (Index::default(), Edits::default());
        Look { index: &mut index, filter: &filter, watcher: &mut (), edits: &mut edits }.at_all();
        let unknown = index.next_unknown().unwrap();
        let hash = unknown.hash();
        index.learn(&unknown, hash);
        let mut has_ticked = true;
        for n in 1..=200 {
            let start = Instant::now();
            fs::write(&path, (n % 10).to_string()).unwrap();
            if !has_ticked {
                // As a clock has it that stands still.
                let identity = Seen::of(&path).unwrap().identity;
                index.files.get_mut(&path).unwrap().identity = identity;
            }
            Look { index: &mut index, filter: &filter, watcher: &mut (), edits: &mut edits }
                .at(&[path.clone()].into());
            assert_eq!(edits.number(), n);
            has_ticked = start.elapsed() >= TICK;
        }
        Look { index: &mut index, filter: &filter, watcher: &mut (), edits: &mut edits }.at_all();
        assert_eq!(edits.number(), 200, "nothing was edited since");
    }
}

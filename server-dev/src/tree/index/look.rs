//! One look at a tree, or at a part of it.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet, hash_map::Entry},
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::{File, Index, Watcher};
use crate::tree::{
    Edit, Edits,
    filesystem::silent,
    filter::{Filter, says_what_counts},
    identity::hash,
    seen::Seen,
};

/// What is looked at, and who is told of what is found.
pub(in crate::tree) struct Look<'a, W> {
    pub(in crate::tree) index: &'a mut Index,
    pub(in crate::tree) filter: &'a Filter,
    pub(in crate::tree) watcher: &'a mut W,
    pub(in crate::tree) edits: &'a mut Edits,
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
            match Seen::of(path) {
                Ok(found) if found.is_file() && self.index.files.contains_key(path) => {
                    self.found(path, found);
                }
                Ok(_) => {
                    new.entry(path.parent()).or_default().insert(path.as_path());
                }
                Err(_gone) if self.index.folders.contains(path) => self.below(path),
                Err(_gone) => self.lost(path),
            }
        }
        for (parent, names) in new {
            let Some(parent) = parent.filter(|parent| self.index.folders.contains(*parent)) else {
                continue;
            };
            for entry in self.filter.walk(parent, Some(1)).flatten() {
                if !names.contains(entry.path()) {
                    continue;
                }
                if entry.file_type().is_some_and(|kind| kind.is_dir()) {
                    self.below(entry.path());
                } else if self.filter.action(entry.path()).is_some()
                    && let Ok(found) = Seen::of(entry.path())
                {
                    self.found(entry.path(), found);
                }
            }
        }
    }

    fn below(&mut self, root: &Path) {
        let mut files = HashSet::new();
        let mut folders = HashSet::new();
        for entry in self.filter.walk(root, None).flatten() {
            // A link counts as what it leads to; the walk doesn't follow it into folders.
            let Ok(found) = Seen::of(entry.path()) else { continue };
            if found.is_dir() {
                if entry.file_type().is_some_and(|kind| kind.is_dir()) || entry.depth() == 0 {
                    // What is in it is read after this.
                    self.watcher.entered(entry.path());
                    self.index.devices.entry(found.identity.device).or_insert_with(|| {
                        silent(entry.path()).map(|kind| (entry.path().to_owned(), kind))
                    });
                    folders.insert(entry.into_path());
                }
            } else if self.filter.action(entry.path()).is_some() {
                self.found(entry.path(), found);
                files.insert(entry.into_path());
            }
        }
        // A root that is ignored in another is looked at by itself.
        let is_other = |path: &PathBuf| path != root && self.filter.roots().contains(path);
        let is_gone =
            |path: &&PathBuf| path.starts_with(root) && !files.contains(*path) && !is_other(path);
        let gone = self.index.files.keys().filter(is_gone);
        for path in gone.cloned().collect::<Vec<_>>() {
            if path.exists() {
                // It counts no longer, which is no edit.
                self.index.files.remove(&path);
                self.watcher.left(&path);
            } else {
                self.lost(&path);
            }
        }
        self.index.folders.retain(|folder| {
            let stays = !folder.starts_with(root) || folders.contains(folder);
            if !stays {
                self.watcher.left(folder);
            }
            stays
        });
        self.index.folders.extend(folders);
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
        let is_edit = match self.index.files.entry(path.to_owned()) {
            Entry::Vacant(vacant) => {
                vacant.insert(File { identity, hash: None, is_recent });
                self.index.unknown.push(path.to_owned());
                self.index.is_complete
            }
            Entry::Occupied(mut known) => {
                let file = known.get_mut();
                let is_same = file.identity == identity;
                if !is_same && !found.is_shared() {
                    // It may have been until now.
                    self.watcher.left(path);
                }
                if is_same && !file.is_recent {
                    return;
                }
                let (before, hash) = (file.hash, hash(path, identity.size));
                *file = File { identity, hash, is_recent };
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
            self.watcher.left(path);
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

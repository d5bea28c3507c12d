//! Has everything watched that is found.

use std::path::{Path, PathBuf};

use super::{
    index::Watcher,
    inotify::{NoWatch, Purpose, Watches},
    links::Links,
};

/// A link that is turned elsewhere all the time is left as it was found last.
const MAX_TURNS: usize = 8;

/// Watches folders, links and files as they are found.
pub(super) struct Arm<'a> {
    pub(super) watches: Option<&'a mut Watches>,
    pub(super) links: &'a mut Links,
    pub(super) failed: Option<NoWatch>,
}

impl Arm<'_> {
    fn add(&mut self, path: &Path, purpose: Purpose) {
        if let Some(watches) = &mut self.watches
            && let Err(error) = watches.add(path, purpose)
        {
            self.failed = Some(error);
            self.watches = None;
        }
    }

    fn remove(&mut self, path: &Path, purpose: Purpose) {
        if let Some(watches) = &mut self.watches {
            watches.remove(path, purpose);
        }
    }

    fn remove_ways(&mut self, folders: &[PathBuf]) {
        for folder in folders {
            self.remove(folder, Purpose::Way);
        }
    }
}

impl Watcher for Arm<'_> {
    fn entered(&mut self, folder: &Path) {
        self.add(folder, Purpose::Folder);
    }

    fn linked(&mut self, link: &Path) {
        if self.watches.is_none() {
            return;
        }
        // Again, until it has not been turned while it was not yet watched.
        for _ in 0..MAX_TURNS {
            let led = self.links.insert(link);
            for folder in &led.through {
                self.add(folder, Purpose::Way);
            }
            self.remove_ways(&led.unused);
            if !led.is_new {
                return;
            }
        }
    }

    fn unlinked(&mut self, link: &Path) {
        let unused = self.links.remove(link);
        self.remove_ways(&unused);
    }

    fn shared(&mut self, file: &Path) {
        self.add(file, Purpose::File);
    }

    fn unshared(&mut self, file: &Path) {
        self.remove(file, Purpose::File);
    }

    fn left(&mut self, folder: &Path) {
        self.remove(folder, Purpose::Folder);
        for link in self.links.below(folder) {
            self.unlinked(&link);
        }
    }
}

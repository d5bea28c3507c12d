//! The filesystems that are known to the process, for as long as nothing is mounted or unmounted.
//!
//! Asking for one may take as long as its server likes, so what one follower has found out is of use
//! to the next: thousands that start together need no thread to look for the first time.

use std::{
    fs::File,
    sync::{Arc, Mutex},
};

use crate::{
    file_reloader::open::{self, Filesystems},
    lock::lock,
};

/// What is known, and since when.
#[derive(Debug)]
pub(super) struct Mounts(Mutex<Known>);

#[derive(Debug)]
struct Known {
    /// Tells of every mount; `None` where that can't be known.
    table: Option<File>,
    /// How often a mount was told of.
    changes: u64,
    filesystems: Arc<Filesystems>,
}

/// How often something had been mounted or unmounted.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(in crate::file_reloader) struct AsOf(Option<u64>);

impl Mounts {
    pub(super) fn new() -> Self {
        let table = open::mount_table();
        Self(Mutex::new(Known { table, changes: 0, filesystems: Arc::default() }))
    }

    /// What is known, as of now.
    pub(super) fn known(&self) -> (Arc<Filesystems>, AsOf) {
        let mut known = lock(&self.0);
        let as_of = known.as_of();
        (Arc::clone(&known.filesystems), as_of)
    }

    /// Adds what was found out, unless it was before something was mounted or unmounted.
    pub(super) fn learn(&self, found: &Filesystems, as_of: AsOf) {
        let mut known = lock(&self.0);
        if known.as_of() == as_of && as_of.0.is_some() && *known.filesystems != *found {
            Arc::make_mut(&mut known.filesystems).add(found);
        }
    }
}

impl Known {
    fn as_of(&mut self) -> AsOf {
        let Some(table) = &self.table else { return AsOf(None) };
        if open::has_changed(table) {
            self.changes += 1;
            // A device's number may be another's by now.
            self.filesystems = Arc::default();
        }
        AsOf(Some(self.changes))
    }
}

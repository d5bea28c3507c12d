//! What is known of the filesystems that a path goes through.

use super::{Path, platform};

/// Whether a filesystem reports every change here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::file_reloader) enum Filesystem {
    Local,
    /// An overlay: changes made to a layer below it are not reported.
    Layered,
    /// The one named: changes made elsewhere are not reported, and a server may not answer.
    Remote(&'static str),
}

impl Filesystem {
    pub(in crate::file_reloader) fn is_remote(self) -> bool {
        matches!(self, Self::Remote(_))
    }
}

/// The filesystems that are known so far, by device.
#[derive(Debug, Clone, Default)]
pub(in crate::file_reloader) struct Filesystems(Vec<(u64, Filesystem)>);

impl Filesystems {
    /// Asks for the filesystem at `path`, which is on `device`; its server may not answer.
    pub(in crate::file_reloader) fn learn_of(&mut self, device: u64, path: &Path) {
        self.learn(device, || platform::filesystem_at(path));
    }

    pub(super) fn learn(&mut self, device: u64, ask: impl FnOnce() -> Filesystem) -> Filesystem {
        self.get(device).unwrap_or_else(|| {
            let found = ask();
            self.0.push((device, found));
            found
        })
    }

    pub(super) fn get(&self, device: u64) -> Option<Filesystem> {
        self.0.iter().find(|(known, _)| *known == device).map(|(_, filesystem)| *filesystem)
    }

    /// Whether none has been asked for.
    pub(in crate::file_reloader) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One whose server may not answer, if any is.
    pub(in crate::file_reloader) fn remote(&self) -> Option<Filesystem> {
        let mut all = self.0.iter().map(|(_, filesystem)| *filesystem);
        all.find(|filesystem| filesystem.is_remote())
    }
}

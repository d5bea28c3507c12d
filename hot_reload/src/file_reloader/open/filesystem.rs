//! What is known of the filesystems that a path goes through.

use super::platform;
use crate::file_reloader::chain::Stop;

/// Whether a filesystem reports every change here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::file_reloader) enum Filesystem {
    Local,
    /// One in memory: nothing is ever written back, and so a write through a mapping moves no time, save the
    /// first.
    Memory,
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

/// The filesystems that are known, by device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::file_reloader) struct Filesystems(Vec<(u64, Filesystem)>);

impl Filesystems {
    pub(in crate::file_reloader) fn get(&self, device: u64) -> Option<Filesystem> {
        self.0.iter().find(|(known, _)| *known == device).map(|(_, filesystem)| *filesystem)
    }

    /// Asks what `stop` is on, unless that is known; a server may not answer.
    pub(in crate::file_reloader) fn learn_of(&mut self, stop: &Stop) {
        let Some(device) = stop.device else { return };
        if self.get(device).is_none() {
            self.0.push((device, platform::filesystem_at(&stop.path)));
        }
    }

    /// Adds what is not known yet.
    pub(in crate::file_reloader) fn add(&mut self, found: &Self) {
        for (device, filesystem) in &found.0 {
            if self.get(*device).is_none() {
                self.0.push((*device, *filesystem));
            }
        }
    }
}

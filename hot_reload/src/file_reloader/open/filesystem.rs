//! What is known of the filesystems that a path goes through.

use super::{Writers, platform};
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

    /// What is known of the writers of a file on it, of which this system knows `local`.
    pub(super) fn believe(self, local: Writers) -> Writers {
        match (self, local) {
            // These grant a lease only with the consent of the server, which may have other reasons to refuse.
            (Self::Remote(NFS | SMB), Writers::Some) | (Self::Remote(_), Writers::None) => {
                Writers::Unknown
            }
            _ => local,
        }
    }
}

pub(super) const NFS: &str = "NFS";
pub(super) const SMB: &str = "SMB";

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_writers_elsewhere_no_lease_tells() {
        for (filesystem, local, want) in [
            (Filesystem::Local, Writers::None, Writers::None),
            (Filesystem::Layered, Writers::Some, Writers::Some),
            (Filesystem::Remote("FUSE"), Writers::None, Writers::Unknown),
            (Filesystem::Remote("FUSE"), Writers::Some, Writers::Some),
            (Filesystem::Remote(NFS), Writers::None, Writers::Unknown),
            (Filesystem::Remote(NFS), Writers::Some, Writers::Unknown),
            (Filesystem::Remote(SMB), Writers::Some, Writers::Unknown),
        ] {
            assert_eq!(filesystem.believe(local), want, "{filesystem:?} {local:?}");
        }
    }
}

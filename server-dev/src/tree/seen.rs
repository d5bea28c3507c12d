//! What one look at a path shows.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustix::{
    fs::{AtFlags, CWD, FileType, Statx, StatxAttributes, StatxFlags, makedev, statx},
    io::Errno,
};

use super::identity::Identity;

/// A file or folder, links followed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    kind: FileType,
    names: u64,
    is_mount: bool,
    pub(super) identity: Identity,
}

impl Seen {
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        match statx(CWD, path, AtFlags::empty(), StatxFlags::BASIC_STATS) {
            Ok(found) => Ok(Self::by_statx(&found)),
            // A kernel before 4.11 has none, and sandboxes of that time refuse it.
            Err(Errno::NOSYS | Errno::PERM) => {
                fs::metadata(path).map(|found| Self::by_stat(&found))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn by_statx(found: &Statx) -> Self {
        let time = |at: rustix::fs::StatxTimestamp| (at.tv_sec, i64::from(at.tv_nsec));
        Self {
            kind: FileType::from_raw_mode(found.stx_mode.into()),
            names: found.stx_nlink.into(),
            is_mount: found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT),
            identity: Identity {
                device: makedev(found.stx_dev_major, found.stx_dev_minor),
                inode: found.stx_ino,
                size: found.stx_size,
                modified: time(found.stx_mtime),
                changed: time(found.stx_ctime),
            },
        }
    }

    fn by_stat(found: &fs::Metadata) -> Self {
        Self {
            kind: FileType::from_raw_mode(found.mode()),
            names: found.nlink(),
            is_mount: false,
            identity: Identity {
                device: found.dev(),
                inode: found.ino(),
                size: found.len(),
                modified: (found.mtime(), found.mtime_nsec()),
                changed: (found.ctime(), found.ctime_nsec()),
            },
        }
    }

    pub(super) fn is_file(&self) -> bool {
        self.kind.is_file()
    }

    pub(super) fn is_dir(&self) -> bool {
        self.kind.is_dir()
    }

    /// Whether a file may be edited without its folder being told: by another name of it (a hard link),
    /// or because it is mounted over what the folder has by this name, as containers do it.
    pub(super) fn is_shared(&self) -> bool {
        self.names > 1 || self.is_mount
    }

    /// When it was written last, or moved to where it is with the time of its own that it has, as `mv` and
    /// `cp -p` leave it; `None` where that was before 1970.
    pub(super) fn modified(&self) -> Option<SystemTime> {
        let last = self.identity.modified.max(self.identity.changed);
        since_1970(last).map(|time| UNIX_EPOCH + time)
    }
}

/// A time of stat(2).
pub(super) fn since_1970((seconds, nanoseconds): (i64, i64)) -> Option<Duration> {
    Some(Duration::new(seconds.try_into().ok()?, nanoseconds.try_into().ok()?))
}

//! Elsewhere: the standard library, always where blocking is allowed.

use std::{
    fs::{File, Metadata},
    io::Read,
    path::Path,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use super::{
    Failed, Filesystem, Filesystems, Found, Glance, How, Identity, Opened, WouldBlock, Writers,
};

/// Where a file is.
#[derive(Debug)]
pub(in crate::file_reloader) struct Address(Box<Path>);

impl Address {
    pub(in crate::file_reloader) fn of(path: &Path) -> Self {
        Self(path.into())
    }

    /// Returns the identity of what is there, or `None` where nothing is.
    pub(in crate::file_reloader) fn identity(&self) -> Option<Identity> {
        identity(&self.0)
    }
}

pub(super) fn hold_up_writers(_file: &File) -> bool {
    false
}

pub(super) fn let_writers_go(_file: &File) {}

pub(super) fn writers(_file: &File) -> Writers {
    Writers::Unknown
}

pub(super) fn mount_table() -> Option<File> {
    None
}

pub(super) fn has_changed(_mount_table: &File) -> bool {
    true
}

pub(super) fn filesystem_at(_path: &Path) -> Filesystem {
    Filesystem::Local
}

pub(super) fn open(path: &Path, how: How, filesystems: &Filesystems) -> Result<Found, Failed> {
    if how == How::Cached {
        return Err(Failed::WouldBlock);
    }
    let found = std::fs::metadata(path).map_err(Failed::Io)?;
    if found.is_dir() {
        return Ok(Found::Directory(identity_of(&found)));
    }
    if !found.is_file() {
        return Ok(Found::Special("a FIFO, a socket or a device", identity_of(&found)));
    }
    let file = File::open(path).map_err(Failed::Io)?;
    let found = file.metadata().map_err(Failed::Io)?;
    let identity = identity_of(&found);
    let filesystem = filesystems.get(identity.device).unwrap_or_else(|| filesystem_at(path));
    let opened = Opened { file, identity, links: 1, owner: 0, by_own_name: false, filesystem };
    Ok(Found::File(Arc::new(opened)))
}

pub(super) fn read(opened: &Opened, limit: u64, how: How) -> Result<Vec<u8>, Failed> {
    use std::io::Seek;
    if how == How::Cached {
        return Err(Failed::WouldBlock);
    }
    let mut bytes = Vec::new();
    let mut file = &opened.file;
    file.rewind().map_err(Failed::Io)?;
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(Failed::Io)?;
    Ok(bytes)
}

pub(super) fn glance(
    path: &Path,
    how: How,
    _filesystems: &Filesystems,
) -> Result<Option<Glance>, WouldBlock> {
    if how == How::Cached {
        return Err(WouldBlock);
    }
    Ok(std::fs::symlink_metadata(path).ok().map(|found| {
        let (device, inode) = number(&found);
        let Identity { changed, .. } = identity_of(&found);
        Glance { device, inode, is_link: found.is_symlink(), is_dir: found.is_dir(), changed }
    }))
}

#[cfg(unix)]
fn number(found: &Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt;
    (found.dev(), found.ino())
}

/// Where there are no inode numbers, the time of creation stands in.
#[cfg(not(unix))]
fn number(found: &Metadata) -> (u64, u64) {
    (0, u64::try_from(nanos(found.created().ok())).unwrap_or(0))
}

pub(super) fn identity(path: &Path) -> Option<Identity> {
    std::fs::metadata(path).ok().map(|found| identity_of(&found))
}

#[cfg(unix)]
fn identity_of(found: &Metadata) -> Identity {
    use std::os::unix::fs::MetadataExt;
    Identity {
        device: found.dev(),
        inode: found.ino(),
        size: found.len(),
        modified: nanos(found.modified().ok()),
        changed: found.ctime().saturating_mul(1_000_000_000).saturating_add(found.ctime_nsec()),
    }
}

#[cfg(not(unix))]
fn identity_of(found: &Metadata) -> Identity {
    Identity {
        device: 0,
        inode: 0,
        size: found.len(),
        modified: nanos(found.modified().ok()),
        changed: nanos(found.created().ok()),
    }
}

fn nanos(time: Option<SystemTime>) -> i64 {
    time.and_then(|time| time.duration_since(UNIX_EPOCH).ok())
        .map_or(0, |since| i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

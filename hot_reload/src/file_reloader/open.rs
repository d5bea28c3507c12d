//! Opening a file that may be anything, in a way that can't hang.

mod filesystem;
#[cfg(all(target_os = "linux", not(hot_reload_portable)))]
mod linux;
#[cfg(not(all(target_os = "linux", not(hot_reload_portable))))]
mod portable;

use std::{fs::File, io, path::Path, sync::Arc};

#[cfg(all(target_os = "linux", not(hot_reload_portable)))]
use self::linux as platform;
#[cfg(not(all(target_os = "linux", not(hot_reload_portable))))]
use self::portable as platform;
pub(super) use self::{
    filesystem::{Filesystem, Filesystems},
    platform::Address,
};
use super::identity::Identity;

/// Whether a step may wait for a disk or a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// Only what the kernel has in memory: fit for an async worker.
    Cached,
    /// Whatever it takes: for a thread that may block.
    Blocking,
}

/// Why a step did not succeed.
#[derive(Debug)]
pub(super) enum Failed {
    /// It is not in memory; try again where blocking is allowed.
    WouldBlock,
    Io(io::Error),
}

/// It is not in memory.
#[derive(Debug)]
pub(super) struct WouldBlock;

/// What is behind a path.
#[derive(Debug)]
pub(super) enum Found {
    File(Arc<Opened>),
    Directory(Identity),
    /// A FIFO, a socket or a device, which is never opened.
    Special(&'static str, Identity),
}

/// A regular file, open for reading.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) file: File,
    pub(super) identity: Identity,
    /// How many names it has.
    pub(super) links: u64,
    /// The user that it belongs to.
    pub(super) owner: u32,
    /// Whether the name it was opened by is its own, rather than that of a link to it.
    pub(super) by_own_name: bool,
    pub(super) filesystem: Filesystem,
}

/// Who has a file open for writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Writers {
    /// Nobody.
    None,
    /// This process or this filesystem can't tell.
    Unknown,
    /// Somebody.
    Some,
}

/// Files of which the same is told: their device and their owner.
pub(super) type Domain = (u64, u32);

impl Opened {
    /// Tells whether anyone has the file open for writing.
    pub(super) fn writers(&self) -> Writers {
        self.filesystem.believe(platform::writers(&self.file))
    }

    /// Keeps everybody from opening the file for writing, until what is returned is dropped; `None` where
    /// somebody has it open all the time, or nobody can be kept from it.
    ///
    /// Of a writer that comes again and again, a moment in between is awaited, for half a millisecond.
    pub(super) fn hold_up_writers(self: &Arc<Self>) -> Option<HeldUp> {
        platform::hold_up_writers(&self.file).then(|| HeldUp(Arc::clone(self)))
    }

    /// What decides whether this process is told of writers: a filesystem and a user (`fcntl(2)`).
    pub(super) fn domain(&self) -> Domain {
        (self.identity.device, self.owner)
    }

    /// Whether nothing is missed while only the directory that it was found in is watched: it has no
    /// other name, and its writers are told by asking, as they are known to be in the domain `told`.
    pub(super) fn may_rest(&self, told: Option<Domain>) -> bool {
        let is_told = || told == Some(self.domain()) || self.writers() != Writers::Unknown;
        self.links == 1 && self.by_own_name && is_told()
    }

    /// Whether the file holds nothing; those of /proc and /sys only say so.
    pub(super) fn is_empty(&self, how: How) -> Result<bool, WouldBlock> {
        if self.identity.size > 0 {
            return Ok(false);
        }
        match self.read(0, how) {
            Ok(bytes) => Ok(bytes.is_empty()),
            Err(Failed::WouldBlock) => Err(WouldBlock),
            // Reading it will say so again.
            Err(Failed::Io(_)) => Ok(false),
        }
    }

    /// Reads the file from its start; one byte more than `limit` says that it is larger.
    pub(super) fn read(&self, limit: u64, how: How) -> Result<Vec<u8>, Failed> {
        platform::read(self, limit, how)
    }
}

/// That nobody opens a file for writing.
#[derive(Debug)]
pub(super) struct HeldUp(Arc<Opened>);

impl HeldUp {
    /// Whether it is that file.
    pub(super) fn is_of(&self, opened: &Opened) -> bool {
        self.0.identity.is_of_same_file(&opened.identity)
    }
}

impl Drop for HeldUp {
    fn drop(&mut self) {
        platform::let_writers_go(&self.0.file);
    }
}

/// Opens what is behind `path`, following symbolic links; with [`How::Cached`], only on filesystems
/// that are known to answer.
pub(super) fn open(path: &Path, how: How, filesystems: &Filesystems) -> Result<Found, Failed> {
    platform::open(path, how, filesystems)
}

/// What a name is, without following it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Glance {
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) is_link: bool,
    pub(super) is_dir: bool,
    /// Time of the last status change, in nanoseconds since 1970.
    pub(super) changed: i64,
}

/// Tells what `path` is; with [`How::Cached`], only on filesystems that are known to answer.
pub(super) fn glance(
    path: &Path,
    how: How,
    filesystems: &Filesystems,
) -> Result<Option<Glance>, WouldBlock> {
    platform::glance(path, how, filesystems)
}

/// Opens what tells of every mount; `None` where nothing does.
pub(super) fn mount_table() -> Option<File> {
    platform::mount_table()
}

/// Whether something was mounted or unmounted since this was last asked.
pub(super) fn has_changed(mount_table: &File) -> bool {
    platform::has_changed(mount_table)
}

/// Returns the identity of what is behind `path`, or `None` where nothing is.
pub(super) fn identity(path: &Path) -> Option<Identity> {
    platform::identity(path)
}

//! Whether a file is still what it was.

use std::{
    fs::{self, Metadata},
    hash::{DefaultHasher, Hasher},
    io::Read,
    os::unix::fs::MetadataExt,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Longer than between any two ticks by which a kernel dates files: at most 10 ms (inode(7), jiffies).
pub(super) const TICK: Duration = Duration::from_millis(20);
/// Files above this are compared by their identity alone.
const MAX_HASHED_BYTES: u64 = 4 << 20;

/// What changes with every edit, on file systems that keep times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    inode: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Identity {
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    pub(super) fn of(found: &Metadata) -> Self {
        Self {
            inode: (found.dev(), found.ino()),
            size: found.len(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        }
    }
}

/// Reads a file; `None` where that can't be done, or would take long.
pub(super) fn hash(path: &Path, size: u64) -> Option<u64> {
    if size > MAX_HASHED_BYTES {
        return None;
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size).ok()?);
    fs::File::open(path).ok()?.take(MAX_HASHED_BYTES).read_to_end(&mut bytes).ok()?;
    let mut hasher = DefaultHasher::new();
    hasher.write(&bytes);
    Some(hasher.finish())
}

/// Whether a file was changed so short a time ago that the clock of its filesystem, which goes by ticks,
/// may not have moved on since.
pub(super) fn is_recent(found: &Metadata) -> bool {
    let changed = u64::try_from(found.ctime()).unwrap_or_default();
    let changed = Duration::new(changed, u32::try_from(found.ctime_nsec()).unwrap_or_default());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // A clock that is behind says nothing either.
    now.saturating_sub(changed) < TICK
}

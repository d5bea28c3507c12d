//! Whether a file is still what it was.

use std::{
    fs,
    hash::{DefaultHasher, Hasher},
    io::Read,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::seen::since_1970;

/// Longer than between any two ticks by which a kernel dates files: at most 10 ms (inode(7), jiffies).
pub(super) const TICK: Duration = Duration::from_millis(20);
/// Files above this are compared by their identity alone.
const MAX_HASHED_BYTES: u64 = 4 << 20;

/// What changes with every edit, on file systems that keep times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) size: u64,
    /// In seconds and nanoseconds since 1970, as is the next one.
    pub(super) modified: (i64, i64),
    pub(super) changed: (i64, i64),
}

impl Identity {
    /// Whether it was changed so short a time ago that the clock of its filesystem, which goes by ticks,
    /// may not have moved on since.
    pub(super) fn is_recent(&self) -> bool {
        let changed = since_1970(self.changed).unwrap_or_default();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // A clock that is behind says nothing either.
        now.saturating_sub(changed) < TICK
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

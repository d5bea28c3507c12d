//! What tells one state of a file from another without reading it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A file as it was at one moment: equal identities, equal content, unless the moment was too
/// close to the file's own time.
///
/// The time of the last status change is what can't be set back: it moves even where a writer
/// restores size and modification time (`inode(7)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) size: u64,
    /// Nanoseconds since 1970; what is centuries away is as far as they go.
    pub(super) modified: i64,
    /// Nanoseconds since 1970.
    pub(super) changed: i64,
}

/// File times advance with the timer tick, at worst every 10 ms (`CONFIG_HZ=100`), until Linux 6.13
/// made those finer that somebody has asked for; twice that is safe.
const TICK: i64 = 20_000_000;
/// Some filesystems keep whole seconds, FAT two of them.
const COARSE: i64 = 2 * SECOND;
const SECOND: i64 = 1_000_000_000;

/// Now, in nanoseconds since 1970.
pub(super) fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_nanos()).unwrap_or(i64::MAX)
}

impl Identity {
    /// Whether a write right after `now`, in nanoseconds since 1970, might leave the identity as it
    /// is.
    ///
    /// As git does with its index, an identity taken within one grain of the file's own time is
    /// not trusted to prove "unchanged" (`Documentation/technical/racy-git.txt`).
    pub(super) fn is_racy_at(&self, now: i64) -> bool {
        let age = now.saturating_sub(self.modified.max(self.changed));
        let is_whole = |time: i64| time % SECOND == 0;
        age < TICK || age < COARSE && is_whole(self.modified) && is_whole(self.changed)
    }

    /// Whether it is the same file, whatever it holds.
    pub(super) fn is_of_same_file(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }

    /// Whether it is of another size, though by its times it is what it was.
    pub(super) fn is_resized(&self, was: &Self) -> bool {
        *self != *was && Self { size: was.size, ..*self } == *was
    }

    /// How long ago the file changed, as far as the clock can tell; nothing for the future.
    pub(super) fn age_at(&self, now: i64) -> Duration {
        Duration::from_nanos(now.saturating_sub(self.changed).try_into().unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_times(modified: i64, changed: i64) -> Identity {
        Identity { device: 1, inode: 1, size: 1, modified, changed }
    }

    #[test]
    fn is_racy_within_a_grain_of_its_own_time() {
        let ms = 1_000_000;
        let fine = 100 * SECOND + 7;
        let coarse = 100 * SECOND;
        for (modified, changed, now, want) in [
            (fine, fine, fine, true),
            (fine, fine, fine + 20 * ms - 1, true),
            (fine, fine, fine + 20 * ms, false),
            // A restored modification time does not hide a fresh status change.
            (0, fine, fine + ms, true),
            // A file from the future can't prove anything.
            (fine + SECOND, fine, fine + 100 * ms, true),
            // Whole seconds: a grain of two.
            (coarse, coarse, coarse + SECOND, true),
            (coarse, coarse, coarse + 2 * SECOND, false),
        ] {
            let got = with_times(modified, changed).is_racy_at(now);
            assert_eq!(got, want, "{modified} {changed} {now}");
        }
    }

    #[test]
    fn age_of_the_future_is_nothing() {
        let identity = with_times(0, 5 * SECOND);
        assert_eq!(identity.age_at(7 * SECOND), Duration::from_secs(2));
        assert_eq!(identity.age_at(SECOND), Duration::ZERO);
    }
}

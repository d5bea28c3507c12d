//! What tells one state of a file from another without reading it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A file as it was at one moment: equal identities, equal content, unless the moment was too
/// close to the file's own time.
///
/// The time of the last status change is what can't be set back: it moves even where a writer
/// restores size and modification time (`inode(7)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
const TICK: Duration = Duration::from_millis(20);
/// Some filesystems keep whole seconds, FAT two of them.
const COARSE: Duration = Duration::from_secs(2);

impl Identity {
    /// Whether a write right after `now` might leave the identity as it is.
    ///
    /// As git does with its index, an identity taken within one grain of the file's own time is
    /// not trusted to prove "unchanged" (`Documentation/technical/racy-git.txt`).
    pub(super) fn is_racy_at(&self, now: SystemTime) -> bool {
        let whole_seconds = self.modified % 1_000_000_000 == 0 && self.changed % 1_000_000_000 == 0;
        let grain = if whole_seconds { COARSE } else { TICK };
        let now = now.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos().cast_signed());
        let newest = i128::from(self.modified.max(self.changed));
        now - newest < grain.as_nanos().cast_signed()
    }

    /// How long ago the file changed, as far as the clock can tell; nothing for the future.
    pub(super) fn age_at(&self, now: SystemTime) -> Duration {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let changed = self.changed.max(0).cast_unsigned();
        now.saturating_sub(Duration::from_nanos(changed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn at(nanos: i64) -> SystemTime {
        UNIX_EPOCH + Duration::from_nanos(nanos.try_into().unwrap())
    }

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
            let got = with_times(modified, changed).is_racy_at(at(now));
            assert_eq!(got, want, "{modified} {changed} {now}");
        }
    }

    #[test]
    fn age_of_the_future_is_nothing() {
        let identity = with_times(0, 5 * SECOND);
        assert_eq!(identity.age_at(at(7 * SECOND)), Duration::from_secs(2));
        assert_eq!(identity.age_at(at(SECOND)), Duration::ZERO);
    }
}

//! When it is time to say that files are not good.

use std::time::Duration;

use tokio::time::Instant;

/// How long files that don't match are waited for in silence: whoever renews a certificate writes
/// one after the other.
const GRACE: Duration = Duration::from_secs(3);

/// What a look at files finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finding {
    Good,
    /// Something is wrong that may be over in a moment.
    Passing,
    Bad,
}

/// Whether files are good, as far as anybody was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doubt {
    None,
    /// They are not, since then, and it may pass.
    Silent(Instant),
    Told,
}

impl Doubt {
    /// Goes on by what is found at this moment.
    pub(super) fn next(self, found: Finding, now: Instant) -> Self {
        match (found, self) {
            (Finding::Good, _) => Self::None,
            (Finding::Passing, Self::None) => Self::Silent(now),
            (Finding::Passing, Self::Silent(since)) if now < since + GRACE => self,
            (Finding::Passing | Finding::Bad, _) => Self::Told,
        }
    }

    /// Whether nobody is to be told yet.
    pub(super) fn is_silent(self) -> bool {
        matches!(self, Self::Silent(_))
    }

    /// Returns when it goes on by itself.
    pub(super) fn due(self) -> Option<Instant> {
        match self {
            Self::Silent(since) => Some(since + GRACE),
            Self::None | Self::Told => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_what_does_not_pass() {
        use Finding::{Bad, Good, Passing};

        let start = Instant::now();
        let ms = Duration::from_millis(1);
        let before = GRACE.saturating_sub(ms);
        let silent = Doubt::Silent(start);
        for (doubt, found, after, want) in [
            (Doubt::None, Good, ms, Doubt::None),
            (Doubt::None, Passing, Duration::ZERO, silent),
            (Doubt::None, Bad, ms, Doubt::Told),
            (silent, Good, ms, Doubt::None),
            (silent, Passing, before, silent),
            (silent, Passing, GRACE, Doubt::Told),
            (silent, Bad, ms, Doubt::Told),
            (Doubt::Told, Passing, ms, Doubt::Told),
            (Doubt::Told, Good, ms, Doubt::None),
        ] {
            assert_eq!(doubt.next(found, start + after), want, "{doubt:?} {found:?} {after:?}");
        }
    }
}

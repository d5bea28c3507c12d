//! How long a certificate is good for.

use std::time::{SystemTime, UNIX_EPOCH};

const SECONDS_A_DAY: i64 = 24 * 60 * 60;

/// How near the end of a certificate is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Expiry {
    /// Not near.
    Far,
    /// Fewer days are left than [`expiry_warning_days`](crate::TlsConfig::expiry_warning_days).
    Near,
    /// It is over: clients refuse the certificate.
    Over,
}

impl Expiry {
    /// Returns it in one word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Far => "far",
            Self::Near => "near",
            Self::Over => "over",
        }
    }

    /// Judges by the last second in which a certificate is valid; all in seconds since 1970.
    pub(super) fn at(now: i64, not_after: i64, warning_days: u32) -> Self {
        let warning = i64::from(warning_days) * SECONDS_A_DAY;
        match not_after.saturating_sub(now) {
            left if left < 0 => Self::Over,
            left if left < warning => Self::Near,
            _ => Self::Far,
        }
    }
}

/// Returns the whole days until `not_after`, less than 0 once it is over.
pub(super) fn days_left(now: i64, not_after: i64) -> i64 {
    not_after.saturating_sub(now).div_euclid(SECONDS_A_DAY)
}

/// Returns the seconds since 1970.
pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warns_before_the_end_and_tells_it() {
        let day = SECONDS_A_DAY;
        for (now, want, days) in [
            (0, Expiry::Far, 30),
            (9 * day, Expiry::Far, 21),
            (9 * day + 1, Expiry::Near, 20),
            (30 * day, Expiry::Near, 0),
            (30 * day + 1, Expiry::Over, -1),
            (i64::MAX, Expiry::Over, (30 * day - i64::MAX).div_euclid(day)),
        ] {
            assert_eq!(Expiry::at(now, 30 * day, 21), want, "{now}");
            assert_eq!(days_left(now, 30 * day), days, "{now}");
        }
        assert_eq!(Expiry::at(0, i64::MAX, u32::MAX), Expiry::Far);
    }
}

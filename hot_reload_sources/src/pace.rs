//! How long to wait after a failure: with full jitter, so that a fleet never comes back as one.

use std::time::Duration;

use tokio::time::Instant;

use crate::error::Kind;

/// Drawn from zero, full jitter may come out as nothing; even then a store has a moment's peace.
const SHORTEST: Duration = Duration::from_millis(10);
/// A server that asks for more is asked again all the same.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60 * 60);
/// What is missing is created by somebody who then looks whether it is found, and to be told that it is not
/// there costs a store little.
const MISSING_CEILING: Duration = Duration::from_secs(2);
/// A fleet that was told the same moment is spread over this part of the time until then.
const RETRY_AFTER_SPREAD: f64 = 0.2;

/// A pause is no longer than this part of the time that a store has been away: 800 ms after a minute, and
/// the ceiling of other failures, 10 s, after some twelve.
const PART_OF_OUTAGE: u32 = 75;

/// Watches that end together, as when a server goes, are not begun anew together.
const RECONNECT_SPREAD: Duration = Duration::from_millis(300);
/// A watch that ends sooner was of no use; who has it end so each time must not be asked all the time.
const SHORT_WATCH: Duration = Duration::from_secs(1);
/// In a row, before pauses grow: a server that restarts may cut a few.
const SHORT_WATCHES: u32 = 3;

/// The pauses of one source.
#[derive(Debug)]
pub(crate) struct Pace {
    floor: Duration,
    ceiling: Duration,
    reconnect_ceiling: Duration,
    /// Since it last succeeded, of each kind: an outage ends in answers such as that the server has too much to
    /// do, of which that is the first, and overload has more than one face.
    failures: [u32; KINDS],
    /// Since when the store can't be reached.
    away_since: Option<Instant>,
    /// Watches in a row that were short.
    short_watches: u32,
}

impl Pace {
    pub(crate) fn new(floor: Duration, ceiling: Duration, reconnect_ceiling: Duration) -> Self {
        Self {
            floor: floor.max(SHORTEST),
            ceiling,
            reconnect_ceiling,
            failures: [0; KINDS],
            away_since: None,
            short_watches: 0,
        }
    }

    pub(crate) fn floor(&self) -> Duration {
        self.floor
    }

    pub(crate) fn ceiling(&self) -> Duration {
        self.ceiling
    }

    pub(crate) fn succeeded(&mut self) {
        self.failures = [0; KINDS];
        self.away_since = None;
    }

    /// Counts a failure; how long to wait after it.
    pub(crate) fn failed(&mut self, kind: Kind) -> Duration {
        let failures = &mut self.failures[nth(kind)];
        *failures = failures.saturating_add(1);
        if kind == Kind::Unreachable {
            self.away_since.get_or_insert_with(Instant::now);
        }
        self.after(kind, fastrand::f64())
    }

    /// How long to wait after a watch that has ended, having lasted for `lasted`.
    pub(crate) fn watch_ended(&mut self, lasted: Duration) -> Duration {
        self.watch_pause(lasted).mul_f64(fastrand::f64())
    }

    /// The longest that it may be.
    fn watch_pause(&mut self, lasted: Duration) -> Duration {
        let more = self.short_watches.saturating_add(1);
        self.short_watches = if lasted < SHORT_WATCH { more } else { 0 };
        let spread = RECONNECT_SPREAD.min(self.reconnect_ceiling);
        let doublings = self.short_watches.saturating_sub(SHORT_WATCHES).min(31);
        spread.saturating_mul(1 << doublings).min(self.ceiling.max(spread))
    }

    /// Within a second of its return at first; a store that is away for long is asked ever more seldom, as
    /// a fleet that all knocks at once may be what keeps it from coming back.
    fn reconnect_ceiling(&self) -> Duration {
        let away = self.away_since.map_or(Duration::ZERO, |since| since.elapsed());
        self.reconnect_ceiling.max(away / PART_OF_OUTAGE)
    }

    /// `luck` is in 0..1.
    fn after(&self, kind: Kind, luck: f64) -> Duration {
        let ceiling = match kind {
            Kind::Unreachable => self.ceiling.min(self.reconnect_ceiling()),
            Kind::Missing | Kind::Gone => self.ceiling.min(MISSING_CEILING),
            Kind::Refused | Kind::Throttled(_) | Kind::Invalid => self.ceiling,
        };
        let doublings = self.failures[nth(kind)].saturating_sub(1).min(31);
        let bound = self.floor.saturating_mul(1 << doublings).min(ceiling);
        let jittered = bound.mul_f64(luck).max(SHORTEST);
        match kind {
            Kind::Throttled(Some(asked)) => jittered.max(spread(asked, luck)),
            _ => jittered,
        }
    }
}

const KINDS: usize = 5;

fn nth(kind: Kind) -> usize {
    match kind {
        Kind::Unreachable => 0,
        Kind::Refused => 1,
        Kind::Throttled(_) => 2,
        Kind::Missing | Kind::Gone => 3,
        Kind::Invalid => 4,
    }
}

/// What a store has asked for, and a part more.
fn spread(asked: Duration, luck: f64) -> Duration {
    asked.min(LONGEST_RETRY_AFTER).mul_f64(1.0 + RETRY_AFTER_SPREAD * luck)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn pace() -> Pace {
        Pace::new(ms(100), ms(10_000), ms(800))
    }

    fn after(failures: u32, kind: Kind, luck: f64) -> Duration {
        Pace { failures: [failures; KINDS], ..pace() }.after(kind, luck)
    }

    #[test]
    fn doubles_up_to_the_ceiling_of_its_kind() {
        for (failures, kind, want) in [
            (1, Kind::Unreachable, 100),
            (2, Kind::Unreachable, 200),
            (9, Kind::Unreachable, 800),
            (9, Kind::Refused, 10_000),
            (9, Kind::Missing, 2_000),
            (u32::MAX, Kind::Throttled(None), 10_000),
        ] {
            assert_eq!(after(failures, kind, 1.0), ms(want), "{failures} {kind:?}");
        }
    }

    #[test]
    fn jitter_is_full_but_never_nothing() {
        assert_eq!(after(9, Kind::Unreachable, 0.25), ms(200));
        assert_eq!(after(9, Kind::Unreachable, 0.0), SHORTEST);
    }

    #[test]
    fn who_ends_watches_at_once_is_asked_ever_more_seldom() {
        let mut pace = pace();
        for want in [300, 300, 300, 600, 1200, 2400, 4800, 9600, 10_000, 10_000] {
            assert_eq!(pace.watch_pause(ms(999)), ms(want));
        }
        assert_eq!(pace.watch_pause(ms(1000)), ms(300));
    }

    /// Once two kinds of failure in turn were each the first of its kind, for ever.
    #[test]
    fn kinds_that_take_turns_are_counted_each() {
        let busy = Kind::Throttled(None);
        let mut pace = pace();
        for _ in 0..20 {
            pace.failed(Kind::Unreachable);
            pace.failed(busy);
        }
        assert_eq!(pace.after(busy, 1.0), ms(10_000));
        assert_eq!(pace.after(Kind::Unreachable, 1.0), ms(800));
        pace.failed(Kind::Refused);
        assert_eq!(pace.after(Kind::Refused, 1.0), ms(100));
        pace.succeeded();
        pace.failed(busy);
        assert_eq!(pace.after(busy, 1.0), ms(100));
    }

    #[test]
    fn a_floor_of_nothing_is_no_busy_loop() {
        let mut pace = Pace::new(Duration::ZERO, ms(10_000), ms(800));
        for _ in 0..40 {
            pace.failed(Kind::Refused);
        }
        assert_eq!(pace.after(Kind::Refused, 1.0), ms(10_000));
    }

    #[test]
    fn a_server_that_says_when_is_not_asked_before() {
        let asked = Kind::Throttled(Some(ms(5000)));
        for (luck, want) in [(0.0, 5000), (0.5, 5500), (1.0, 6000)] {
            assert_eq!(after(1, asked, luck), ms(want), "{luck}");
        }
        let for_ever = Kind::Throttled(Some(Duration::MAX));
        assert!(after(1, for_ever, 1.0) <= LONGEST_RETRY_AFTER * 2);
    }
}

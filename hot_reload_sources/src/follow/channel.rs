//! What is known of a store's channel, and what a look has to do.

use hot_reload::Mechanism;
use tokio::time::Instant;

use crate::store::Changes;

const NO_CHANNEL: &str = "the store has no channel for them";

/// What is known of the channel by which a store tells of changes.
pub(super) enum Channel {
    /// Nothing yet, or it is not wanted.
    Unknown,
    Standing {
        changes: Changes,
        since: Instant,
    },
    /// The store has none.
    None,
    /// Not to be had before a moment; if for a `reason`, what there is is read meanwhile.
    Off {
        reason: Option<String>,
        retry_at: Instant,
    },
}

impl Channel {
    pub(super) fn stands(&self) -> bool {
        matches!(self, Self::Standing { .. })
    }

    pub(super) fn is_off(&self) -> bool {
        matches!(self, Self::Off { .. })
    }

    /// The connection is lost, and what stood with it; all else is as true as before.
    pub(super) fn is_cut(&mut self) {
        if self.stands() {
            *self = Self::Unknown;
        }
    }

    /// How changes are noticed, where events are wanted.
    pub(super) fn mechanism(&self, polls: bool) -> Mechanism {
        match self {
            Self::None if polls => Mechanism::Polling,
            Self::None => Mechanism::Degraded(NO_CHANNEL.into()),
            Self::Off { reason: Some(reason), .. } => Mechanism::Degraded(reason.clone().into()),
            _ if polls => Mechanism::EventsAndPolling,
            _ => Mechanism::Events,
        }
    }

    /// The same, as far as it decides what to do.
    pub(super) fn known(&self, now: Instant) -> Known {
        match self {
            Self::Unknown => Known::Unknown,
            Self::Standing { .. } | Self::None => Known::Settled,
            Self::Off { reason: None, retry_at } if *retry_at <= now => Known::Ended,
            Self::Off { .. } => Known::Off,
        }
    }
}

/// What is known of a channel, as far as it decides what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// It may be there.
    Unknown,
    /// It stands, or there is none.
    Settled,
    /// The last one is over, and another may be had.
    Ended,
    /// To be done without, as it can't be had or is not wanted.
    Off,
}

/// What decides what a look does.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "each is a question of its own")]
pub(super) struct Seen {
    pub(super) is_connected: bool,
    pub(super) channel: Known,
    /// Whether something arrived that no look has taken.
    pub(super) has_arrived: bool,
    /// Whether nothing but a read will do.
    pub(super) must_read: bool,
    /// Whether it is time to read although nothing was heard.
    pub(super) is_due: bool,
    /// Whether the store is to be left alone for now.
    pub(super) is_resting: bool,
}

/// What a look does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Do {
    /// Takes what has arrived.
    Take,
    /// Connects where that has to be, watches, and reads where it can't be watched.
    Watch,
    /// Connects where that has to be, and reads.
    Open,
    /// Reads by the connection there is.
    Read,
    /// Says again what the newest entry has come to.
    Rest,
}

impl Seen {
    pub(super) fn next(self) -> Do {
        // Until it may be read again, what was pushed is all there is.
        if self.has_arrived && (self.is_resting || !(self.must_read || self.is_due)) {
            return Do::Take;
        }
        match (self.is_connected, self.channel) {
            // With a connection: opening came to an error that it has outlived.
            (_, Known::Unknown) | (false, Known::Settled | Known::Ended) => Do::Watch,
            (false, Known::Off) => Do::Open,
            (true, _) if self.must_read || (self.is_due && !self.is_resting) => Do::Read,
            (true, _) => Do::Rest,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEEN: Seen = Seen {
        is_connected: true,
        channel: Known::Settled,
        has_arrived: false,
        must_read: false,
        is_due: false,
        is_resting: false,
    };
    const AWAY: Seen = Seen { is_connected: false, ..SEEN };
    const DUE: Seen = Seen { is_due: true, ..SEEN };
    const OFF: Seen = Seen { channel: Known::Off, ..SEEN };

    #[test]
    fn what_a_look_does() {
        let table = [
            (SEEN, Do::Rest),
            (Seen { has_arrived: true, ..SEEN }, Do::Take),
            (Seen { has_arrived: true, ..DUE }, Do::Read),
            (Seen { has_arrived: true, is_resting: true, ..DUE }, Do::Take),
            (Seen { has_arrived: true, must_read: true, ..SEEN }, Do::Read),
            (Seen { has_arrived: true, must_read: true, is_resting: true, ..SEEN }, Do::Take),
            (DUE, Do::Read),
            (Seen { is_resting: true, ..DUE }, Do::Rest),
            (Seen { must_read: true, ..SEEN }, Do::Read),
            (AWAY, Do::Watch),
            (Seen { channel: Known::Unknown, ..AWAY }, Do::Watch),
            (Seen { channel: Known::Ended, ..AWAY }, Do::Watch),
            (Seen { channel: Known::Off, ..AWAY }, Do::Open),
            (Seen { channel: Known::Unknown, ..SEEN }, Do::Watch),
            (OFF, Do::Rest),
            (Seen { is_due: true, ..OFF }, Do::Read),
            (Seen { channel: Known::Ended, ..DUE }, Do::Read),
        ];
        for (seen, want) in table {
            assert_eq!(seen.next(), want, "{seen:?}");
        }
    }
}

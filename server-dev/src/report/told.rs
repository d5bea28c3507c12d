//! What may happen to a service.

use serde::Serialize;

use crate::diagnostics::Diagnostic;

/// Something that happened to a service.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(crate) enum Told {
    Listening {
        name: String,
        address: String,
    },
    Watching {
        /// As they were named.
        roots: Vec<String>,
        files: usize,
        folders: usize,
        /// `events`, `polling` or `events-and-polling`.
        mechanism: &'static str,
        poll_milliseconds: Option<u64>,
        reason: Option<String>,
    },
    Changed {
        files: Vec<String>,
        more: usize,
    },
    Building {
        command: String,
    },
    Built {
        milliseconds: u64,
    },
    BuildFailed {
        reason: String,
        serves: bool,
        /// For programs: a person has seen what was written.
        diagnostics: Vec<Diagnostic>,
    },
    Starting {
        pid: u32,
    },
    Ready {
        pid: u32,
        generation: u64,
        by: &'static str,
        milliseconds: u64,
        since_save: Option<u64>,
    },
    NotReady {
        reason: String,
        serves: bool,
        diagnostics: Vec<Diagnostic>,
    },
    Drained {
        pid: u32,
        status: String,
    },
    Exited {
        pid: u32,
        status: String,
        again_in_milliseconds: Option<u64>,
        diagnostics: Vec<Diagnostic>,
    },
    GaveUp {
        reason: String,
    },
    /// Told to end, by a signal or a key.
    Ending,
    Ended,
}

/// How much it is to be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    Step,
    Good,
    Bad,
}

impl Told {
    pub(crate) fn level(&self) -> Level {
        match self {
            Self::BuildFailed { .. }
            | Self::NotReady { .. }
            | Self::Exited { .. }
            | Self::GaveUp { .. } => Level::Bad,
            Self::Ready { .. } => Level::Good,
            _ => Level::Step,
        }
    }
}

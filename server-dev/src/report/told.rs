//! What may happen to a service.

use serde::Serialize;

use crate::{diagnostics::Diagnostic, over::Why, ready::Sign};

/// Something that happened to a service.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(crate) enum Told {
    /// The file of services was edited; where all lists are empty, what runs is what it says again.
    Configured {
        file: String,
        changed: Vec<String>,
        added: Vec<String>,
        removed: Vec<String>,
    },
    /// An edit of it can't be taken: as a whole, or for the service that this is told of.
    NotConfigured {
        file: String,
        reason: String,
        line: Option<usize>,
        column: Option<usize>,
        /// Whether there is something that ran before.
        goes_on: bool,
    },
    Listening {
        name: String,
        address: String,
    },
    Watching {
        /// As they were named.
        roots: Vec<String>,
        files: usize,
        folders: usize,
        mechanism: WatchedBy,
        poll_milliseconds: Option<u64>,
        reason: Option<String>,
    },
    /// No file is watched, so that nothing will ever be told.
    NothingCounts {
        roots: Vec<String>,
        /// That a file has which counts; any does where there is none.
        extensions: Vec<String>,
    },
    Changed {
        files: Vec<String>,
        more: usize,
        asks_for: Vec<Asked>,
    },
    /// By a key.
    Asked {
        asks_for: Asked,
    },
    /// Of files that the server itself writes while it starts, what is written then is heeded no more.
    OwnWrites {
        files: Vec<String>,
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
        again_in_milliseconds: Option<u64>,
        /// For programs: a person has seen what was written.
        diagnostics: Vec<Diagnostic>,
    },
    Starting {
        pid: u32,
    },
    Ready {
        pid: u32,
        generation: u64,
        by: Sign,
        milliseconds: u64,
        since_save_milliseconds: Option<u64>,
    },
    NotReady {
        reason: String,
        serves: bool,
        again_in_milliseconds: Option<u64>,
        diagnostics: Vec<Diagnostic>,
    },
    Drained {
        pid: u32,
        status: String,
        /// Whether it had to be.
        killed: bool,
    },
    Exited {
        pid: u32,
        status: String,
        again_in_milliseconds: Option<u64>,
        diagnostics: Vec<Diagnostic>,
    },
    GaveUp,
    /// Processes that have not ended even after SIGKILL.
    Left {
        pids: Vec<u32>,
    },
    /// Told to end, by a signal or a key, or by an edit of the file of services.
    Ending {
        because: Why,
        /// The leaders of what has to end first.
        pids: Vec<u32>,
        /// How long they may take.
        milliseconds: u64,
    },
    /// Nothing of it is left.
    Ended {
        because: Why,
    },
}

/// What is done about an edit, or for a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Asked {
    /// It is built, and started anew.
    Build,
    /// It is started anew.
    Restart,
    /// The process that serves is sent SIGHUP.
    Signal,
    /// Pages are loaded anew.
    Reload,
    /// Pages take their style sheets anew.
    Css,
}

impl Asked {
    /// Whether another process is to serve in the end.
    pub(crate) fn is_a_start(self) -> bool {
        matches!(self, Self::Build | Self::Restart)
    }
}

/// How edits are noticed.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum WatchedBy {
    Events,
    Polling,
    EventsAndPolling,
}

/// How much it is to be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weight {
    Step,
    Good,
    Bad,
}

impl Told {
    pub(crate) fn weight(&self) -> Weight {
        match self {
            Self::NotConfigured { .. }
            | Self::NothingCounts { .. }
            | Self::BuildFailed { .. }
            | Self::NotReady { .. }
            | Self::Exited { .. }
            | Self::GaveUp
            | Self::OwnWrites { .. }
            | Self::Left { .. } => Weight::Bad,
            Self::Ready { .. } => Weight::Good,
            _ => Weight::Step,
        }
    }
}

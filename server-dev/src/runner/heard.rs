//! What a process has written last, for when it fails.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::Runner;
use crate::{
    diagnostics::{self, Diagnostic},
    process::{Line, Output},
    report::Told,
};

/// Lines that are kept: as many as the errors of a build that anybody reads.
const KEPT_LINES: usize = 1000;
/// Of each so many bytes.
const KEPT_BYTES: usize = 1024;

/// Lines of stderr that a page shows: more than a window holds.
const SHOWN_LINES: usize = 200;

/// What languages call EADDRINUSE, see bind(2).
const USED_ADDRESS: [&str; 3] = ["address already in use", "eaddrinuse", "addrinuse"];

/// Passes on what a process writes, and keeps the last of it.
pub(super) struct Heard {
    runner: Arc<Runner>,
    last: Mutex<VecDeque<Kept>>,
}

struct Kept {
    line: Line,
    /// Whether it is shown alone, as what it says is known already.
    is_rendered: bool,
}

/// What a process has to say about its failure.
#[derive(Debug, Default)]
pub(super) struct LastWords {
    pub(super) diagnostics: Vec<Diagnostic>,
    /// Its last lines, as they are without a terminal.
    pub(super) text: String,
}

impl Heard {
    pub(super) fn new(runner: Arc<Runner>) -> Self {
        Self { runner, last: Mutex::default() }
    }

    /// What it says of the source; where that is nothing, its last lines.
    pub(super) fn said(&self) -> LastWords {
        let [stderr, stdout] = [true, false].map(|is_error| self.written(is_error));
        LastWords { diagnostics: diagnostics::of_output(&stderr, &stdout), text: self.text() }
    }

    /// What it says of the source alone.
    pub(super) fn said_of_places(&self) -> LastWords {
        let [stderr, stdout] = [true, false].map(|is_error| self.written(is_error));
        LastWords { diagnostics: diagnostics::of_places(&stderr, &stdout), text: self.text() }
    }

    /// Whether it has complained that an address is in use.
    pub(super) fn names_a_used_address(&self) -> bool {
        self.last().iter().any(|kept| {
            let line = String::from_utf8_lossy(&kept.line.text).to_lowercase();
            USED_ADDRESS.iter().any(|words| line.contains(words))
        })
    }

    /// Passes on a line of what was told in another form.
    pub(super) async fn rendered(&self, line: Line) {
        self.keep(&line, true);
        self.runner.line(line).await;
    }

    fn keep(&self, line: &Line, is_rendered: bool) {
        let text = line.text[..line.text.len().min(KEPT_BYTES)].to_vec();
        let mut last = self.last();
        if last.len() == KEPT_LINES {
            last.pop_front();
        }
        last.push_back(Kept { line: Line { is_error: line.is_error, text }, is_rendered });
    }

    fn written(&self, is_error: bool) -> String {
        let last = self.last();
        let lines = last.iter().filter(|kept| kept.line.is_error == is_error && !kept.is_rendered);
        lines.map(|kept| String::from_utf8_lossy(&kept.line.text) + "\n").collect()
    }

    fn text(&self) -> String {
        let last = self.last();
        let lines: Vec<_> = last.iter().filter(|kept| kept.line.is_error).collect();
        let lines = lines[lines.len().saturating_sub(SHOWN_LINES)..].iter();
        let text: String =
            lines.map(|kept| String::from_utf8_lossy(&kept.line.text) + "\n").collect();
        diagnostics::plain(&text).trim_end().to_owned()
    }

    fn last(&self) -> MutexGuard<'_, VecDeque<Kept>> {
        // It is pushed to, or read.
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Output for Heard {
    fn started(&self, pid: u32) {
        self.runner.report.tell(&self.runner.name, Told::Starting { pid });
    }

    async fn line(&self, line: Line) {
        self.keep(&line, false);
        self.runner.line(line).await;
    }

    fn left(&self, pids: Vec<u32>) {
        self.runner.left(pids);
    }
}

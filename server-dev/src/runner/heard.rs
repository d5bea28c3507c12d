//! What a process has written last, for when it fails.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::Runner;
use crate::{
    diagnostics::{self, Diagnostic},
    process::{Line, Output},
};

/// Lines that are kept: as many as the errors of a build that anybody reads.
const LINES: usize = 1000;
/// Of each so many bytes.
const LONGEST: usize = 1024;

/// Passes on what a process writes, and keeps the last of it.
pub(super) struct Heard {
    runner: Arc<Runner>,
    last: Mutex<VecDeque<Line>>,
}

impl Heard {
    pub(super) fn new(runner: Arc<Runner>) -> Self {
        Self { runner, last: Mutex::default() }
    }

    /// What it says of the source; where that is nothing, its last lines.
    pub(super) fn diagnostics(&self) -> Vec<Diagnostic> {
        let [stderr, stdout] = [true, false].map(|is_error| self.text(is_error));
        diagnostics::of_output(&stderr, &stdout)
    }

    /// What it says of the source alone.
    pub(super) fn places(&self) -> Vec<Diagnostic> {
        let [stderr, stdout] = [true, false].map(|is_error| self.text(is_error));
        diagnostics::of_places(&stderr, &stdout)
    }

    fn keep(&self, line: &Line) {
        let text = line.text[..line.text.len().min(LONGEST)].to_vec();
        let mut last = self.last();
        if last.len() == LINES {
            last.pop_front();
        }
        last.push_back(Line { is_error: line.is_error, text });
    }

    fn text(&self, is_error: bool) -> String {
        let last = self.last();
        let lines = last.iter().filter(|line| line.is_error == is_error);
        lines.map(|line| String::from_utf8_lossy(&line.text) + "\n").collect()
    }

    fn last(&self) -> MutexGuard<'_, VecDeque<Line>> {
        // It is pushed to, or read.
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Output for Heard {
    async fn line(&self, line: Line) {
        self.keep(&line);
        self.runner.line(line).await;
    }
}

//! What is wrong with a service, as its pages show it.

use serde::Serialize;

use crate::diagnostics::Diagnostic;

/// Why there is nothing new, or nothing at all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Problem {
    pub(crate) kind: ProblemKind,
    /// In a line.
    pub(crate) reason: String,
    /// Places in the sources, where they are known.
    pub(crate) places: Vec<Diagnostic>,
    /// What the build or the server has written last.
    pub(crate) text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ProblemKind {
    /// The build has failed.
    Build,
    /// A new process has not become ready.
    Start,
    /// The process that answered has ended.
    Crash,
}

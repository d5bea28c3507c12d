//! What is wrong with a service, as its pages show it.

use std::fmt;

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

impl fmt::Display for ProblemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Build => "the build has failed",
            Self::Start => "the new server is not ready",
            Self::Crash => "the server has ended",
        })
    }
}

/// In lines: what it is, and what was written last or, where that is nothing, what is known of it.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.reason)?;
        if !self.text.is_empty() {
            return write!(f, "\n\n{}", self.text);
        }
        for (n, place) in self.places.iter().enumerate() {
            f.write_str(if n == 0 { "\n\n" } else { "\n" })?;
            if let Some(file) = &place.file {
                f.write_str(file)?;
                for part in [place.line, place.column].into_iter().flatten() {
                    write!(f, ":{part}")?;
                }
                f.write_str(": ")?;
            }
            f.write_str(&place.message)?;
        }
        Ok(())
    }
}

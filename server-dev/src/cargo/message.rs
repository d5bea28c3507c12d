//! What cargo says, a line each, see "JSON messages" in The Cargo Book.

use serde::Deserialize;

use super::Built;

/// One line of it.
#[derive(Debug, Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
#[allow(clippy::enum_variant_names, reason = "cargo calls it that")]
pub(crate) enum Message {
    CompilerMessage {
        message: RustcMessage,
    },
    /// From this executable, in the place of the program.
    #[serde(rename = "server-dev-built")]
    Built(Built),
    #[serde(other)]
    Other,
}

/// What the compiler has to say.
#[derive(Debug, Deserialize)]
pub(crate) struct RustcMessage {
    /// As it is to be shown, in several lines.
    pub(crate) rendered: Option<String>,
    #[serde(default)]
    pub(crate) message: String,
    /// `error`, `warning` and others.
    #[serde(default)]
    pub(crate) level: String,
    #[serde(default)]
    pub(crate) spans: Vec<Span>,
}

/// A place that the compiler speaks of.
#[derive(Debug, Deserialize)]
pub(crate) struct Span {
    /// Relative to the workspace.
    pub(crate) file_name: String,
    pub(crate) line_start: u32,
    pub(crate) column_start: u32,
    pub(crate) is_primary: bool,
    pub(crate) label: Option<String>,
    /// Of what is in a macro, who calls it.
    expansion: Option<Expansion>,
}

#[derive(Debug, Deserialize)]
struct Expansion {
    span: Box<Span>,
}

impl Span {
    /// The place in the source that has led here through macros.
    pub(crate) fn origin(&self) -> &Self {
        self.expansion.as_ref().map_or(self, |expansion| expansion.span.origin())
    }
}

impl Message {
    /// Reads a line; `None` where it is none of these, as one of a build script.
    pub(crate) fn read(line: &[u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_lines_of_cargo_from_all_others() {
        let of_cargo = br#"{"reason":"build-finished","success":true}"#;
        assert!(matches!(Message::read(of_cargo), Some(Message::Other)));
        assert!(Message::read(b"hello").is_none());
    }
}

//! `cargo run`, taken apart: what builds is not what serves, so that a build holds no socket, and may
//! be called off.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::config::Words;

/// A `cargo run`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CargoRun {
    /// What builds it, and says what was built in a form for programs.
    pub(crate) build: Words,
    /// The arguments of what was built.
    arguments: Vec<String>,
}

/// What cargo says, a line each, see "JSON messages" in The Cargo Book.
#[derive(Debug, Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
#[allow(clippy::enum_variant_names, reason = "cargo calls it that")]
pub(crate) enum Message {
    CompilerArtifact {
        manifest_path: PathBuf,
        executable: Option<PathBuf>,
    },
    CompilerMessage {
        message: Diagnostic,
    },
    #[serde(other)]
    Other,
}

/// What the compiler has to say.
#[derive(Debug, Deserialize)]
pub(crate) struct Diagnostic {
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

/// A program that cargo has built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Built {
    executable: PathBuf,
    manifest_path: PathBuf,
}

impl CargoRun {
    /// Returns `None` where the command is another.
    pub(crate) fn of(command: &Words, coloured: bool) -> Option<Self> {
        let program = Path::new(command.program()).file_name()?;
        let arguments = command.arguments();
        let toolchain = arguments.iter().take_while(|word| word.starts_with('+')).count();
        let order = arguments.get(toolchain)?;
        if program != "cargo" || (order != "run" && order != "r") {
            return None;
        }
        let rest = &arguments[toolchain + 1..];
        let (flags, arguments_after) = match rest.iter().position(|word| word == "--") {
            Some(at) => (&rest[..at], &rest[at + 1..]),
            None => (rest, &[][..]),
        };
        // Somebody who reads it by a program of their own gets what they asked for.
        if flags.iter().any(|flag| flag.starts_with("--message-format")) {
            return None;
        }
        let format = if coloured { "json-diagnostic-rendered-ansi" } else { "json" };
        let mut words = vec![command.program().to_owned()];
        words.extend_from_slice(&arguments[..toolchain]);
        words.extend(["build".to_owned(), format!("--message-format={format}")]);
        words.extend_from_slice(flags);
        Some(Self { build: Words::new(words)?, arguments: arguments_after.to_vec() })
    }

    /// How what was built is started.
    pub(crate) fn command(&self, built: &Built) -> Option<Words> {
        let mut words = vec![built.executable.to_str()?.to_owned()];
        words.extend_from_slice(&self.arguments);
        Words::new(words)
    }
}

impl Built {
    /// What `cargo run` tells a program of where it is from.
    pub(crate) fn manifest_dir(&self) -> Option<&Path> {
        self.manifest_path.parent()
    }
}

impl Message {
    /// Reads a line; `None` where it is none of cargo's own, as a build script's.
    pub(crate) fn read(line: &[u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }

    /// The program that was built, where this tells of one.
    pub(crate) fn built(self) -> Option<Built> {
        match self {
            Self::CompilerArtifact { manifest_path, executable: Some(executable) } => {
                Some(Built { executable, manifest_path })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken_apart(text: &str) -> Option<(Vec<String>, Vec<String>)> {
        CargoRun::of(&Words::parse(text).unwrap(), false)
            .map(|run| (run.build.arguments().to_vec(), run.arguments))
    }

    #[test]
    fn takes_apart_what_cargo_runs_and_nothing_else() {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(
            taken_apart("cargo run -p web --release -- --port 3000"),
            Some((words("build --message-format=json -p web --release"), words("--port 3000")))
        );
        assert_eq!(
            taken_apart("/usr/bin/cargo +nightly r"),
            Some((words("+nightly build --message-format=json"), vec![]))
        );
        for other in ["cargo test", "cargo", "go run .", "cargo run --message-format=short"] {
            assert_eq!(taken_apart(other), None, "{other}");
        }
    }

    #[test]
    fn finds_the_program_that_was_built() {
        let line =
            br#"{"reason":"compiler-artifact","package_id":"x","manifest_path":"/w/Cargo.toml",
            "target":{"kind":["bin"]},"executable":"/w/target/debug/web","fresh":true}"#;
        let built = Message::read(line).unwrap().built().unwrap();
        assert_eq!(built.manifest_dir(), Some(Path::new("/w")));
        let run = CargoRun::of(&Words::parse("cargo run -- a").unwrap(), true).unwrap();
        let command = run.command(&built).unwrap();
        assert_eq!((command.program(), command.arguments().len()), ("/w/target/debug/web", 1));
        assert!(
            Message::read(b"{\"reason\":\"build-finished\",\"success\":true}")
                .unwrap()
                .built()
                .is_none()
        );
        assert!(Message::read(b"hello").is_none());
    }
}

//! The flags of another runner, one after the other.

use std::ffi::OsString;

use super::{MigrateError, shell};
use crate::draft::Draft;

/// Why a flag has no key, of those that several runners have.
pub(super) const MESSAGES: &str = "it is about messages";
pub(super) const IGNORED: &str =
    "what git and .ignore ignore never counts; rules = […] takes files by a glob";

/// What a flag of another runner is followed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    Nothing,
    Value,
    /// After `=` alone.
    Maybe,
}

/// A flag that has no key, by all of its names, and why.
pub(super) type Without = (&'static [&'static str], Takes, &'static str);

/// Reads a command line, which says what is a value only to who knows the flag.
pub(super) struct Flags {
    /// Whose they are.
    of: &'static str,
    parser: lexopt::Parser,
}

impl Flags {
    pub(super) fn new(of: &'static str, words: &[String]) -> Self {
        Self { of, parser: lexopt::Parser::from_args(words) }
    }

    /// Returns the next flag with its dashes; `None` where the command begins, or all is read.
    pub(super) fn next(&mut self) -> Result<Option<String>, MigrateError> {
        let failed = |error| MigrateError::Flag(self.of, error);
        // The end of the flags, or the first word of the command, is left for `rest`.
        if let Some(rest) = self.parser.try_raw_args()
            && rest.peek().is_none_or(|word| {
                word == "--" || word == "-" || !word.to_string_lossy().starts_with('-')
            })
        {
            return Ok(None);
        }
        Ok(match self.parser.next().map_err(failed)? {
            Some(lexopt::Arg::Short(name)) => Some(format!("-{name}")),
            Some(lexopt::Arg::Long(name)) => Some(format!("--{name}")),
            Some(lexopt::Arg::Value(_)) | None => None,
        })
    }

    /// Returns the next flag, or a word that is none; `None` where all is read.
    pub(super) fn next_or_word(&mut self) -> Result<Option<String>, MigrateError> {
        let word = match self.next()? {
            None => self.parser.try_raw_args().and_then(|mut rest| rest.next()).map(text),
            flag => flag,
        };
        Ok(word)
    }

    pub(super) fn value(&mut self) -> Result<String, MigrateError> {
        let value = self.parser.value().map_err(|error| MigrateError::Flag(self.of, error))?;
        Ok(text(value))
    }

    /// A flag that stays in a command, or a word of it, as it was written; a value after a blank is a word by
    /// itself.
    pub(super) fn kept(&mut self, word: String) -> String {
        match self.maybe() {
            Some(value) if word.starts_with("--") => format!("{word}={value}"),
            Some(value) => word + &value,
            None => word,
        }
    }

    /// A value that is written right behind a `=`.
    pub(super) fn maybe(&mut self) -> Option<String> {
        self.parser.optional_value().map(text)
    }

    /// Takes a duration, a mere number in `unit`.
    pub(super) fn time(
        &mut self,
        key: &'static str,
        flag: &str,
        unit: &str,
        draft: &mut Draft,
    ) -> Result<(), MigrateError> {
        draft.set_time(key, &format!("{} {flag}", self.of), &self.value()?, unit);
        Ok(())
    }

    /// Takes a `NAME=value` of the environment.
    pub(super) fn variable(&mut self, draft: &mut Draft) -> Result<(), MigrateError> {
        let value = self.value()?;
        let (name, value) = value.split_once('=').unwrap_or((&value, ""));
        shell::variable(draft, name, value);
        Ok(())
    }

    /// Takes the folder that the command is run in.
    pub(super) fn directory(&mut self, draft: &mut Draft) -> Result<(), MigrateError> {
        draft.note("paths of watch and ignore are relative to `directory`");
        draft.set("directory", self.value()?);
        Ok(())
    }

    /// The words that are the command.
    pub(super) fn rest(mut self) -> Result<Vec<String>, MigrateError> {
        let rest = self.parser.raw_args().map_err(|error| MigrateError::Flag(self.of, error))?;
        let mut words: Vec<_> = rest.map(text).collect();
        if words.first().is_some_and(|word| word == "--") {
            words.remove(0);
        }
        Ok(words)
    }

    /// Says of a flag that nothing is taken over of it: one of the table, or one that is not known.
    pub(super) fn left_out(
        &mut self,
        flag: &str,
        table: &[Without],
        draft: &mut Draft,
    ) -> Result<(), MigrateError> {
        let of = self.of;
        let known = table.iter().find(|(names, ..)| names.contains(&flag));
        // Of one that is not known, a value after a blank is taken for the command.
        let (takes, why) = known
            .map_or((Takes::Maybe, "it is not known to server-dev"), |(_, takes, why)| {
                (*takes, *why)
            });
        let value = match takes {
            Takes::Value => format!(" {}", self.value()?),
            Takes::Maybe if flag.starts_with("--") => {
                self.maybe().map_or_else(String::new, |value| format!("={value}"))
            }
            Takes::Nothing | Takes::Maybe => String::new(),
        };
        draft.note(format!("{of} {flag}{value} is left out: {why}"));
        Ok(())
    }
}

fn text(word: OsString) -> String {
    // It came from a text.
    word.into_string().unwrap_or_default()
}

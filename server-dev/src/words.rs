//! A command: a program and its arguments.

use std::{borrow::Cow, fmt, marker::PhantomData, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer,
    de::{Error, Visitor},
};

/// A command line: a text as in a shell, without its expansions, or a list of words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Words(Vec<String>);

/// A text or a list that is none.
#[derive(Debug, thiserror::Error)]
#[error("a command has a program, and its quotes are closed")]
pub(crate) struct InvalidWords;

impl Words {
    /// Returns `None` where there is no program.
    pub(crate) fn new(words: Vec<String>) -> Option<Self> {
        words.first().is_some_and(|program| !program.is_empty()).then_some(Self(words))
    }

    /// Reads a text as a shell does.
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidWords> {
        shlex::split(text).and_then(Self::new).ok_or(InvalidWords)
    }

    pub(crate) fn program(&self) -> &str {
        &self.0[0]
    }

    pub(crate) fn arguments(&self) -> &[String] {
        &self.0[1..]
    }
}

impl FromStr for Words {
    type Err = InvalidWords;

    fn from_str(text: &str) -> Result<Self, InvalidWords> {
        Self::parse(text)
    }
}

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A word with a NUL in it can't be quoted, and can't be run either.
        let text = shlex::try_join(self.0.iter().map(String::as_str)).unwrap_or_default();
        f.write_str(&text)
    }
}

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a command: a text, or a list of words")]
        enum Either {
            Text(String),
            List(Vec<String>),
        }
        let words = match Either::deserialize(deserializer)? {
            Either::Text(text) => Self::parse(&text),
            Either::List(words) => Self::new(words).ok_or(InvalidWords),
        };
        words.map_err(D::Error::custom)
    }
}

/// Reads what is written as a text; says of anything else that it is no `form`.
pub(crate) fn text<'de, D, T>(from: D, form: &'static str) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    struct Text<T>(&'static str, PhantomData<T>);

    impl<T: FromStr<Err: fmt::Display>> Visitor<'_> for Text<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
            text.parse().map_err(E::custom)
        }
    }

    from.deserialize_str(Text(form, PhantomData))
}

impl JsonSchema for Words {
    fn schema_name() -> Cow<'static, str> {
        "Command".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "type": "string", "minLength": 1 },
                { "type": "array", "items": { "type": "string" }, "minItems": 1 },
            ],
            "examples": ["cargo run -- --port 3000", ["cargo", "run"]],
        })
    }
}

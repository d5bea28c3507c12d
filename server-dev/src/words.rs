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
pub(crate) enum InvalidWords {
    #[error("a command has a program, and its quotes are closed")]
    Form,
    #[error("{0} is for a shell, and none is in between: say sh -c '…', or quote it")]
    ForShell(String),
}

impl Words {
    /// Returns `None` where there is no program.
    pub(crate) fn new(words: Vec<String>) -> Option<Self> {
        words.first().is_some_and(|program| !program.is_empty()).then_some(Self(words))
    }

    /// Reads a text as a shell does.
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidWords> {
        if let Some(part) = for_shell(text) {
            return Err(InvalidWords::ForShell(part));
        }
        shlex::split(text).and_then(Self::new).ok_or(InvalidWords::Form)
    }

    pub(crate) fn program(&self) -> &str {
        &self.0[0]
    }

    pub(crate) fn arguments(&self) -> &[String] {
        &self.0[1..]
    }

    /// The program, and its arguments.
    pub(crate) fn all(&self) -> &[String] {
        &self.0
    }
}

/// Finds what a shell would do more with than to split it, as `&&` or `$HOME`, unless it is quoted.
fn for_shell(text: &str) -> Option<String> {
    let mut quote = None;
    let mut is_begun = false;
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        let next = rest.as_str();
        match (quote, c) {
            (Some('\''), c) if c != '\'' => {}
            (_, '\\') => drop(rest.next()),
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (_, '$') => {
                let is_in_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
                let name: String = next.chars().take_while(|c| is_in_name(*c)).collect();
                if !name.is_empty() {
                    return Some(format!("${name}"));
                }
                if let Some(open) = next.chars().next().filter(|c| "({?!#@*$-".contains(*c)) {
                    return Some(format!("${open}"));
                }
            }
            (_, '`') => return Some("`".to_owned()),
            (None, '&' | '|' | ';' | '<' | '>') => {
                let same = next.starts_with(c).then_some(c);
                return Some([c].into_iter().chain(same).collect());
            }
            // A comment, up to the end of its line.
            (None, '#') if !is_begun => drop(rest.by_ref().find(|c| *c == '\n')),
            _ => {}
        }
        is_begun = quote.is_some() || !c.is_whitespace();
    }
    None
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
            Either::List(words) => Self::new(words).ok_or(InvalidWords::Form),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_only_a_shell_understands() {
        for (text, part) in [
            ("true && echo hi", "&&"),
            ("a|b", "|"),
            ("a || b", "||"),
            ("a; b", ";"),
            ("a > out", ">"),
            ("a >> out", ">>"),
            ("a < in", "<"),
            ("a &", "&"),
            ("$HOME/bin/a", "$HOME"),
            ("a \"b $X\"", "$X"),
            ("a $(b)", "$("),
            ("a ${B}", "${"),
            ("a `b`", "`"),
            ("a '#' & b", "&"),
        ] {
            let error = Words::parse(text).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{part} is for a shell")), "{text}: {error}");
            assert!(error.contains("say sh -c '…'"), "{error}");
        }
    }

    #[test]
    fn takes_what_is_quoted_or_means_nothing_else() {
        for (text, words) in [
            ("sh -c 'a && b > $X; `c`'", &["sh", "-c", "a && b > $X; `c`"][..]),
            (r#"a "b & c" \; \$X "\$Y""#, &["a", "b & c", ";", "$X", "$Y"]),
            ("a 5$ b$", &["a", "5$", "b$"]),
            ("a # b && c", &["a"]),
            ("a b#c", &["a", "b#c"]),
            ("grep -e 'x|y$' f", &["grep", "-e", "x|y$", "f"]),
        ] {
            let read = Words::parse(text).unwrap();
            let got: Vec<_> = read.0.iter().map(String::as_str).collect();
            assert_eq!(got, words, "{text}");
        }
    }
}

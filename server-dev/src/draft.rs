//! A service as it is to be written to a `server-dev.toml`.

use std::{
    collections::BTreeSet,
    fmt::{self, Write},
};

use serde_json::Value as Json;
use toml::Value;

use crate::{config::Words, schema, timespan::Timespan};

/// How wide a comment may be.
const WIDTH: usize = 100;

/// What is known of a service.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub(crate) name: String,
    /// What is to be read before it.
    notes: Vec<String>,
    keys: Vec<(&'static str, Value)>,
}

impl Draft {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), notes: Vec::new(), keys: Vec::new() }
    }

    /// Says something above the service.
    pub(crate) fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// Sets a key, whatever it was before.
    pub(crate) fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        let value = value.into();
        match self.keys.iter_mut().find(|(known, _)| *known == key) {
            Some((_, known)) => *known = value,
            None => self.keys.push((key, value)),
        }
    }

    /// Sets a duration as `flag` of another runner says it, a mere number in `unit`; says so where it is
    /// none.
    pub(crate) fn set_time(&mut self, key: &'static str, flag: &str, text: &str, unit: &str) {
        let is_number = text.parse::<f64>().is_ok();
        let time = if is_number { format!("{text}{unit}") } else { text.to_owned() };
        match time.parse::<Timespan>() {
            Ok(_) => self.set(key, time),
            Err(error) => self.note(format!("{flag} is left out: {error}")),
        }
    }

    /// Adds to a list.
    pub(crate) fn add(&mut self, key: &'static str, value: impl Into<Value>) {
        let value = value.into();
        match self.keys.iter_mut().find(|(known, _)| *known == key) {
            Some((_, Value::Array(list))) => list.push(value),
            _ => self.set(key, vec![value]),
        }
    }

    /// Adds a rule, after those that there are.
    pub(crate) fn rule(&mut self, files: &str, action: &str) {
        let rule = [("files", files), ("do", action)].into_iter();
        let rule = rule.map(|(key, value)| (key.to_owned(), Value::from(value)));
        self.add("rules", rule.collect::<toml::Table>());
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        self.keys.iter().find(|(known, _)| *known == key).map(|(_, value)| value)
    }

    pub(crate) fn unset(&mut self, key: &str) {
        self.keys.retain(|(known, _)| *known != key);
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.keys.iter().map(|(key, value)| (*key, value))
    }

    /// Writes a command as a text where that is the same, and as a list of words otherwise.
    pub(crate) fn command(&mut self, key: &'static str, words: &[String]) {
        let text = shlex::try_join(words.iter().map(String::as_str));
        let value = match text {
            Ok(text) if !text.contains('"') => Value::from(text),
            _ => Value::from(words.to_vec()),
        };
        self.set(key, value);
    }

    /// The words of a command that is set.
    pub(crate) fn words(&self, key: &str) -> Option<Words> {
        match self.get(key)? {
            Value::String(text) => Words::parse(text).ok(),
            Value::Array(list) => {
                let words = list.iter().map(|word| word.as_str().map(str::to_owned));
                Words::new(words.collect::<Option<_>>()?)
            }
            _ => None,
        }
    }

    /// As the `Display` form, and each key with what it is for.
    pub(crate) fn commented(&self) -> String {
        let keys = schema::keys();
        let mut text = self.head();
        for (key, value) in &self.keys {
            if let Some(known) = keys.iter().find(|known| known.name == *key) {
                comment(&mut text, &known.description);
            }
            line(&mut text, key, value);
        }
        text
    }

    /// The keys that are not set with their defaults, as comments.
    pub(crate) fn others(&self) -> String {
        let keys = schema::keys();
        let set: BTreeSet<_> = self.keys.iter().map(|(key, _)| *key).collect();
        let mut text = String::from(
            "# What else may be said of a service, with what is taken where it isn't; a line counts once\n\
             # the # before it is gone:\n",
        );
        for key in keys.iter().filter(|key| !set.contains(key.name.as_str())) {
            text.push_str("#\n");
            comment(&mut text, &key.description);
            let (value, rest) = match (&key.default, &key.example) {
                (None, Some(example)) => (of_json(example), " # for example"),
                (default, _) => (default.as_ref().and_then(of_json), ""),
            };
            let value = value.map_or_else(String::new, |value| value.to_string());
            text.push_str(format!("#{} = {value}{rest}", key.name).trim_end());
            text.push('\n');
        }
        text
    }

    fn head(&self) -> String {
        let mut text = String::new();
        for note in &self.notes {
            comment(&mut text, note);
        }
        let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let name = match &self.name {
            name if !name.is_empty() && name.chars().all(is_bare) => name.clone(),
            name => Value::from(name.as_str()).to_string(),
        };
        line_of(&mut text, format_args!("[services.{name}]"));
        text
    }
}

impl fmt::Display for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.head();
        for (key, value) in &self.keys {
            line(&mut text, key, value);
        }
        f.write_str(&text)
    }
}

fn line(text: &mut String, key: &str, value: &Value) {
    line_of(text, format_args!("{key} = {value}"));
}

fn line_of(text: &mut String, arguments: fmt::Arguments<'_>) {
    // Writing to a text doesn't fail.
    let _ = writeln!(text, "{arguments}");
}

/// Breaks a text into lines of a comment; nothing in it can end the comment.
fn comment(text: &mut String, words: &str) {
    // How long the line is; there is none yet.
    let mut width = None;
    for word in words.split_whitespace() {
        let mut begun = width.unwrap_or(WIDTH);
        if begun + 1 + word.len() > WIDTH {
            if width.is_some() {
                text.push('\n');
            }
            text.push('#');
            begun = 1;
        }
        text.push(' ');
        // TOML allows no control characters in a comment.
        text.extend(word.chars().filter(|c| !c.is_control()));
        width = Some(begun + 1 + word.len());
    }
    text.push('\n');
}

/// A default; TOML has no null.
fn of_json(value: &Json) -> Option<Value> {
    Value::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Ready};

    fn draft() -> Draft {
        let mut draft = Draft::new("a b");
        draft.note("first\nline = 1 \u{1b}[31m");
        draft.command("command", &["run".into(), "it's \"so\"".into(), "\\".into()]);
        draft.add("sockets", "http::0");
        draft.add("sockets", "admin=tcp::0");
        draft.set("overlap", true);
        draft.set("overlap", false);
        draft.set("env", toml::Table::from_iter([("A\nB".to_owned(), Value::from("\"\n"))]));
        draft
    }

    #[test]
    fn is_read_back_as_what_it_says() {
        for text in [draft().to_string(), draft().commented()] {
            let config: Config = toml::from_str(&text).unwrap_or_else(|e| panic!("{text}: {e}"));
            let service = &config.services["a b"];
            assert_eq!(service.command.arguments(), ["it's \"so\"", "\\"]);
            assert_eq!(service.sockets[1].name, "admin");
            assert!(!service.overlap);
            assert_eq!(service.env["A\nB"], "\"\n");
        }
    }

    /// After a line that was just as long as it may be, the next one once began in it.
    #[test]
    fn every_line_of_a_comment_begins_with_its_mark() {
        for length in WIDTH - 8..=WIDTH + 4 {
            let mut text = String::new();
            comment(&mut text, &format!("{} then more", "x".repeat(length)));
            let words: Vec<_> =
                text.lines().flat_map(|l| l.strip_prefix("# ").unwrap().split(' ')).collect();
            assert_eq!(words, ["x".repeat(length).as_str(), "then", "more"], "{text}");
            let lines = text.lines().map(str::len);
            assert!(lines.skip(1).all(|line| line <= WIDTH), "{text}");
        }
    }

    #[test]
    fn a_default_that_is_uncommented_changes_nothing() {
        let text = draft().others();
        let lines = text.lines().filter_map(|line| line.strip_prefix('#'));
        let is_default = |line: &&str| {
            !line.is_empty() && !line.starts_with(' ') && !line.contains(" # for example")
        };
        let set = lines.filter(is_default).collect::<Vec<_>>().join("\n");
        assert!(set.contains("settle = \"50ms\"\n") && set.contains("rules = []"), "{text}");
        assert!(!set.contains("overlap"), "{text}");
        let all = text.lines().filter_map(|line| line.strip_prefix('#'));
        let all = all.filter(|line| !line.is_empty() && !line.starts_with(' '));
        let all = all.collect::<Vec<_>>().join("\n");
        toml::from_str::<Config>(&format!("{}{all}", draft())).unwrap();
        let config: Config = toml::from_str(&format!("{draft}{set}", draft = draft())).unwrap();
        let service = &config.services["a b"];
        assert_eq!((&service.ready, service.settle.as_millis()), (&Ready::Auto, 50));
    }
}

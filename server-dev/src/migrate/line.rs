//! A service as a command line, where that can say all of it.

use clap::Parser;
use toml::Value;

use crate::{cli::Cli, draft::Draft};

/// The flag of each key; of a key that is not in it, only a file can tell.
const FLAGS: [(&str, &str); 11] = [
    ("sockets", "-s"),
    ("extensions", "-e"),
    ("watch", "-w"),
    ("ignore", "-i"),
    ("build", "-b"),
    ("settle", "--settle"),
    ("grace", "--grace"),
    ("poll", "--poll"),
    ("overlap", "--no-overlap"),
    ("listen_pid", "--no-pid"),
    ("proxy", "--proxy"),
];

pub(super) fn of(draft: &Draft) -> Option<String> {
    let mut words = vec!["server-dev".to_owned()];
    for (key, value) in draft.keys().filter(|(key, _)| *key != "command") {
        let (_, flag) = FLAGS.iter().find(|(known, _)| *known == key)?;
        match value {
            Value::Boolean(false) => words.push((*flag).to_owned()),
            Value::Boolean(true) => {}
            Value::String(text) if key == "poll" || key == "proxy" => {
                words.push(format!("{flag}={text}"));
            }
            Value::String(text) => words.extend(with(flag, text)),
            Value::Array(list) => {
                let texts = list.iter().map(Value::as_str).collect::<Option<Vec<_>>>()?;
                match key {
                    // A list of words, which a flag takes as a text.
                    "build" => words.extend(with(flag, &shlex::try_join(texts).ok()?)),
                    "extensions" if texts.iter().any(|text| text.contains(',')) => return None,
                    "extensions" => words.extend(with(flag, &texts.join(","))),
                    _ => words.extend(texts.iter().flat_map(|text| with(flag, text))),
                }
            }
            _ => return None,
        }
    }
    words.push("--".to_owned());
    let command = draft.words("command")?;
    words.extend_from_slice(command.all());
    // Some words, such as an empty path, can't be said there.
    Cli::try_parse_from(&words).ok()?;
    // It has to be a single line.
    let line = shlex::try_join(words.iter().map(String::as_str)).ok()?;
    (!line.contains(char::is_control)).then_some(line)
}

/// A flag with its value, in a word where the value would be taken for another flag.
fn with(flag: &str, value: &str) -> Vec<String> {
    if value.starts_with('-') {
        vec![format!("{flag}{value}")]
    } else {
        vec![flag.to_owned(), value.to_owned()]
    }
}

//! A service as a command line, where that can say all of it.

use toml::Value;

use super::shell;
use crate::draft::Draft;

/// The flag of each key; of a key that is not in it, only a file can tell.
const FLAGS: [(&str, &str); 10] = [
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
];

pub(super) fn of(draft: &Draft) -> Option<String> {
    let mut words = vec!["server-dev".to_owned()];
    for (key, value) in draft.keys().filter(|(key, _)| *key != "command") {
        let (_, flag) = FLAGS.iter().find(|(known, _)| *known == key)?;
        match value {
            Value::Boolean(false) => words.push((*flag).to_owned()),
            Value::Boolean(true) => {}
            Value::String(text) if key == "poll" => words.push(format!("{flag}={text}")),
            Value::String(text) => words.extend([(*flag).to_owned(), text.clone()]),
            Value::Array(list) => {
                let texts: Option<Vec<_>> = list.iter().map(Value::as_str).collect();
                match (key, texts?) {
                    // A list of words, which a flag takes as a text.
                    ("build", texts) => {
                        let text = shlex::try_join(texts).ok()?;
                        words.extend([(*flag).to_owned(), text]);
                    }
                    ("extensions", texts) => words.extend([(*flag).to_owned(), texts.join(",")]),
                    (_, texts) => {
                        for text in texts {
                            words.extend([(*flag).to_owned(), text.to_owned()]);
                        }
                    }
                }
            }
            _ => return None,
        }
    }
    words.push("--".to_owned());
    match draft.get("command")? {
        Value::String(text) => words.extend(shlex::split(text)?),
        Value::Array(list) => {
            words.extend(list.iter().filter_map(Value::as_str).map(str::to_owned));
        }
        _ => return None,
    }
    Some(shell::joined(&words))
}

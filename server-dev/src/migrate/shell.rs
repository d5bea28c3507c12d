//! Commands that were written for a shell.

use toml::{Table, Value};

use crate::{cargo::CargoRun, config::Words, draft::Draft};

/// What only a shell understands.
const FOR_SHELL: [char; 18] =
    ['&', '|', ';', '<', '>', '(', ')', '$', '`', '*', '?', '[', ']', '{', '}', '~', '#', '\n'];

/// Takes `NAME=value` before a command into the environment.
pub(super) fn environment<'a>(words: &'a [String], draft: &mut Draft) -> &'a [String] {
    let mut words = words;
    while let Some((first, rest)) = words.split_first() {
        match first.split_once('=') {
            Some((name, value)) if is_name(name) => variable(draft, name, value),
            // With a flag it does something else as well.
            None if (first == "env" || first == "cross-env")
                && rest.first().is_some_and(|word| !word.starts_with('-')) => {}
            _ => break,
        }
        words = rest;
    }
    words
}

/// Sets a variable of the environment.
pub(super) fn variable(draft: &mut Draft, name: &str, value: &str) {
    let mut env = draft.get("env").and_then(Value::as_table).cloned().unwrap_or_else(Table::new);
    env.insert(name.to_owned(), value.into());
    draft.set("env", env);
}

/// Takes what was run one after the other: the last is the server, with these arguments beside its own,
/// and those before it are its build.
pub(super) fn steps(draft: &mut Draft, steps: &[String], arguments: &[String]) {
    let steps: Vec<&str> = steps.iter().flat_map(|step| split(step)).collect();
    let Some((command, before)) = steps.split_last() else { return };
    let command = match shlex::split(command) {
        Some(words) if !command.contains(FOR_SHELL) => [&words, arguments].concat(),
        _ if arguments.is_empty() => in_shell(command),
        _ => in_shell(&format!("{command} {}", joined(arguments))),
    };
    let command = environment(&command, draft);
    // What `cargo run` builds is built before it, and while the old process serves.
    let is_run = Words::new(command.to_vec()).is_some_and(|command| CargoRun::is(&command));
    let is_same = |step: &&str| *step == "cargo check" || *step == "cargo build";
    if is_run && !before.is_empty() && before.iter().all(is_same) {
        draft.note("What `cargo run` runs is built before it, so that nothing else has to be.");
    } else if let [build] = before
        && !build.contains(FOR_SHELL)
        && let Some(words) = shlex::split(build)
        && !words.first().is_none_or(|word| word.contains('='))
    {
        draft.command("build", &words);
    } else if !before.is_empty() {
        draft.command("build", &in_shell(&before.join(" && ")));
    }
    draft.command("command", command);
}

/// Splits `a && b`, where nothing else in it is for a shell.
fn split(text: &str) -> Vec<&str> {
    let is_plain =
        !text.replace("&&", " ").contains(FOR_SHELL) && !text.contains(['\'', '"', '\\']);
    if is_plain { text.split("&&").map(str::trim).collect() } else { vec![text] }
}

pub(super) fn in_shell(text: &str) -> Vec<String> {
    ["sh", "-c", text].map(str::to_owned).into()
}

/// The words as they are written in a shell.
pub(super) fn joined(words: &[String]) -> String {
    // No word of a command line has a NUL in it.
    shlex::try_join(words.iter().map(String::as_str)).unwrap_or_default()
}

fn is_name(text: &str) -> bool {
    let is_in_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(is_in_name)
}

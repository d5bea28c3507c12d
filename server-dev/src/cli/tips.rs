//! What is said beside a command line that is refused.

use clap::{
    CommandFactory, Error, Parser,
    builder::StyledStr,
    error::{ContextKind, ContextValue, ErrorKind},
};

use super::Cli;

/// As alike as clap wants its own suggestions to be.
const ALIKE: f64 = 0.7;

/// Reads the command line of this process, or ends it.
pub(crate) fn parse() -> Cli {
    Cli::try_parse().unwrap_or_else(|error| with_tip(error).exit())
}

/// A word where there is none may be a subcommand, or the server, which comes after `--`.
fn with_tip(mut error: Error) -> Error {
    let word = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(word)) if error.kind() == ErrorKind::UnknownArgument => word,
        _ => return error,
    };
    if word.starts_with('-') {
        return error;
    }
    let tip = match similar(word) {
        Some(order) => format!("a similar subcommand exists: '{order}'"),
        None => format!("what is to be run comes after --: server-dev … -- {word} …"),
    };
    let tip = ContextValue::StyledStrs(vec![StyledStr::from(tip)]);
    // What was there before, if anything, is in its place.
    let _ = error.insert(ContextKind::Suggested, tip);
    error
}

fn similar(word: &str) -> Option<String> {
    let command = Cli::command();
    let names = command.get_subcommands().map(|order| order.get_name().to_owned());
    let alike = names.map(|name| (strsim::jaro(word, &name), name));
    let (how, name) = alike.max_by(|(one, _), (other, _)| one.total_cmp(other))?;
    (how > ALIKE).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_a_word_may_have_been_meant_to_be() {
        for (line, tip) in [
            ("server-dev doctr", "tip: a similar subcommand exists: 'doctor'"),
            ("server-dev -s http::0 python3 app.py", "-- python3 …"),
            ("server-dev nosuchprog", "comes after --: server-dev … -- nosuchprog …"),
            ("server-dev --sokets a", "tip: a similar argument exists: '--socket'"),
        ] {
            let error = Cli::try_parse_from(line.split(' ')).unwrap_err();
            let text = with_tip(error).to_string();
            assert!(text.contains(tip), "{line}: {text}");
        }
    }
}

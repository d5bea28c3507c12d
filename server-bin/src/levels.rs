//! What of a filter of the log is no level, though it may have been meant as one.

use std::error::Error;

use hot_reload::Candidate;
use server_lib::ServerConfig;
use tracing::level_filters::{LevelFilter, ParseLevelFilterError};

/// What there is to choose from.
const LEVELS: &str = "the levels are error, warn, info, debug, trace";

/// The parts of the program that one may want to hear alone.
const PARTS: [&str; 4] = ["hot_reload", "hot_reload_sources", "server_bin", "server_lib"];

/// Those that it is made of, and that have something to say.
const LIBRARIES: [&str; 6] = ["h2", "hyper", "hyper_util", "mio", "rustls", "tokio"];

/// Tells of each word in `directives` that is no level and no part that is known, since a typo is taken as well:
/// as a part of the program that nobody has heard of, which silences all others.
pub(crate) fn doubts(directives: &str) -> Vec<String> {
    directives.split(',').map(str::trim).filter(|word| is_doubtful(word)).map(doubt).collect()
}

/// Returns the doubts of a filter that is not the one in use.
pub(crate) fn new_doubts(candidate: &Candidate<ServerConfig>) -> Vec<String> {
    let before = candidate.current.as_ref().and_then(|current| current.log.as_deref());
    let directives = candidate.new.log.as_deref().filter(|new| Some(*new) != before);
    directives.map(doubts).unwrap_or_default()
}

/// Returns what is wrong with a filter, without the quotes around the levels: what is quoted is masked in
/// a log, as if it were of the file, and these words are the program's own.
pub(crate) fn unquoted(failure: &dyn Error) -> String {
    let words = failure.to_string();
    let is_of_levels = |error: ParseLevelFilterError| error.to_string() == words;
    if "?".parse::<LevelFilter>().is_err_and(is_of_levels) { words.replace('"', "") } else { words }
}

fn doubt(word: &str) -> String {
    format!("log: {word:?} is taken for a part of the program; {LEVELS}")
}

fn is_doubtful(word: &str) -> bool {
    // What has more to it, as `part=level`, `part[span]` and `part::module`, was not meant as a level.
    let is_word = !word.is_empty() && !word.contains(['=', '[', ']', '{', '}', ':']);
    // A filter holds for every part that begins with its name.
    is_word
        && word.parse::<LevelFilter>().is_err()
        && !PARTS.iter().chain(&LIBRARIES).any(|part| part.starts_with(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_a_typo_from_a_level_and_from_a_part() {
        for (directives, want) in [
            ("inof", &["inof"][..]),
            ("server_lib=debug, verbose", &["verbose"]),
            ("warning,loud", &["warning", "loud"]),
            ("info", &[]),
            ("OFF", &[]),
            ("3", &[]),
            ("", &[]),
            ("server_lib=debug,info", &[]),
            ("server_lib", &[]),
            ("info,h2", &[]),
            ("hyper::proto,warn", &[]),
            ("server_lib[served]=debug,[{status=200}]=trace", &[]),
        ] {
            let want: Vec<_> = want.iter().map(|word| doubt(word)).collect();
            assert_eq!(doubts(directives), want, "{directives}");
        }
    }
}

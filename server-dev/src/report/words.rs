//! What happened, as a person is told.

use std::{fmt, time::Duration};

use super::{Asked, Told, WatchedBy};
use crate::{over::Why, ready::Sign};

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configured { file, changed, added, removed } => {
                configured(f, file, [("changed", changed), ("new", added), ("gone", removed)])
            }
            Self::NotConfigured { file, reason, goes_on, .. } => {
                let then = if *goes_on {
                    "what ran before goes on"
                } else {
                    "it is tried again once another service has ended, or the file is edited"
                };
                write!(f, "what {file} says now is not taken, and {then}: {}", reason.trim_end())
            }
            Self::Listening { name, address } => write!(f, "{name} on {address}"),
            Self::Watching { roots, files, folders, mechanism, poll_milliseconds, reason } => {
                let are = if *files == 1 { "is" } else { "are" };
                let (files, folders) = (counted(*files, "file"), counted(*folders, "folder"));
                write!(f, "{}: {files} in {folders} {are} ", roots.join(", "))?;
                let every = poll_milliseconds.map(seconds).unwrap_or_default();
                match mechanism {
                    WatchedBy::Events => f.write_str("watched by inotify")?,
                    WatchedBy::Polling => write!(f, "looked at every {every}")?,
                    WatchedBy::EventsAndPolling => {
                        write!(f, "watched by inotify, and looked at every {every}")?;
                    }
                }
                reason.iter().try_for_each(|reason| write!(f, ": {reason}"))
            }
            Self::NothingCounts { roots, extensions } => nothing_counts(f, roots, extensions),
            Self::Changed { files, more, asks_for } => {
                f.write_str(&files.join(", "))?;
                if *more > 0 {
                    write!(f, " and {more} more")?;
                }
                let done: Vec<_> = asks_for.iter().map(|asked| asked_words(*asked)).collect();
                let nothing = if done.is_empty() { "nothing is to be done" } else { "" };
                write!(f, " changed: {}{nothing}", done.join(", "))
            }
            Self::Asked { asks_for } => write!(f, "as asked, {}", asked_words(*asks_for)),
            Self::OwnWrites { files } => write!(
                f,
                "{} changed at each of the last starts, as if the server writes it: what changes there \
                 while it starts is heeded no more; to leave it out: -i {}",
                files.join(", "),
                files.join(" -i ")
            ),
            Self::Building { command } => write!(f, "builds: {command}"),
            Self::Built { milliseconds } => write!(f, "built in {}", seconds(*milliseconds)),
            Self::BuildFailed { reason, serves, again_in_milliseconds, .. } => {
                let then = then(*serves, *again_in_milliseconds);
                write!(f, "the build failed: {reason}; {then}")
            }
            Self::Starting { pid } => write!(f, "starts, pid {pid}"),
            Self::Ready { pid, generation, by, milliseconds, since_save_milliseconds } => {
                write!(f, "ready in {}", seconds(*milliseconds))?;
                if let Some(since) = since_save_milliseconds {
                    write!(f, ", {} after the save", seconds(*since))?;
                }
                write!(f, ": generation {generation}, pid {pid} ({})", by_words(*by))
            }
            Self::NotReady { reason, serves, again_in_milliseconds, .. } => {
                write!(f, "not ready: {reason}; {}", then(*serves, *again_in_milliseconds))
            }
            Self::Drained { pid, status, killed: true } => {
                write!(f, "pid {pid} had not ended, and was killed: {status}")
            }
            Self::Drained { pid, status, killed: false } => {
                write!(f, "pid {pid} has ended, as it was told: {status}")
            }
            Self::Exited { pid, status, again_in_milliseconds, .. } => {
                write!(f, "pid {pid} has ended: {status}; {}", then(false, *again_in_milliseconds))
            }
            Self::GaveUp => {
                f.write_str("it has ended too often, each time soon; a change starts it again")
            }
            Self::Left { pids } => {
                write!(
                    f,
                    "not even SIGKILL has ended all of it; what is left is left alone, see \
                     ps -o pid,ppid,stat,wchan,cmd -p {}",
                    joined(pids, ",")
                )
            }
            Self::Ending { because, pids, milliseconds } => {
                ending(f, *because, pids, *milliseconds)
            }
            Self::Ended { because: Why::Edited } => {
                f.write_str("the one before the edit has ended")
            }
            Self::Ended { .. } => f.write_str("has ended"),
        }
    }
}

/// What comes after a failure.
fn then(serves: bool, again_in_milliseconds: Option<u64>) -> String {
    match again_in_milliseconds {
        _ if serves => "the old one goes on".to_owned(),
        Some(pause) => format!("starts again in {}", seconds(pause)),
        None => "a change starts it again".to_owned(),
    }
}

fn joined(pids: &[u32], between: &str) -> String {
    pids.iter().map(u32::to_string).collect::<Vec<_>>().join(between)
}

fn asked_words(asked: Asked) -> &'static str {
    match asked {
        Asked::Build => "it is built anew",
        Asked::Restart => "it is started anew",
        Asked::Signal => "SIGHUP is sent",
        Asked::Reload => "pages are loaded anew",
        Asked::Css => "pages take their style sheets anew",
    }
}

fn configured(
    f: &mut fmt::Formatter<'_>,
    file: &str,
    lists: [(&str, &Vec<String>); 3],
) -> fmt::Result {
    let said = lists.iter().filter(|(_, names)| !names.is_empty());
    let said: Vec<_> = said.map(|(what, names)| format!("{what}: {}", names.join(", "))).collect();
    let said = if said.is_empty() { "nothing is changed".into() } else { said.join("; ") };
    write!(f, "{file} is read anew; {said}")
}

fn nothing_counts(
    f: &mut fmt::Formatter<'_>,
    roots: &[String],
    extensions: &[String],
) -> fmt::Result {
    let roots = roots.join(", ");
    write!(f, "no file counts, so no edit will be seen: below {roots} there is none")?;
    match extensions {
        [] => f.write_str(" that is not ignored; see `watch` (-w) and `ignore` (-i)"),
        some => write!(f, " that ends in .{}; see `extensions` (-e)", some.join(" or .")),
    }
}

fn ending(
    f: &mut fmt::Formatter<'_>,
    because: Why,
    pids: &[u32],
    milliseconds: u64,
) -> fmt::Result {
    f.write_str(match because {
        Why::Told => "ends",
        Why::Edited => "the service ends, to start by its new settings",
        Why::Removed => "the service ends, as the file has it no more",
    })?;
    if !pids.is_empty() {
        let (pids, within) = (joined(pids, ", "), seconds(milliseconds));
        write!(f, ": waits for pid {pids}, {within} at most")?;
        if because == Why::Told {
            f.write_str("; Ctrl-C once more ends it at once")?;
        }
    }
    Ok(())
}

fn by_words(sign: Sign) -> &'static str {
    match sign {
        Sign::Notified => "it said READY=1",
        Sign::Accepts => "it waits for connections",
        Sign::Connects => "its port takes connections",
        Sign::Answers => "it answers",
        Sign::Delay => "it has run for as long as was asked for",
        Sign::Alive => "it is alive",
    }
}

pub(crate) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// So many of what one is called.
pub(crate) fn counted(count: usize, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}

/// As a person reads them.
pub(crate) fn seconds(milliseconds: u64) -> String {
    if milliseconds < 1000 {
        format!("{milliseconds} ms")
    } else {
        format!("{:.1} s", Duration::from_millis(milliseconds).as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_is_done_about_an_edit() {
        for (asks_for, more, want) in [
            (vec![Asked::Css], 0, "a changed: pages take their style sheets anew"),
            (vec![Asked::Build, Asked::Signal], 0, "a changed: it is built anew, SIGHUP is sent"),
            (vec![], 2, "a and 2 more changed: nothing is to be done"),
        ] {
            let told = Told::Changed { files: vec!["a".to_owned()], more, asks_for };
            assert_eq!(told.to_string(), want);
        }
    }

    /// Of what did not run, or was being ended, it was once said that it goes on.
    #[test]
    fn says_of_a_file_that_is_not_taken_what_goes_on() {
        for (goes_on, want) in [
            (true, "what a says now is not taken, and what ran before goes on: so"),
            (
                false,
                "what a says now is not taken, and it is tried again once another service has ended, or the \
                 file is edited: so",
            ),
        ] {
            let (file, reason) = ("a".to_owned(), "so\n".to_owned());
            let told = Told::NotConfigured { file, reason, line: None, column: None, goes_on };
            assert_eq!(told.to_string(), want);
        }
    }

    /// Who was killed had "ended, as it was told".
    #[test]
    fn says_what_the_end_waits_for_and_who_was_killed() {
        let ending =
            |because, pids| Told::Ending { because, pids, milliseconds: 10_000 }.to_string();
        for (because, pids, want) in [
            (
                Why::Told,
                vec![7, 8],
                "ends: waits for pid 7, 8, 10.0 s at most; Ctrl-C once more ends it at once",
            ),
            (Why::Told, vec![], "ends"),
            (
                Why::Edited,
                vec![7],
                "the service ends, to start by its new settings: waits for pid 7, 10.0 s at most",
            ),
            (Why::Edited, vec![], "the service ends, to start by its new settings"),
            (Why::Removed, vec![], "the service ends, as the file has it no more"),
        ] {
            assert_eq!(ending(because, pids), want);
        }
        let drained =
            |killed| Told::Drained { pid: 7, status: "so".to_owned(), killed }.to_string();
        assert_eq!(drained(true), "pid 7 had not ended, and was killed: so");
        assert_eq!(drained(false), "pid 7 has ended, as it was told: so");
    }

    /// Of a first start that fails it once said nothing.
    #[test]
    fn says_after_each_failure_what_comes_next() {
        for (serves, again_in_milliseconds, want) in [
            (true, None, "not ready: late; the old one goes on"),
            (false, None, "not ready: late; a change starts it again"),
            (false, Some(250), "not ready: late; starts again in 250 ms"),
        ] {
            let (reason, diagnostics) = ("late".to_owned(), Vec::new());
            let told = Told::NotReady { reason, serves, again_in_milliseconds, diagnostics };
            assert_eq!(told.to_string(), want);
        }
    }
}

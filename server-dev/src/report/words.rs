//! What happened, as a person is told.

use std::{fmt, time::Duration};

use super::{Told, WatchedBy};
use crate::ready::Sign;

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let goes_on = |serves: &bool| if *serves { "; the old one goes on" } else { "" };
        match self {
            Self::Configured { file, changed, added, removed } => {
                let lists = [("changed", changed), ("new", added), ("gone", removed)];
                let said = lists.iter().filter(|(_, names)| !names.is_empty());
                let said: Vec<_> =
                    said.map(|(what, names)| format!("{what}: {}", names.join(", "))).collect();
                let said =
                    if said.is_empty() { "nothing is changed".into() } else { said.join("; ") };
                write!(f, "{file} is read anew; {said}")
            }
            Self::NotConfigured { file, reason, .. } => {
                write!(f, "what {file} says now is not taken, and what ran before goes on: ")?;
                f.write_str(reason.trim_end())
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
            Self::NothingCounts { roots, extensions } => {
                write!(
                    f,
                    "no file counts, so no edit will be seen: below {} there is none",
                    roots.join(", ")
                )?;
                match extensions.as_slice() {
                    [] => f.write_str(" that is not ignored; see `watch` (-w) and `ignore` (-i)"),
                    some => {
                        write!(f, " that ends in .{}; see `extensions` (-e)", some.join(" or ."))
                    }
                }
            }
            Self::Changed { files, more: 0 } => write!(f, "{} changed", files.join(", ")),
            Self::Changed { files, more } => {
                write!(f, "{} and {more} more changed", files.join(", "))
            }
            Self::Building { command } => write!(f, "builds: {command}"),
            Self::Built { milliseconds } => write!(f, "built in {}", seconds(*milliseconds)),
            Self::BuildFailed { reason, serves, .. } => {
                write!(f, "the build failed: {reason}{}", goes_on(serves))
            }
            Self::Starting { pid } => write!(f, "starts, pid {pid}"),
            Self::Ready { pid, generation, by, milliseconds, since_save } => {
                write!(f, "ready in {}", seconds(*milliseconds))?;
                if let Some(since) = since_save {
                    write!(f, ", {} after the save", seconds(*since))?;
                }
                write!(f, ": generation {generation}, pid {pid} ({})", by_words(*by))
            }
            Self::NotReady { reason, serves, .. } => {
                write!(f, "not ready: {reason}{}", goes_on(serves))
            }
            Self::Drained { pid, status } => {
                write!(f, "pid {pid} has ended, as it was told: {status}")
            }
            Self::Exited { pid, status, again_in_milliseconds: Some(pause), .. } => {
                write!(f, "pid {pid} has ended: {status}; starts again in {}", seconds(*pause))
            }
            Self::Exited { pid, status, again_in_milliseconds: None, .. } => {
                write!(f, "pid {pid} has ended: {status}; a change starts it again")
            }
            Self::GaveUp => {
                f.write_str("it has ended too often, each time soon; a change starts it again")
            }
            Self::Left { pids } => {
                let pids = pids.iter().map(i32::to_string).collect::<Vec<_>>().join(",");
                write!(
                    f,
                    "not even SIGKILL has ended all of it; what is left is left alone, see \
                     ps -o pid,ppid,stat,wchan,cmd -p {pids}"
                )
            }
            Self::Ending => f.write_str("ends; Ctrl-C once more ends it at once"),
            Self::Ended => f.write_str("has ended"),
        }
    }
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

//! What happened, as a person is told.

use std::{fmt, time::Duration};

use super::Told;

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let goes_on = |serves: &bool| if *serves { "; the old one goes on" } else { "" };
        match self {
            Self::Listening { name, address } => write!(f, "{name} on {address}"),
            Self::Watching { roots, files, folders, mechanism, poll_milliseconds, reason } => {
                write!(f, "{}: {files} files in {folders} folders are ", roots.join(", "))?;
                match (poll_milliseconds.map(seconds), *mechanism) {
                    (None, _) => f.write_str("watched by inotify")?,
                    (Some(every), "polling") => write!(f, "looked at every {every}")?,
                    (Some(every), _) => {
                        write!(f, "watched by inotify, and looked at every {every}")?;
                    }
                }
                reason.iter().try_for_each(|reason| write!(f, ": {reason}"))
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
                write!(f, ": generation {generation}, pid {pid} ({by})")
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
            Self::GaveUp { reason } => write!(f, "{reason}; a change starts it again"),
            Self::Ending => f.write_str("ends; Ctrl-C once more ends it at once"),
            Self::Ended => f.write_str("has ended"),
        }
    }
}

/// As a person reads them.
pub(crate) fn seconds(milliseconds: u64) -> String {
    if milliseconds < 1000 {
        format!("{milliseconds} ms")
    } else {
        format!("{:.1} s", Duration::from_millis(milliseconds).as_secs_f64())
    }
}

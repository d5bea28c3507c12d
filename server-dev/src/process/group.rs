//! Everybody whom a process has started, until nobody of them is left.

use std::{collections::HashSet, path::Path, time::Duration};

use rustix::{
    io::Errno,
    process::{
        Pid, Signal, WaitOptions, kill_process, kill_process_group, test_kill_process_group,
        waitpgid,
    },
};
use tokio::{
    task::spawn_blocking,
    time::{Instant, sleep},
};

use super::{End, number};
use crate::{orphans, stat};

/// How often a group is asked whether anybody is left in it; the kernel tells nobody.
const POLL_INTERVAL: Duration = Duration::from_millis(5);
/// How long anybody is waited for after SIGKILL. Whoever is longer than that is in a call of the kernel that
/// can't be interrupted, as of a file system that doesn't answer, or a zombie that its parent doesn't reap.
pub(super) const LEFT_ALONE_AFTER: Duration = Duration::from_secs(5);

/// The group that a process leads, by the number of the process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Group(pub(super) Pid);

impl Group {
    pub(super) fn signal(self, signal: Signal) {
        // Everybody may have ended already.
        let _ = kill_process_group(self.0, signal);
    }

    /// Waits until it is empty. This process is the one that orphans come to, and reaps them.
    pub(super) async fn emptied(self) {
        loop {
            while matches!(waitpgid(self.0, WaitOptions::NOHANG), Ok(Some(_))) {}
            if is_empty(self.0) {
                return;
            }
            sleep(POLL_INTERVAL).await;
        }
    }

    /// Who is in it.
    pub(super) async fn members(self) -> Vec<u32> {
        let look = move || stat::members(self.0).map(number).collect();
        // Only the end of the runtime is an error.
        spawn_blocking(look).await.unwrap_or_default()
    }
}

/// Whether nobody is left in a group.
pub(crate) fn is_empty(group: Pid) -> bool {
    says_empty(test_kill_process_group(group))
}

/// Of one whose members are all another user's, as `sudo ./server`, it is refused (kill(2)).
fn says_empty(asked: Result<(), Errno>) -> bool {
    asked == Err(Errno::SRCH)
}

/// Ends what a server leaves behind outside its group, as a shell with job control does, and returns who
/// doesn't end.
pub(super) async fn end_strays(socket: &Path, end: &End) -> Vec<u32> {
    let until = Instant::now() + end.grace;
    let (mut told, mut killed) = (HashSet::new(), None);
    loop {
        let look = {
            let socket = socket.to_owned();
            move || orphans::of(&socket)
        };
        // Only the end of the runtime is an error.
        let strays = spawn_blocking(look).await.unwrap_or_default();
        let is_given_up = killed.is_some_and(|at: Instant| at.elapsed() >= LEFT_ALONE_AFTER);
        if strays.is_empty() || is_given_up {
            return strays.into_iter().map(number).collect();
        }
        if end.hurry.is_cancelled() || Instant::now() >= until {
            killed.get_or_insert_with(Instant::now);
        }
        for stray in strays {
            if killed.is_some() || told.insert(stray) {
                let signal = if killed.is_some() { Signal::KILL } else { Signal::TERM };
                // It may have ended already.
                let _ = kill_process(stray, signal);
            }
        }
        sleep(POLL_INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The new server started beside the old one, which another user's rights had kept from ending.
    #[test]
    fn a_group_of_somebody_else_is_not_empty() {
        for (asked, want) in [(Ok(()), false), (Err(Errno::PERM), false), (Err(Errno::SRCH), true)]
        {
            assert_eq!(says_empty(asked), want, "{asked:?}");
        }
    }
}

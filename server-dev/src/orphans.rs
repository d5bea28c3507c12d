//! Processes that have left their group and session, and come to this one when their parent ends.
//!
//! They are nobody's business here, as those of a build that are to stay; but only this process can
//! reap them, or each is a zombie until it ends.

use std::{fs, path::PathBuf};

use rustix::process::{Pid, WaitOptions, getsid, waitpid};
use tokio::signal::unix::Signal;

/// Reaps them, each time that a child ends.
pub(crate) async fn reap(mut ended: Signal) {
    let Ok(own) = getsid(None) else { return };
    while ended.recv().await.is_some() {
        for child in children() {
            if is_zombie_of_another_session(child, own) {
                // Somebody may have been faster.
                let _ = waitpid(Some(child), WaitOptions::NOHANG);
            }
        }
    }
}

/// See `/proc/pid/task/tid/children` in `proc_tid_children(5)`.
fn children() -> Vec<Pid> {
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let lists =
        threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| {
            let numbers = list.split_ascii_whitespace().filter_map(|number| number.parse().ok());
            numbers.filter_map(Pid::from_raw).collect::<Vec<_>>()
        })
        .collect()
}

/// Whatever this process has started itself is in its own session, and waited for elsewhere.
fn is_zombie_of_another_session(child: Pid, own: Pid) -> bool {
    let path = PathBuf::from(format!("/proc/{}/stat", child.as_raw_nonzero()));
    fs::read_to_string(path).is_ok_and(|stat| {
        session_of_zombie(&stat).is_some_and(|session| session != own.as_raw_nonzero().get())
    })
}

/// Reads `proc_pid_stat(5)`: after the name, which may hold anything, the state first, the session fourth.
fn session_of_zombie(stat: &str) -> Option<i32> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace();
    (fields.next()? == "Z").then(|| fields.nth(2)?.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_session_of_zombies_alone() {
        assert_eq!(session_of_zombie("9 (a) b) (Z S) Z 1 77 78 0"), Some(78));
        assert_eq!(session_of_zombie("9 (sh) S 1 77 78 0"), None);
        assert_eq!(session_of_zombie("9 (sh"), None);
    }
}

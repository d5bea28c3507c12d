//! Which processes hold a socket, by `proc_pid_fd(5)`.

use std::collections::BTreeSet;

use procfs::process::{FDTarget, Process, all_processes};

/// Processes that are named; of more, how many.
const NAMED: usize = 3;
/// Of a command line, so much is shown.
const LONGEST: usize = 120;

/// Says by whom these sockets are held: pid and command, or whose process it is where that may not be
/// looked at; `owner` is the user whose socket it is, where that is known.
pub(super) fn of(inodes: &BTreeSet<u64>, owner: Option<u32>) -> String {
    let (mut holders, mut hidden) = (Vec::new(), false);
    for process in all_processes().into_iter().flatten().flatten() {
        match process.fd() {
            Ok(fds) => {
                let holds = |target: FDTarget| matches!(target, FDTarget::Socket(inode) if inodes.contains(&inode));
                if fds.flatten().any(|fd| holds(fd.target)) {
                    holders.push(process);
                }
            }
            // Of threads of the kernel there is nothing to look at.
            Err(_) => hidden |= process.cmdline().is_ok_and(|words| !words.is_empty()),
        }
    }
    let named: Vec<_> = holders.iter().take(NAMED).map(named).collect();
    let user = owner.map_or_else(String::new, |uid| format!(" (uid {uid})"));
    match holders.len() {
        0 if hidden => {
            format!("a process of another user{user}, which doctor may only look at as root")
        }
        0 => format!("a process that can't be seen from here{user}, as in another container"),
        count if count > NAMED => format!("{} and {} more", named.join(", "), count - NAMED),
        _ => named.join(", "),
    }
}

fn named(process: &Process) -> String {
    let words = process.cmdline().unwrap_or_default();
    // It may have been written by anybody: nothing in it is for the terminal.
    let command: String =
        words.join(" ").chars().filter(|c| !c.is_control()).take(LONGEST).collect();
    format!("pid {} ({command})", process.pid)
}

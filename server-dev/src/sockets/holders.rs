//! Which processes hold a socket, by `proc_pid_fd(5)`.

use std::{
    collections::BTreeSet,
    path::{Path, absolute},
};

use procfs::{
    net::{TcpState, tcp, tcp6, udp, udp6, unix},
    process::{FDTarget, Process, all_processes},
};

use crate::spec::{Address, SocketKind, Spec, conflicts};

/// Processes that are named; of more, how many.
const NAMED: usize = 3;
/// Of a command line, so much is shown.
const LONGEST: usize = 120;

/// Says by whom a socket is held that can't be had; `None` where nobody is known to hold it.
pub(crate) fn of(spec: &Spec) -> Option<String> {
    let wanted = match &spec.place {
        Address::Ip(wanted) => *wanted,
        Address::Path(path) => return of_path(path),
    };
    let mut held: Vec<_> = if spec.kind == SocketKind::Udp {
        let all = udp().into_iter().flatten().chain(udp6().into_iter().flatten());
        all.map(|it| (it.local_address, it.inode, it.uid, true)).collect()
    } else {
        let all = tcp().into_iter().flatten().chain(tcp6().into_iter().flatten());
        let listens = |state: &TcpState| *state == TcpState::Listen;
        all.map(|it| (it.local_address, it.inode, it.uid, listens(&it.state))).collect()
    };
    held.retain(|(at, ..)| conflicts(wanted, *at));
    // A connection may have the port as well, of whoever listens or of another.
    if held.iter().any(|(.., listens)| *listens) {
        held.retain(|(.., listens)| *listens);
    }
    let inodes = held.iter().map(|(_, inode, ..)| *inode).collect();
    Some(of_inodes(&inodes, held.first().map(|(_, _, uid, _)| *uid)))
}

/// As [`of`], of a path.
pub(crate) fn of_path(path: &Path) -> Option<String> {
    // As the kernel tells it, from wherever it was bound.
    let names = [Some(path.to_owned()), absolute(path).ok()];
    let inodes: BTreeSet<_> = unix()
        .into_iter()
        .flatten()
        .filter(|it| it.path.is_some() && names.contains(&it.path))
        .map(|it| it.inode)
        .collect();
    (!inodes.is_empty()).then(|| of_inodes(&inodes, None))
}

/// Says by whom these sockets are held: pid and command, or whose process it is where that may not be
/// looked at; `owner` is the user whose socket it is, where that is known.
fn of_inodes(inodes: &BTreeSet<u64>, owner: Option<u32>) -> String {
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
            format!("a process of another user{user}, which only root may look at")
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

//! Whether a process waits for connections at a socket that it was passed, by what proc(5) says of it.

use std::{fs, path::Path};

use rustix::process::Pid;
use tokio::{task::spawn_blocking, time::sleep};

use super::{MainProcess, POLL_INTERVAL, call};
use crate::stat::{folder, members};

/// Waits until somebody of `group` waits for connections at one of `inodes`, and returns whose server that is.
pub(super) async fn accepts(group: Pid, inodes: &[u64]) -> Option<MainProcess> {
    if inodes.is_empty() {
        return std::future::pending().await;
    }
    let inodes = inodes.to_vec();
    loop {
        let look = {
            let inodes = inodes.clone();
            move || {
                let waits = members(group).find(|process| waits(&folder(*process), &inodes));
                waits.map(|process| MainProcess::that_has_forked(process, group))
            }
        };
        // Only a panic or the end of the runtime is an error, and then nobody waits.
        if let Some(main) = spawn_blocking(look).await.unwrap_or_default() {
            return main;
        }
        sleep(POLL_INTERVAL).await;
    }
}

/// Whether one of `inodes` is polled by epoll(7), or a thread is in a call that waits for it.
fn waits(process: &Path, inodes: &[u64]) -> bool {
    let polled = fs::read_dir(process.join("fdinfo"))
        .into_iter()
        .flatten()
        .flatten()
        .any(|info| fs::read_to_string(info.path()).is_ok_and(|text| polls(&text, inodes)));
    polled
        || fs::read_dir(process.join("task")).into_iter().flatten().flatten().any(|thread| {
            let Ok(call) = fs::read_to_string(thread.path().join("syscall")) else { return false };
            call::awaited(&call, &process.join("mem")).into_iter().any(|fd| {
                fs::read_link(process.join("fd").join(fd.to_string())).is_ok_and(|target| {
                    let is_it = |inode| target.as_os_str() == format!("socket:[{inode}]").as_str();
                    inodes.iter().any(is_it)
                })
            })
        })
}

/// Reads what an epoll instance polls from `proc_pid_fdinfo(5)`.
fn polls(info: &str, inodes: &[u64]) -> bool {
    info.lines().filter(|line| line.starts_with("tfd:")).any(|line| {
        let inode = line.split_ascii_whitespace().find_map(|word| word.strip_prefix("ino:"));
        inode.is_some_and(|inode| {
            u64::from_str_radix(inode, 16).is_ok_and(|inode| inodes.contains(&inode))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_an_epoll_instance_polls() {
        let info = "pos:\t0\nflags:\t02000002\nmnt_id:\t15\nino:\t2060\n\
                    tfd:        3 events:       19 data: 0  pos:0 ino:1f sdev:8\n";
        assert!(polls(info, &[31]));
        assert!(!polls(info, &[0x2060]));
        assert!(!polls(info, &[]));
    }
}

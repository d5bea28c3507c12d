//! Processes that have left their group, and come to this one when their parent ends.
//!
//! Whoever has left its session as well is nobody's business here, as what a build starts and is to stay;
//! but only this process can reap them, or each is a zombie until it ends. What is left of a server in the
//! session, as a shell with job control leaves it, is ended with it.

use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::ffi::OsStrExt,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use rustix::process::{Pid, WaitOptions, getpid, waitpid};
use tokio::{signal::unix::Signal, task::spawn_blocking};

use crate::stat::{self, Stat, folder};

/// The children that are waited for elsewhere, by their numbers.
static STARTED: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// A child, however it was started.
pub(crate) trait Started {
    /// None for one that was reaped.
    fn number(&self) -> Option<u32>;
}

impl Started for std::process::Child {
    fn number(&self) -> Option<u32> {
        Some(self.id())
    }
}

impl Started for tokio::process::Child {
    fn number(&self) -> Option<u32> {
        self.id()
    }
}

/// Starts a child that is waited for by whoever starts it.
pub(crate) fn start<C: Started>(spawn: impl FnOnce() -> io::Result<C>) -> io::Result<C> {
    // Held meanwhile, since it may end before its number is known.
    let mut started = started();
    let child = spawn()?;
    started.extend(child.number().map(u32::cast_signed));
    Ok(child)
}

/// Such a child has been reaped, or is waited for no more.
pub(crate) fn unregister(child: Pid) {
    started().remove(&child.as_raw_nonzero().get());
}

/// Those that live, have come to this process, and were told of `socket` in their environment, as those of
/// one server are.
pub(crate) fn of(socket: &Path) -> Vec<Pid> {
    let variable = [b"NOTIFY_SOCKET=", socket.as_os_str().as_bytes()].concat();
    let (Some(own), started) = (Stat::own(), started()) else { return Vec::new() };
    let is_of_it = |child: &Pid| {
        let environ = fs::read(folder(*child).join("environ"));
        !started.contains(&child.as_raw_nonzero().get())
            && Stat::of(*child).is_some_and(|stat| stat.session == own.session)
            && environ.is_ok_and(|all| all.split(|&byte| byte == 0).any(|one| one == variable))
    };
    children().into_iter().filter(is_of_it).collect()
}

fn started() -> MutexGuard<'static, BTreeSet<i32>> {
    // A number is put in, or taken out.
    STARTED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reaps them, each time that a child ends.
pub(crate) async fn reap(mut ended: Signal) {
    let Some(own) = Stat::own() else { return };
    while ended.recv().await.is_some() {
        let reap = move || {
            for child in children().into_iter().filter(|child| is_left_behind(*child, own)) {
                // Somebody may have been faster.
                let _ = waitpid(Some(child), WaitOptions::NOHANG);
            }
        };
        // Only the end of the runtime is an error.
        let _ = spawn_blocking(reap).await;
    }
}

/// See `/proc/pid/task/tid/children` in `proc_tid_children(5)`.
fn children() -> Vec<Pid> {
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let (mut all, mut is_listed) = (Vec::new(), false);
    for thread in threads {
        let Ok(list) = fs::read_to_string(thread.path().join("children")) else { continue };
        is_listed = true;
        let numbers = list.split_ascii_whitespace().filter_map(|number| number.parse().ok());
        all.extend(numbers.filter_map(Pid::from_raw));
    }
    // A kernel without CONFIG_PROC_CHILDREN has no such lists.
    if is_listed { all } else { children_among_all() }
}

/// As [`children`], by what each process says of its parent.
fn children_among_all() -> Vec<Pid> {
    let own = getpid().as_raw_nonzero().get();
    let children = stat::all().filter(|(_, stat)| stat.parent == own);
    children.map(|(process, _)| process).collect()
}

/// Whether it is a zombie that nobody waits for: what this process has started is known, or in its own
/// group.
fn is_left_behind(child: Pid, own: Stat) -> bool {
    let started = started();
    let is_started = started.contains(&child.as_raw_nonzero().get());
    Stat::of(child).is_some_and(|stat| {
        let is_elsewhere = stat.session != own.session;
        stat.is_zombie && (is_elsewhere || (stat.group != own.group && !is_started))
    })
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_child_is_found_with_and_without_the_lists_of_the_kernel() {
        let mut child = Command::new("sleep").arg("600").spawn().unwrap();
        let pid = Pid::from_raw(child.id().cast_signed()).unwrap();
        let found = [children(), children_among_all()].map(|all| all.contains(&pid));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(found, [true, true]);
        assert!(!children_among_all().contains(&pid));
    }
}

//! Which process of a group is the server: beside it there may be a shell, npm or make that has started it.

use std::{fs, os::fd::OwnedFd, sync::Arc};

use procfs::process::Process;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};
use tokio::task::spawn_blocking;

use crate::{
    signals,
    stat::{Stat, folder, members},
};

/// A process, and no other that is given its number once it has ended.
#[derive(Debug, Clone)]
pub(crate) struct MainProcess(Arc<OwnedFd>);

impl MainProcess {
    /// `None` for one that has ended, or where the kernel is older than 5.3.
    pub(super) fn of(pid: Pid) -> Option<Self> {
        Some(Self(Arc::new(pidfd_open(pid, PidfdFlags::empty()).ok()?)))
    }

    /// Of one that is seen to wait for connections: itself, or that of its group which has forked it, as
    /// servers do that have many.
    pub(super) fn that_has_forked(waits: Pid, group: Pid) -> Option<Self> {
        let (mut main, group) = (waits, group.as_raw_nonzero().get());
        while let Some(parent) = Stat::of(main)
            .and_then(|stat| Pid::from_raw(stat.parent))
            .filter(|parent| Stat::of(*parent).is_some_and(|stat| stat.group == group))
            .filter(|parent| is_fork_of(main, *parent))
        {
            main = parent;
        }
        Self::of(main)
    }

    /// Whether it could be sent.
    fn signal(&self, signal: Signal) -> bool {
        pidfd_send_signal(&self.0, signal).is_ok()
    }
}

/// Tells the server of a group that its files have changed: `main`, if it is known. Else the leader alone,
/// unless somebody else catches the signal, and the leader would be ended by it, as a shell is.
pub(crate) async fn hang_up(main: Option<&MainProcess>, group: Pid) {
    if main.is_some_and(|main| main.signal(Signal::HUP)) {
        return;
    }
    let look = move || {
        let takes_it = |pid: &Pid| catches(*pid).unwrap_or(false);
        let other = if takes_it(&group) { None } else { members(group).find(takes_it) };
        // It may have ended already.
        let _ = kill_process(other.unwrap_or(group), Signal::HUP);
    };
    // Only the end of the runtime is an error.
    let _ = spawn_blocking(look).await;
}

/// Whether a handler is there for SIGHUP, by `SigCgt` in `proc_pid_status(5)`.
fn catches(pid: Pid) -> Option<bool> {
    let status = Process::new(pid.as_raw_nonzero().get()).ok()?.status().ok()?;
    Some(signals::is_in(status.sigcgt, Signal::HUP.as_raw()))
}

/// Whether a process is its parent's memory still, and has become no other program since: the kernel places
/// each anew, and says where in its auxiliary vector (getauxval(3)).
fn is_fork_of(process: Pid, parent: Pid) -> bool {
    let [ours, theirs] = [process, parent].map(|pid| fs::read(folder(pid).join("auxv")));
    ours.ok().zip(theirs.ok()).is_some_and(|(ours, theirs)| !ours.is_empty() && ours == theirs)
}

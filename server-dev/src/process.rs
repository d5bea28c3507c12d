//! Processes in groups of their own, from their start until nothing of them is left.

mod group;
mod output;

use std::{
    ffi::{OsStr, OsString},
    io,
    os::fd::OwnedFd,
    os::unix::process::CommandExt,
    path::PathBuf,
    pin::pin,
    process::{Command, ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use command_fds::{CommandFdExt, FdMapping};
use rustix::process::{Pid, Signal};
use tokio::{
    process::{Child, ChildStdin},
    sync::oneshot,
    task::{JoinHandle, JoinSet},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

pub(crate) use self::{
    group::is_empty,
    output::{LONGEST_LINE, Line, Output},
};
use self::{
    group::{Group, LEFT_ALONE_AFTER, end_strays},
    output::{Progress, pass_on},
};
use crate::{config::Words, exec, guard::GuardedGroups, orphans};

/// How long the last lines of a process that was told to end may be held up, as by a terminal that was
/// stopped; of one that ends by itself, as a build does, they are waited for.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// What this process may have been told by whoever started it, and is not for others.
pub(crate) const OURS: [&str; 8] = [
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
    "LISTEN_FDS_FIRST_FD",
    "LISTEN_PID",
    "LISTEN_PIDFDID",
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
];

/// Whether `cargo run` tells it a program of the package that this is of. A build that found it would take it
/// for what has changed, and build anew what asks for it ("Environment variables Cargo sets for crates" in
/// The Cargo Book).
fn is_of_our_package(name: &OsStr) -> bool {
    let tells = |of: &str| name.as_encoded_bytes().starts_with(of.as_bytes());
    tells("CARGO_MANIFEST_") || tells("CARGO_PKG_")
}

/// A program to be run.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) words: Words,
    pub(crate) directory: PathBuf,
    pub(crate) env: Vec<(OsString, OsString)>,
    /// At descriptors 3 and up.
    pub(crate) descriptors: Vec<OwnedFd>,
    /// Whether it is to find its number in `LISTEN_PID`.
    pub(crate) listen_pid: bool,
    /// Where it says that it is ready; what it leaves behind is known by it.
    pub(crate) notify_socket: Option<PathBuf>,
    /// Whether it is to read something; it finds an end otherwise.
    pub(crate) reads: bool,
}

/// This executable, also once it was replaced or removed, as a build of the whole workspace does (see
/// `/proc/pid/exe` in `proc_pid_exe(5)`).
pub(crate) fn this_program() -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg0("server-dev");
    command
}

/// How a process is told by those who write of it.
fn number(process: Pid) -> u32 {
    process.as_raw_nonzero().get().cast_unsigned()
}

/// How a process is ended.
#[derive(Debug, Clone)]
pub(crate) struct End {
    /// How long it may take after SIGTERM.
    pub(crate) grace: Duration,
    /// Once this is cancelled, no longer.
    pub(crate) hurry: CancellationToken,
    /// Who ends it if this process can't.
    pub(crate) guarded: GuardedGroups,
}

/// A process that runs, and everything that it has started in its group.
///
/// Dropped, it is told to end, and nobody waits for it.
#[derive(Debug)]
pub(crate) struct Running {
    /// Whose leader it is.
    pub(crate) group: Pid,
    /// Where it reads from.
    pub(crate) stdin: Option<ChildStdin>,
    told: Option<oneshot::Sender<()>>,
    attended: JoinHandle<io::Result<ExitStatus>>,
}

impl Program {
    /// Starts it. Each line that it writes is passed on.
    ///
    /// Others may hold the same pipes: what they write is passed on until it has ended.
    pub(crate) fn start(self, end: &End, output: &Arc<impl Output>) -> io::Result<Running> {
        let mut command = this_program();
        command
            .args(exec::arguments(&self.words, self.listen_pid))
            .current_dir(&self.directory)
            .stdin(if self.reads { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        for name in OURS {
            command.env_remove(name);
        }
        for (name, _) in std::env::vars_os().filter(|(name, _)| is_of_our_package(name)) {
            command.env_remove(name);
        }
        command.envs(self.env);
        command.envs(self.notify_socket.iter().map(|socket| ("NOTIFY_SOCKET", socket)));
        let mappings = self.descriptors.into_iter().zip(3..);
        let mappings = mappings.map(|(parent_fd, child_fd)| FdMapping { parent_fd, child_fd });
        command.fd_mappings(mappings.collect()).map_err(io::Error::other)?;
        let mut command = tokio::process::Command::from(command);
        let mut child = orphans::start(|| command.spawn())?;
        let stdin = child.stdin.take();
        let group = child
            .id()
            .and_then(|id| Pid::from_raw(id.cast_signed()))
            .ok_or_else(|| io::Error::other("it has ended already"))?;
        // Whoever hears of what it writes finds it known.
        end.guarded.register(group, end.grace);
        output.started(number(group));
        let (mut reading, progress) = (JoinSet::new(), Arc::<Progress>::default());
        if let Some(stdout) = child.stdout.take() {
            reading.spawn(pass_on(stdout, false, Arc::clone(output), Arc::clone(&progress)));
        }
        if let Some(stderr) = child.stderr.take() {
            reading.spawn(pass_on(stderr, true, Arc::clone(output), Arc::clone(&progress)));
        }
        let (told, hears) = oneshot::channel();
        let attended = Attended {
            child,
            group: Group(group),
            notify_socket: self.notify_socket,
            reading,
            progress,
            output: Arc::clone(output),
            told: hears,
            end: end.clone(),
        };
        let attended = tokio::spawn(attended.attend());
        Ok(Running { group, stdin, told: Some(told), attended })
    }
}

impl Running {
    pub(crate) fn pid(&self) -> u32 {
        number(self.group)
    }

    /// Waits until it has ended by itself, and nothing of its group is left.
    ///
    /// Cancel safe.
    pub(crate) async fn ended(&mut self) -> io::Result<ExitStatus> {
        (&mut self.attended).await.map_err(io::Error::other)?
    }

    /// Has it end: SIGTERM, and SIGKILL once the grace is over; returns when nothing is left.
    pub(crate) async fn end(mut self) -> io::Result<ExitStatus> {
        drop(self.told.take());
        self.ended().await
    }
}

/// A process that is waited for, and what it leaves behind.
struct Attended<O> {
    child: Child,
    group: Group,
    /// What its strays are known by.
    notify_socket: Option<PathBuf>,
    reading: JoinSet<()>,
    progress: Arc<Progress>,
    output: Arc<O>,
    /// Never sent: whoever holds the other end drops it to have it end.
    told: oneshot::Receiver<()>,
    end: End,
}

impl<O: Output> Attended<O> {
    async fn attend(self) -> io::Result<ExitStatus> {
        let Self { mut child, group, notify_socket, mut reading, progress, output, mut told, end } =
            self;
        let mut status = tokio::select! {
            status = child.wait() => Some(status),
            _ = &mut told => None,
        };
        let is_told = status.is_none();
        group.signal(Signal::TERM);
        // One that is stopped finds the other signal only then.
        group.signal(Signal::CONT);
        let is_gone = {
            let mut gone = pin!(async {
                if status.is_none() {
                    status = Some(child.wait().await);
                }
                orphans::unregister(group.0);
                group.emptied().await;
            });
            let is_gone = tokio::select! {
                () = &mut gone => true,
                () = end.hurry.cancelled() => false,
                () = sleep(end.grace) => false,
            };
            is_gone || {
                group.signal(Signal::KILL);
                timeout(LEFT_ALONE_AFTER, gone).await.is_ok()
            }
        };
        let mut left = Vec::new();
        if !is_gone {
            left = group.members().await;
            // Should it end after all, it is waited for by nobody.
            orphans::unregister(group.0);
        }
        if let Some(socket) = &notify_socket {
            left.extend(end_strays(socket, &end).await);
        }
        end.guarded.unregister(group.0);
        if !left.is_empty() {
            output.left(left);
        }
        progress.ended.cancel();
        let read = async { while reading.join_next().await.is_some() {} };
        let is_over = async {
            if !is_told {
                // It is never sent.
                let _ = told.await;
            }
            while timeout(LAST_WORDS, progress.passed_on.notified()).await.is_ok() {}
        };
        tokio::select! {
            () = read => {}
            () = is_over => {}
        }
        status.unwrap_or_else(|| Err(io::Error::other("SIGKILL has not ended it")))
    }
}

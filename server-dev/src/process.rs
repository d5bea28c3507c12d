//! Processes in groups of their own, from their start until nothing of them is left.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    io,
    os::fd::OwnedFd,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use command_fds::{CommandFdExt, FdMapping};
use rustix::process::{
    Pid, Signal, WaitOptions, kill_process, kill_process_group, test_kill_process_group, waitpgid,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, ChildStdin},
    sync::oneshot,
    task::{JoinHandle, JoinSet},
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{config::Words, exec::Wish, guard, orphans};

/// How often a group is asked whether anybody is left in it; the kernel tells nobody.
const LOOK: Duration = Duration::from_millis(5);
/// Lines that are longer are cut in pieces: nothing of what a program writes is kept for ever.
const LONGEST_LINE: u64 = 64 * 1024;
/// How long the last lines of a process that has ended may take.
const LAST_WORDS: Duration = Duration::from_millis(200);
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

/// A program to be run.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) words: Words,
    pub(crate) directory: PathBuf,
    pub(crate) env: Vec<(OsString, OsString)>,
    /// At descriptors 3 and up.
    pub(crate) descriptors: Vec<OwnedFd>,
    pub(crate) wish: Wish,
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

/// How a process is ended.
#[derive(Debug, Clone)]
pub(crate) struct End {
    /// How long it may take after SIGTERM.
    pub(crate) grace: Duration,
    /// Once this is cancelled, no longer.
    pub(crate) hurry: CancellationToken,
}

/// Takes what a process writes.
pub(crate) trait Output: Send + Sync + 'static {
    /// Takes a line; as long as it doesn't return, the process is held up.
    fn line(&self, line: Line) -> impl Future<Output = ()> + Send;
}

/// A line that a process has written.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) is_error: bool,
    /// Without its end.
    pub(crate) text: Vec<u8>,
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
    /// Starts it; each line that it writes is passed on, for as long as anybody holds the other end.
    pub(crate) fn start(self, end: &End, output: &Arc<impl Output>) -> io::Result<Running> {
        let mut command = this_program();
        command
            .args(self.wish.arguments(self.words.program(), self.words.arguments()))
            .current_dir(&self.directory)
            .stdin(if self.reads { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        for name in OURS {
            command.env_remove(name);
        }
        let socket = self.env.iter().find(|(name, _)| name == "NOTIFY_SOCKET");
        let socket = socket.map(|(_, path)| PathBuf::from(path));
        command.envs(self.env);
        let mappings = self.descriptors.into_iter().zip(3..);
        let mappings = mappings.map(|(parent_fd, child_fd)| FdMapping { parent_fd, child_fd });
        command.fd_mappings(mappings.collect()).map_err(io::Error::other)?;
        let mut command = tokio::process::Command::from(command);
        let mut child = orphans::start(|| command.spawn())?;
        let stdin = child.stdin.take();
        let mut outputs = JoinSet::new();
        if let Some(stdout) = child.stdout.take() {
            outputs.spawn(pass_on(stdout, false, Arc::clone(output)));
        }
        if let Some(stderr) = child.stderr.take() {
            outputs.spawn(pass_on(stderr, true, Arc::clone(output)));
        }
        let group = child
            .id()
            .and_then(|id| Pid::from_raw(id.cast_signed()))
            .ok_or_else(|| io::Error::other("it has ended already"))?;
        guard::takes(group, end.grace);
        let (told, hears) = oneshot::channel();
        let attended =
            tokio::spawn(attend(child, Group(group), socket, outputs, hears, end.clone()));
        Ok(Running { group, stdin, told: Some(told), attended })
    }
}

impl Running {
    pub(crate) fn pid(&self) -> u32 {
        self.group.as_raw_nonzero().get().cast_unsigned()
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

    /// Sends a signal to all of its group.
    pub(crate) fn signal(&self, signal: Signal) {
        Group(self.group).signal(signal);
    }
}

/// Waits for a process and for what it leaves behind.
async fn attend(
    mut child: Child,
    group: Group,
    socket: Option<PathBuf>,
    mut outputs: JoinSet<()>,
    told: oneshot::Receiver<()>,
    end: End,
) -> io::Result<ExitStatus> {
    let status = tokio::select! {
        status = child.wait() => Some(status),
        // Never sent: whoever holds the other end drops it.
        _ = told => None,
    };
    group.signal(Signal::TERM);
    let gone = async {
        let status = match status {
            Some(status) => status,
            None => child.wait().await,
        };
        orphans::has_ended(group.0);
        group.left().await;
        status
    };
    // What was written last has been passed on by then; somebody who left the group may hold it open.
    let read = async move {
        timeout(LAST_WORDS, async { while outputs.join_next().await.is_some() {} }).await
    };
    tokio::pin!(gone);
    let status = tokio::select! {
        status = &mut gone => Some(status),
        () = end.hurry.cancelled() => None,
        () = sleep(end.grace) => None,
    };
    let status = if let Some(status) = status {
        status
    } else {
        group.signal(Signal::KILL);
        gone.await
    };
    if let Some(socket) = socket {
        end_strays(&socket, &end).await;
    }
    guard::leaves(group.0);
    let _is_complete = read.await;
    status
}

/// Ends what a server leaves behind outside its group, as a shell with job control does.
async fn end_strays(socket: &Path, end: &End) {
    let until = Instant::now() + end.grace;
    let mut told = BTreeSet::new();
    loop {
        let strays = orphans::of(socket);
        if strays.is_empty() {
            return;
        }
        let is_late = end.hurry.is_cancelled() || Instant::now() >= until;
        for stray in strays {
            let number = stray.as_raw_nonzero().get();
            if is_late || told.insert(number) {
                let signal = if is_late { Signal::KILL } else { Signal::TERM };
                // It may have ended already.
                let _ = kill_process(stray, signal);
            }
        }
        sleep(LOOK).await;
    }
}

/// The group that a process leads, by the number of the process.
#[derive(Clone, Copy)]
struct Group(Pid);

impl Group {
    fn signal(self, signal: Signal) {
        // Everybody may have ended already.
        let _ = kill_process_group(self.0, signal);
    }

    /// Waits until it is empty. This process is the one that orphans come to, and reaps them.
    async fn left(self) {
        loop {
            while matches!(waitpgid(self.0, WaitOptions::NOHANG), Ok(Some(_))) {}
            if test_kill_process_group(self.0).is_err() {
                return;
            }
            sleep(LOOK).await;
        }
    }
}

async fn pass_on(from: impl AsyncRead + Unpin, is_error: bool, to: Arc<impl Output>) {
    let mut from = BufReader::new(from);
    loop {
        let mut text = Vec::new();
        let mut piece = tokio::io::AsyncReadExt::take(&mut from, LONGEST_LINE);
        match piece.read_until(b'\n', &mut text).await {
            // Whoever wrote is gone, or is no longer to be understood.
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        if text.last() == Some(&b'\n') {
            text.pop();
        }
        to.line(Line { is_error, text }).await;
    }
}

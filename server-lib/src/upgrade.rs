//! A new executable takes the place of this process, by `SIGUSR2`: the sockets are handed over, and no
//! connection is refused.

use std::{
    env,
    ffi::OsStr,
    io::{self, Write},
    os::{fd::OwnedFd, unix::net::UnixStream as Pair},
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    time::Duration,
};

use command_fds::{CommandFdExt, FdMapping};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    process::Child,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::inherit::PREDECESSOR;

/// How long a new process may take until its first configuration is in use: far longer than to load it
/// and to wait a second for a key that belongs to its certificate, and no configuration is put in place
/// meanwhile.
const LONGEST_START: Duration = Duration::from_secs(30);

/// How long one that has closed its end, or was killed, may take to be gone: it has nothing left to do,
/// and the system takes some milliseconds.
const LONGEST_END: Duration = Duration::from_secs(1);

/// What either end tells the other by one byte: the new process that it is ready, the old one that it
/// lets go.
const WORD: u8 = b'\n';

/// A socket under the name that a new process knows it by.
pub(crate) type Named = (String, OwnedFd);

/// Where a new executable is found: the file that this process was started from, whatever is in it by
/// then.
#[derive(Debug, Clone)]
pub(crate) struct Program(PathBuf);

/// Why there is no new process.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotReplaced {
    // With the first process of a PID namespace, as of a container, ends every other
    // (pid_namespaces(7)).
    #[error("this is process 1, with which all others end: give it an init")]
    First,
    #[error("an earlier generation is pinned, of which a new process would not know: resume first")]
    Pinned,
    #[error("the sockets can't be handed over")]
    Sockets(#[source] io::Error),
    #[error("{} can't be started", .0.display())]
    Start(PathBuf, #[source] io::Error),
    #[error("it ended before it was ready: {0}")]
    Ended(ExitStatus),
    #[error("it was not ready within {LONGEST_START:?}")]
    Late,
    #[error("nothing is heard of it")]
    Deaf(#[source] io::Error),
    #[error("this process is to end itself")]
    Ending,
}

impl Program {
    /// To be called early: an installation may replace the file, and a relative name means another one
    /// after a change of directory.
    pub(crate) fn of_this_process() -> io::Result<Self> {
        let name = env::args_os().next().unwrap_or_default();
        // Links on the way are kept: to turn one is how many a release is installed.
        if Path::new(&name).components().count() > 1 {
            return std::path::absolute(name).map(Self);
        }
        match in_path(&name) {
            Some(found) => Ok(Self(found)),
            None => env::current_exe().map(Self),
        }
    }

    /// Starts it with the arguments of this process and with these sockets, and returns once it is
    /// ready. Ended by `shutdown` before, or dropped, it kills it.
    pub(crate) async fn start(
        &self,
        sockets: Vec<Named>,
        shutdown: &CancellationToken,
    ) -> Result<Successor, NotReplaced> {
        let told = |error| NotReplaced::Start(self.0.clone(), error);
        let (ours, theirs) = Pair::pair().map_err(told)?;
        ours.set_nonblocking(true).map_err(told)?;
        let mut ours = UnixStream::from_std(ours).map_err(told)?;
        let child = self.spawn(sockets, theirs.into()).map_err(told)?;
        let id = child.id();
        let mut starting = Starting(Some(child));
        // It has one until it was waited for.
        let Some(id) = id else { return Err(starting.end().await) };
        let word = tokio::select! {
            biased;
            word = timeout(LONGEST_START, ours.read_u8()) => word,
            () = shutdown.cancelled() => {
                starting.kill().await;
                return Err(NotReplaced::Ending);
            }
        };
        match word {
            Ok(Ok(WORD)) => {}
            Ok(_) => return Err(starting.end().await),
            Err(_elapsed) => return Err(NotReplaced::Late),
        }
        // It is not killed any more.
        starting.0 = None;
        Ok(Successor { id, ours })
    }

    fn spawn(&self, mut sockets: Vec<Named>, theirs: OwnedFd) -> io::Result<Child> {
        sockets.push((PREDECESSOR.to_owned(), theirs));
        let (names, sockets): (Vec<_>, Vec<_>) = sockets.into_iter().unzip();
        let mut command = Command::new(&self.0);
        command
            .args(env::args_os().skip(1))
            .env("LISTEN_FDS", sockets.len().to_string())
            .env("LISTEN_FDNAMES", names.join(":"));
        // Those that name this process: sd_listen_fds(3), sd_watchdog_enabled(3).
        for name in ["LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDS_FIRST_FD", "WATCHDOG_PID"] {
            command.env_remove(name);
        }
        let mappings = sockets.into_iter().zip(3..);
        let mappings = mappings.map(|(parent_fd, child_fd)| FdMapping { parent_fd, child_fd });
        command.fd_mappings(mappings.collect()).map_err(io::Error::other)?;
        tokio::process::Command::from(command).spawn()
    }
}

/// Finds a program as a shell does.
fn in_path(name: &OsStr) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(|file| file.is_absolute() && file.is_file())
}

/// A process that may not be ready yet; dropped, it is killed.
struct Starting(Option<Child>);

impl Starting {
    /// Has it end, and says how it did.
    async fn end(mut self) -> NotReplaced {
        let Some(child) = &mut self.0 else { return NotReplaced::Late };
        match timeout(LONGEST_END, child.wait()).await {
            Ok(Ok(status)) => NotReplaced::Ended(status),
            Ok(Err(error)) => NotReplaced::Deaf(error),
            Err(_elapsed) => NotReplaced::Deaf(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Kills it, and waits until it holds no socket any more.
    async fn kill(mut self) {
        if let Some(child) = &mut self.0 {
            // It may have ended by itself, and whoever can't be killed is not waited for.
            let _ = timeout(LONGEST_END, child.kill()).await;
        }
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            // It may have ended by itself.
            let _ = child.start_kill();
        }
    }
}

/// A new process that is ready to take over.
pub(crate) struct Successor {
    pub(crate) id: u32,
    ours: UnixStream,
}

impl Successor {
    /// Tells it that this process lets go.
    pub(crate) fn release(self) {
        // There is room for one byte, and should it be gone again, this process can't help it any more.
        let _ = self.ours.into_std().and_then(|mut ours| ours.write_all(&[WORD]));
    }

    /// Has it end, as it may have begun to answer requests.
    pub(crate) fn end(self) {
        let id = i32::try_from(self.id).ok().and_then(Pid::from_raw);
        if let Some(id) = id {
            // It may be gone again.
            let _ = kill_process(id, Signal::TERM);
        }
    }
}

/// The process that has started this one to take its place.
#[derive(Debug)]
pub(crate) struct Predecessor(UnixStream);

impl Predecessor {
    /// In a runtime.
    pub(crate) fn new(pair: Pair) -> io::Result<Self> {
        pair.set_nonblocking(true)?;
        UnixStream::from_std(pair).map(Self)
    }

    /// Tells it that this process is ready, and waits until it lets go, or is gone.
    pub(crate) async fn relieve(mut self) {
        if self.0.write_u8(WORD).await.is_ok() {
            // Its end is as good as its word.
            let _ = self.0.read_u8().await;
        }
    }
}

//! When a new process is ready for what comes in.
//!
//! That a connection to a held socket succeeds says nothing: the kernel answers. So the process says
//! it itself, or is seen to wait for connections.

mod call;
mod probe;

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::process::Pid;
use tempfile::TempDir;
use tokio::{
    net::UnixDatagram,
    sync::watch,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::task::AbortOnDropHandle;

use crate::{config::Ready, stat::Stat};

/// How often a process is looked at while it starts.
const LOOK: Duration = Duration::from_millis(5);
/// A process that waits in another way, or has no socket to wait at, counts as ready after this long.
const LONG_ENOUGH: Duration = Duration::from_secs(2);
/// Longer than any message of `sd_notify(3)`.
const LONGEST_MESSAGE: usize = 4096;

/// Where a process says that it is ready, see `sd_notify(3)`: a socket of its own.
///
/// Read for as long as it lives, since whoever writes to a full one is held up.
#[derive(Debug)]
pub(crate) struct Notified {
    is_ready: watch::Receiver<bool>,
    path: PathBuf,
    _reading: AbortOnDropHandle<()>,
    _directory: TempDir,
}

/// Where one process alone is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Private {
    /// At a port that it is to listen at.
    Port(SocketAddr),
    /// At a socket that it was passed, where connections wait for it.
    Socket(SocketAddr),
}

impl Private {
    pub(crate) fn address(self) -> SocketAddr {
        match self {
            Self::Port(address) | Self::Socket(address) => address,
        }
    }
}

/// How a process was found to be ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sign {
    /// It said so.
    Notified,
    /// It waits for connections.
    Accepts,
    /// A connection to its own port succeeds.
    Connects,
    /// It has answered a request.
    Answers,
    /// It has run for as long as was asked for.
    Delay,
    /// It has run for a while, and nothing else could be seen.
    Alive,
}

impl Notified {
    pub(crate) fn new() -> io::Result<Self> {
        // Its mode is 0700, so only this user gets at the socket.
        let directory = tempfile::Builder::new().prefix("server-dev-").tempdir()?;
        let path = directory.path().join("notify");
        let (tell, is_ready) = watch::channel(false);
        let reading = tokio::spawn(read(UnixDatagram::bind(&path)?, tell));
        let reading = AbortOnDropHandle::new(reading);
        Ok(Self { is_ready, path, _reading: reading, _directory: directory })
    }

    /// What `NOTIFY_SOCKET` is to say.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Waits for `READY=1`.
    async fn told(&self) {
        if self.is_ready.clone().wait_for(|is_ready| *is_ready).await.is_err() {
            // It can't be heard any more; it is still seen.
            std::future::pending::<()>().await;
        }
    }

    /// Waits until the processes of `group` are ready, of which the kernel knows the sockets by
    /// `inodes`, and which alone are behind `private`.
    pub(crate) async fn wait(
        &self,
        how: &Ready,
        group: Pid,
        inodes: &[u64],
        private: Option<Private>,
    ) -> Sign {
        let start = Instant::now();
        match how {
            Ready::Notify => {
                self.told().await;
                Sign::Notified
            }
            Ready::Delay(delay) => {
                sleep(**delay).await;
                Sign::Delay
            }
            Ready::Http(path) => {
                match private {
                    Some(private) => probe::answers(private.address(), path).await,
                    // The command line and the file are refused where there is none.
                    None => std::future::pending().await,
                }
                Sign::Answers
            }
            Ready::Auto if let Some(Private::Port(port)) = private => tokio::select! {
                biased;
                () = self.told() => Sign::Notified,
                () = probe::connects(port) => Sign::Connects,
            },
            Ready::Auto => tokio::select! {
                biased;
                () = self.told() => Sign::Notified,
                () = accepts(group, inodes) => Sign::Accepts,
                () = sleep_until(start + LONG_ENOUGH) => Sign::Alive,
            },
        }
    }
}

async fn read(socket: UnixDatagram, tell: watch::Sender<bool>) {
    let mut message = [0; LONGEST_MESSAGE];
    while let Ok(length) = socket.recv(&mut message).await {
        if message[..length].split(|&byte| byte == b'\n').any(|line| line == b"READY=1") {
            // Nobody may wait for it any more.
            let _ = tell.send(true);
        }
    }
}

/// Waits until somebody of `group` waits for connections at one of `inodes`.
async fn accepts(group: Pid, inodes: &[u64]) {
    if inodes.is_empty() {
        std::future::pending::<()>().await;
    }
    let inodes = inodes.to_vec();
    loop {
        let look = {
            let inodes = inodes.clone();
            move || members(group).any(|process| waits(&process, &inodes))
        };
        // Only a panic or the end of the runtime is an error, and then nobody waits.
        if tokio::task::spawn_blocking(look).await.unwrap_or(false) {
            return;
        }
        sleep(LOOK).await;
    }
}

/// The folders of proc(5) of the processes of a group.
fn members(group: Pid) -> impl Iterator<Item = PathBuf> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes.map(|entry| entry.path()).filter(move |path| {
        let is_process = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().iter().all(u8::is_ascii_digit));
        is_process && Stat::of(path).is_some_and(|stat| stat.group == group.as_raw_nonzero().get())
    })
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

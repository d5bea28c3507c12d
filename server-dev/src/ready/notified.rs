//! What a process says of itself, see `sd_notify(3)`.

use std::{
    io::{self, IoSliceMut},
    os::fd::AsRawFd,
    path::Path,
};

use nix::{
    cmsg_space,
    sys::socket::{
        ControlMessageOwned, MsgFlags, UnixAddr, UnixCredentials, recvmsg, setsockopt,
        sockopt::PassCred,
    },
};
use rustix::process::Pid;
use tempfile::{TempDir, TempPath};
use tokio::{io::Interest, net::UnixDatagram, sync::watch};
use tokio_util::task::AbortOnDropHandle;

use super::MainProcess;

/// Longer than any message of `sd_notify(3)`.
const MAX_MESSAGE_BYTES: usize = 4096;

/// Where a process says that it is ready: a socket of its own.
///
/// Read for as long as it lives, since whoever writes to a full one is held up.
#[derive(Debug)]
pub(crate) struct Notified {
    said: watch::Receiver<Said>,
    path: TempPath,
    _reading: AbortOnDropHandle<()>,
}

/// What it has said so far.
#[derive(Debug, Default)]
struct Said {
    is_ready: bool,
    /// By `MAINPID=`.
    main: Option<MainProcess>,
    /// Who has said `READY=1`.
    sender: Option<MainProcess>,
}

/// Makes the folder for the sockets of all processes; whoever may outlive this process removes it as well.
///
/// A socket with an abstract address (`unix(7)`) would need none, but is out of reach from another network
/// namespace, as a server in a container is, and within reach of every user.
pub(crate) fn folder() -> io::Result<TempDir> {
    // Its mode is 0700, so only this user gets at the sockets.
    tempfile::Builder::new().prefix("server-dev-").tempdir()
}

impl Notified {
    /// Makes a socket in such a folder.
    pub(crate) fn new(folder: &Path) -> io::Result<Self> {
        // An address is short, see sun_path in unix(7).
        let named =
            tempfile::Builder::new().prefix("").make_in(folder, |path| UnixDatagram::bind(path))?;
        let (socket, path) = named.into_parts();
        // Before anybody knows where it is.
        setsockopt(&socket, PassCred, &true)?;
        let (tell, said) = watch::channel(Said::default());
        let reading = AbortOnDropHandle::new(tokio::spawn(read(socket, tell)));
        Ok(Self { said, path, _reading: reading })
    }

    /// What `NOTIFY_SOCKET` is to say.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Waits for `READY=1`.
    pub(super) async fn told(&self) {
        if self.said.clone().wait_for(|said| said.is_ready).await.is_err() {
            // It can't be heard any more; it is still seen.
            std::future::pending::<()>().await;
        }
    }

    /// Which process serves, if anybody has said so.
    pub(crate) fn main(&self) -> Option<MainProcess> {
        let said = self.said.borrow();
        said.main.clone().or_else(|| said.sender.clone())
    }
}

async fn read(socket: UnixDatagram, tell: watch::Sender<Said>) {
    let mut message = [0; MAX_MESSAGE_BYTES];
    loop {
        let received = socket.async_io(Interest::READABLE, || receive(&socket, &mut message)).await;
        let Ok((length, sender)) = received else { return };
        for line in message[..length].split(|&byte| byte == b'\n') {
            if line == b"READY=1" {
                tell.send_modify(|said| {
                    said.is_ready = true;
                    said.sender = sender.and_then(MainProcess::of);
                });
            } else if let Some(main) = main_pid(line) {
                tell.send_modify(|said| said.main = MainProcess::of(main));
            }
        }
    }
}

/// A message, and who has sent it, see `SCM_CREDENTIALS` in unix(7).
fn receive(socket: &UnixDatagram, message: &mut [u8]) -> io::Result<(usize, Option<Pid>)> {
    let mut space = cmsg_space!(UnixCredentials);
    let (mut into, flags) = ([IoSliceMut::new(message)], MsgFlags::MSG_CMSG_CLOEXEC);
    let received = recvmsg::<UnixAddr>(socket.as_raw_fd(), &mut into, Some(&mut space), flags)?;
    // Descriptors that somebody has sent as well have no room, and are closed by the kernel.
    let sender = received.cmsgs()?.find_map(|with| match with {
        // 0 for one that is outside the PID namespace.
        ControlMessageOwned::ScmCredentials(sender) => Pid::from_raw(sender.pid()),
        _ => None,
    });
    Ok((received.bytes, sender))
}

/// Of a line that says which process serves.
fn main_pid(line: &[u8]) -> Option<Pid> {
    let number = std::str::from_utf8(line.strip_prefix(b"MAINPID=")?).ok()?.parse().ok()?;
    if number > 1 { Pid::from_raw(number) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_which_process_serves() {
        for (line, want) in [
            ("MAINPID=77", Pid::from_raw(77)),
            ("MAINPID=1", None),
            ("MAINPID=-77", None),
            ("MAINPID=x", None),
            ("READY=1", None),
        ] {
            assert_eq!(main_pid(line.as_bytes()), want, "{line}");
        }
    }
}

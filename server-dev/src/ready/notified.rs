//! What a process says of itself, see `sd_notify(3)`.

use std::{
    io::{self, IoSliceMut},
    os::fd::{AsRawFd, RawFd},
    path::{Path, PathBuf},
    time::Duration,
};

use nix::{
    cmsg_space,
    sys::socket::{ControlMessageOwned, MsgFlags, UnixAddr, UnixCredentials, recvmsg},
    unistd::close,
};
use rustix::process::{Pid, Uid, geteuid};
use tempfile::TempPath;
use tokio::{io::Interest, net::UnixDatagram, sync::watch, time::sleep};
use tokio_util::task::AbortOnDropHandle;

use super::{
    MainProcess,
    place::{Made, Place},
};

/// Longer than any message of `sd_notify(3)`.
const MAX_MESSAGE_BYTES: usize = 4096;
/// What one message may bring, see `SCM_RIGHTS` in `unix(7)`.
const MAX_DESCRIPTORS: usize = 253;
/// The pause after a message that can't be had, as for want of memory.
const READ_PAUSE: Duration = Duration::from_millis(50);

/// Where a process says that it is ready: a socket of its own.
///
/// Read for as long as it lives, since whoever writes to a full one is held up.
#[derive(Debug)]
pub(crate) struct Notified(Option<NotifySocket>);

#[derive(Debug)]
struct NotifySocket {
    said: watch::Receiver<Said>,
    name: PathBuf,
    /// Removed with it.
    _file: Option<TempPath>,
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

impl Notified {
    /// Makes a socket in such a place.
    pub(crate) fn new(place: &Place) -> io::Result<Self> {
        let Some(Made { socket, name, file }) = place.make()? else { return Ok(Self(None)) };
        socket.set_nonblocking(true)?;
        let socket = UnixDatagram::from_std(socket)?;
        let (tell, said) = watch::channel(Said::default());
        let reading = AbortOnDropHandle::new(tokio::spawn(read(socket, file.is_none(), tell)));
        Ok(Self(Some(NotifySocket { said, name, _file: file, _reading: reading })))
    }

    /// What `NOTIFY_SOCKET` is to say, where there is one.
    pub(crate) fn name(&self) -> Option<&Path> {
        self.0.as_ref().map(|heard| heard.name.as_path())
    }

    /// Waits for `READY=1`.
    pub(super) async fn told(&self) {
        let is_told = match &self.0 {
            Some(heard) => heard.said.clone().wait_for(|said| said.is_ready).await.is_ok(),
            None => false,
        };
        if !is_told {
            // It can't be heard; it is still seen.
            std::future::pending::<()>().await;
        }
    }

    /// Which process serves, if anybody has said so.
    pub(crate) fn main(&self) -> Option<MainProcess> {
        let said = self.0.as_ref()?.said.borrow();
        said.main.clone().or_else(|| said.sender.clone())
    }
}

/// Whose a message is.
#[derive(Debug, PartialEq, Eq)]
struct Sender {
    /// None for one that is outside the PID namespace.
    process: Option<Pid>,
    user: Uid,
}

/// Reads what is written there, by anybody where it `is_open`.
async fn read(socket: UnixDatagram, is_open: bool, tell: watch::Sender<Said>) {
    let mut message = [0; MAX_MESSAGE_BYTES];
    loop {
        let received = socket.async_io(Interest::READABLE, || receive(&socket, &mut message)).await;
        let Ok((length, from)) = received else {
            sleep(READ_PAUSE).await;
            continue;
        };
        if is_open && !is_trusted(from.as_ref().map(|from| from.user), geteuid()) {
            continue;
        }
        for line in message[..length].split(|&byte| byte == b'\n') {
            if line == b"READY=1" {
                tell.send_modify(|said| {
                    said.is_ready = true;
                    let process = from.as_ref().and_then(|from| from.process);
                    said.sender = process.and_then(MainProcess::of);
                });
            } else if let Some(main) = main_pid(line) {
                tell.send_modify(|said| said.main = MainProcess::of(main));
            }
        }
    }
}

/// Whether it is of this user, or of one who may do as much.
fn is_trusted(from: Option<Uid>, ours: Uid) -> bool {
    from.is_some_and(|from| from == ours || from.is_root())
}

/// Takes a message, and whose it is by `SCM_CREDENTIALS`, see `unix(7)`.
///
/// Descriptors that come with it are closed: by `BARRIER=1` somebody waits for that, and nix returns nothing
/// at all where there is no room for them.
fn receive(socket: &UnixDatagram, message: &mut [u8]) -> io::Result<(usize, Option<Sender>)> {
    // Not by rustix, which takes a process for a number that is not 0.
    let mut space = cmsg_space!(UnixCredentials, [RawFd; MAX_DESCRIPTORS]);
    let (mut into, flags) = ([IoSliceMut::new(message)], MsgFlags::MSG_CMSG_CLOEXEC);
    let received = recvmsg::<UnixAddr>(socket.as_raw_fd(), &mut into, Some(&mut space), flags)?;
    let mut from = None;
    // Where it fails, it is not known whose it is.
    for with in received.cmsgs().into_iter().flatten() {
        match with {
            ControlMessageOwned::ScmCredentials(its) => {
                let (process, user) = (Pid::from_raw(its.pid()), Uid::from_raw(its.uid()));
                from = Some(Sender { process, user });
            }
            ControlMessageOwned::ScmRights(descriptors) => {
                for descriptor in descriptors {
                    // It was open.
                    let _ = close(descriptor);
                }
            }
            _ => {}
        }
    }
    Ok((received.bytes, from))
}

/// Of a line that says which process serves.
fn main_pid(line: &[u8]) -> Option<Pid> {
    let number = std::str::from_utf8(line.strip_prefix(b"MAINPID=")?).ok()?.parse().ok()?;
    if number > 1 { Pid::from_raw(number) } else { None }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustix::process::getpid;
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn an_abstract_socket_knows_who_writes() {
        let made = Place::Abstract.make().unwrap().unwrap();
        made.socket.set_nonblocking(true).unwrap();
        let at = made.socket.local_addr().unwrap();
        let socket = UnixDatagram::from_std(made.socket).unwrap();
        std::os::unix::net::UnixDatagram::unbound().unwrap().send_to_addr(b"one", &at).unwrap();
        let mut message = [0; 8];
        let receives = socket.async_io(Interest::READABLE, || receive(&socket, &mut message));
        let message = timeout(Duration::from_secs(60), receives).await.unwrap().unwrap();
        let sender = Sender { process: Some(getpid()), user: geteuid() };
        assert_eq!(message, (3, Some(sender)));
    }

    #[test]
    fn only_this_user_and_root_are_trusted() {
        let [root, ours, other] = [0, 1000, 1001].map(Uid::from_raw);
        for (from, want) in
            [(Some(ours), true), (Some(root), true), (Some(other), false), (None, false)]
        {
            assert_eq!(is_trusted(from, ours), want, "{from:?}");
        }
    }

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

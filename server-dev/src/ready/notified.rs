//! What a process says of itself, see `sd_notify(3)`.

use std::{
    io::{self, IoSliceMut},
    mem::MaybeUninit,
    path::{Path, PathBuf},
};

use rustix::{
    cmsg_space,
    net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg},
    process::{Uid, geteuid},
};
use tempfile::TempPath;
use tokio::{io::Interest, net::UnixDatagram, sync::watch};
use tokio_util::task::AbortOnDropHandle;

use super::place::{Made, Place};

/// Longer than any message of `sd_notify(3)`.
const MAX_MESSAGE_BYTES: usize = 4096;

/// Where a process says that it is ready: a socket of its own.
///
/// Read for as long as it lives, since whoever writes to a full one is held up.
#[derive(Debug)]
pub(crate) struct Notified(Option<Heard>);

#[derive(Debug)]
struct Heard {
    is_ready: watch::Receiver<bool>,
    name: PathBuf,
    /// Removed with it.
    _file: Option<TempPath>,
    _reading: AbortOnDropHandle<()>,
}

impl Notified {
    /// Makes a socket in such a place.
    pub(crate) fn new(place: &Place) -> io::Result<Self> {
        let Some(Made { socket, name, file }) = place.make()? else { return Ok(Self(None)) };
        socket.set_nonblocking(true)?;
        let socket = UnixDatagram::from_std(socket)?;
        let (tell, is_ready) = watch::channel(false);
        let reading = AbortOnDropHandle::new(tokio::spawn(read(socket, file.is_none(), tell)));
        Ok(Self(Some(Heard { is_ready, name, _file: file, _reading: reading })))
    }

    /// What `NOTIFY_SOCKET` is to say, where there is one.
    pub(crate) fn name(&self) -> Option<&Path> {
        self.0.as_ref().map(|heard| heard.name.as_path())
    }

    /// Waits for `READY=1`.
    pub(super) async fn told(&self) {
        let is_told = match &self.0 {
            Some(heard) => heard.is_ready.clone().wait_for(|is_ready| *is_ready).await.is_ok(),
            None => false,
        };
        if !is_told {
            // It can't be heard; it is still seen.
            std::future::pending::<()>().await;
        }
    }
}

/// Reads what is written there, by anybody where it `is_open`.
async fn read(socket: UnixDatagram, is_open: bool, tell: watch::Sender<bool>) {
    let mut message = [0; MAX_MESSAGE_BYTES];
    while let Ok((length, from)) =
        socket.async_io(Interest::READABLE, || receive(&socket, &mut message)).await
    {
        let is_heard = !is_open || is_trusted(from, geteuid());
        let mut lines = message[..length].split(|&byte| byte == b'\n');
        if is_heard && lines.any(|line| line == b"READY=1") {
            // Nobody may wait for it any more.
            let _ = tell.send(true);
        }
    }
}

/// Whether it is of this user, or of one who may do as much.
fn is_trusted(from: Option<Uid>, ours: Uid) -> bool {
    from.is_some_and(|from| from == ours || from.is_root())
}

/// Takes a message, and whose it is by `SCM_CREDENTIALS`, see `unix(7)`.
fn receive(socket: &UnixDatagram, message: &mut [u8]) -> io::Result<(usize, Option<Uid>)> {
    // There is no room for descriptors, so the kernel drops those.
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmCredentials(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut message = [IoSliceMut::new(message)];
    let received = recvmsg(socket, &mut message, &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let from = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmCredentials(from) => Some(from.uid),
        _ => None,
    });
    Ok((received.bytes, from))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
        assert_eq!(message, (3, Some(geteuid())));
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
}

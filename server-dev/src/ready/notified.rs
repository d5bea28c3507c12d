//! What a process says of itself, see `sd_notify(3)`.

use std::{io, path::Path};

use tempfile::{TempDir, TempPath};
use tokio::{net::UnixDatagram, sync::watch};
use tokio_util::task::AbortOnDropHandle;

/// Longer than any message of `sd_notify(3)`.
const MAX_MESSAGE_BYTES: usize = 4096;

/// Where a process says that it is ready: a socket of its own.
///
/// Read for as long as it lives, since whoever writes to a full one is held up.
#[derive(Debug)]
pub(crate) struct Notified {
    is_ready: watch::Receiver<bool>,
    path: TempPath,
    _reading: AbortOnDropHandle<()>,
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
        let (tell, is_ready) = watch::channel(false);
        let reading = AbortOnDropHandle::new(tokio::spawn(read(socket, tell)));
        Ok(Self { is_ready, path, _reading: reading })
    }

    /// What `NOTIFY_SOCKET` is to say.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Waits for `READY=1`.
    pub(super) async fn told(&self) {
        if self.is_ready.clone().wait_for(|is_ready| *is_ready).await.is_err() {
            // It can't be heard any more; it is still seen.
            std::future::pending::<()>().await;
        }
    }
}

async fn read(socket: UnixDatagram, tell: watch::Sender<bool>) {
    let mut message = [0; MAX_MESSAGE_BYTES];
    while let Ok(length) = socket.recv(&mut message).await {
        if message[..length].split(|&byte| byte == b'\n').any(|line| line == b"READY=1") {
            // Nobody may wait for it any more.
            let _ = tell.send(true);
        }
    }
}

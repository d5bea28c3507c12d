//! Addresses that are listened on.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::{
    address::Address,
    error::BindError,
    inherit,
    plan::Spot,
    role::Role,
    socket::{self, Listener},
};

/// An address that is listened on.
pub(super) struct Open {
    pub(super) spot: Spot,
    /// As it was bound.
    pub(super) local: Address,
    pub(super) listener: Arc<Listener>,
    /// Whether somebody else has bound it, who says how long it lasts.
    pub(super) is_foreign: bool,
    /// Removed once nobody listens on it.
    pub(super) file: Option<SocketFile>,
    pub(super) stop: CancellationToken,
    pub(super) accepting: JoinHandle<()>,
}

/// An address that is bound, and not listened on yet.
pub(super) struct Bound {
    pub(super) spot: Spot,
    pub(super) local: Address,
    pub(super) listener: Listener,
    pub(super) owner: Owner,
}

/// Who has bound an address.
pub(super) enum Owner {
    /// This process, and has made this file of it.
    This(Option<SocketFile>),
    /// The process that this one takes the place of: until then the file is that one's.
    Predecessor,
    /// Somebody else, who says how long it lasts.
    Foreign,
}

/// A socket of the file system, which outlives who has bound it (unix(7)).
pub(super) struct SocketFile(Option<PathBuf>);

impl SocketFile {
    pub(super) fn new(path: &Path) -> Self {
        Self(Some(path.to_owned()))
    }

    /// Leaves it where it is.
    pub(super) fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            socket::unlink(path);
        }
    }
}

impl Open {
    /// The name that another process knows its socket by.
    pub(super) fn name(&self) -> String {
        let (role, address) = &self.spot;
        if self.is_foreign { role.to_string() } else { inherit::name_of(*role, address) }
    }

    /// Stops listening; the address is free once it returns.
    pub(super) async fn close(self) {
        self.stop.cancel();
        // It ends by `stop`, and had it panicked, it would have let go of the socket as well.
        let _ = self.accepting.await;
        // First, so that it is not somebody else's by then.
        drop(self.file);
        drop(self.listener);
        info!(address = %self.local, "closed");
    }
}

/// Binds an address of which others, that are about to be closed, may hold a part.
pub(super) fn bind(
    role: Role,
    address: &Address,
    leaving: &[&Open],
) -> Result<Listener, BindError> {
    let in_the_way: Vec<&Listener> = leaving
        .iter()
        .filter(|open| {
            open.local == *address || open.local.covers(address) || address.covers(&open.local)
        })
        .map(|open| &*open.listener)
        .collect();
    match address {
        Address::Tcp(tcp) if !in_the_way.is_empty() => socket::bind_beside(*tcp, &in_the_way),
        _ => socket::bind(address, role),
    }
}

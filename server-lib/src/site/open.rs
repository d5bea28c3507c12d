//! Addresses that are listened on.

use std::sync::{Arc, Weak};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    address::Address,
    error::BindError,
    inherit,
    plan::Spot,
    role::Role,
    socket::{self, Listener, SocketFile},
};

/// An address that is listened on.
pub(super) struct Open {
    pub(super) spot: Spot,
    /// As it was bound.
    pub(super) local: Address,
    /// Who accepts has the only lasting one, to let go of it with the last connection.
    pub(super) listener: Weak<Listener>,
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

impl Open {
    /// The name that another process knows its socket by.
    pub(super) fn name(&self) -> String {
        let (role, address) = &self.spot;
        if self.is_foreign { role.to_string() } else { inherit::name_of(*role, address) }
    }

    /// Whether some connections to one would come in by the other.
    pub(super) fn overlaps(&self, address: &Address) -> bool {
        self.local == *address || self.local.covers(address) || address.covers(&self.local)
    }

    /// Leaves new connections to another that listens on the same address by now; those that have
    /// begun are accepted still.
    pub(super) fn give_way(&self) {
        if let Some(Err(error)) = self.listener.upgrade().map(|listener| listener.ignore_new()) {
            warn!(%error, address = %self.local, "new connections may be lost as it closes");
        }
    }

    /// Stops listening.
    pub(super) fn stop(&mut self) {
        // First, so that it is not somebody else's by then.
        drop(self.file.take());
        self.stop.cancel();
    }

    /// Stops listening; the address is free once it returns.
    pub(super) async fn close(mut self) {
        self.stop();
        // It ends by `stop`, and had it panicked, it would have let go of the socket as well.
        let _ = self.accepting.await;
        info!(address = %self.local, "closed");
    }
}

/// Binds an address of which others, that are about to be closed, may hold a part.
pub(super) fn bind(
    role: Role,
    address: &Address,
    leaving: &[&Open],
) -> Result<(Listener, Option<SocketFile>), BindError> {
    let in_the_way: Vec<Arc<Listener>> = leaving
        .iter()
        .filter(|open| open.overlaps(address))
        .filter_map(|open| open.listener.upgrade())
        .collect();
    match address {
        Address::Tcp(tcp) if !in_the_way.is_empty() => {
            Ok((socket::bind_beside(*tcp, &in_the_way)?, None))
        }
        _ => socket::bind(address, role),
    }
}

//! Addresses that are listened on.

use std::sync::{Arc, Weak};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    address::Address,
    endpoint::Endpoint,
    error::BindError,
    inherit,
    socket::{self, Listener, SocketFile},
};

/// An address that is listened on.
pub(super) struct Open {
    pub(super) endpoint: Endpoint,
    /// As it was bound.
    pub(super) local: Address,
    /// Who accepts has the only lasting one, to let go of it with the last connection.
    pub(super) listener: Weak<Listener>,
    pub(super) owner: Owner,
    pub(super) stop: CancellationToken,
    pub(super) accepting: JoinHandle<()>,
}

/// An address that is bound, and not listened on yet.
pub(super) struct Bound {
    pub(super) endpoint: Endpoint,
    pub(super) local: Address,
    /// Before the listener: a file goes first, so that it is not somebody else's by then.
    pub(super) owner: Owner,
    pub(super) listener: Listener,
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

impl Owner {
    pub(super) fn is_foreign(&self) -> bool {
        matches!(self, Self::Foreign)
    }

    pub(super) fn is_predecessor(&self) -> bool {
        matches!(self, Self::Predecessor)
    }

    /// Who has it once it is in use here.
    pub(super) fn in_use(self, local: &Address) -> Self {
        match self {
            Self::Predecessor => Self::This(local.path().map(SocketFile::new)),
            same => same,
        }
    }

    /// Takes the file out, where it is to be removed once nobody listens on it.
    pub(super) fn take_file(&mut self) -> Option<SocketFile> {
        match self {
            Self::This(file) => file.take(),
            Self::Predecessor | Self::Foreign => None,
        }
    }
}

impl Open {
    /// The name that another process knows its socket by.
    pub(super) fn name(&self) -> String {
        if self.owner.is_foreign() {
            self.endpoint.role.to_string()
        } else {
            inherit::name_of(&self.endpoint)
        }
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
        drop(self.owner.take_file());
        self.stop.cancel();
    }

    /// Stops listening; the address is free once it returns.
    pub(super) async fn close(self) {
        let address = self.end().await;
        info!(%address, "closed");
    }

    /// Stops listening, where another process goes on.
    pub(super) async fn hand_over(self) {
        let address = self.end().await;
        info!(%address, "handed over");
    }

    async fn end(mut self) -> Address {
        self.stop();
        // It ends by `stop`, and had it panicked, it would have let go of the socket as well.
        let _ = self.accepting.await;
        self.local
    }
}

/// Binds an address of which others, that are about to be closed, may hold a part.
pub(super) fn bind(
    at: &Endpoint,
    leaving: &[&Open],
) -> Result<(Listener, Option<SocketFile>), BindError> {
    let in_the_way: Vec<Arc<Listener>> = leaving
        .iter()
        .filter(|open| open.overlaps(&at.address))
        .filter_map(|open| open.listener.upgrade())
        .collect();
    match &at.address {
        Address::Tcp(tcp) if !in_the_way.is_empty() => {
            Ok((socket::bind_beside(*tcp, &in_the_way)?, None))
        }
        _ => socket::bind(at),
    }
}

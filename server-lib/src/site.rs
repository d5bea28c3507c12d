//! What a server has open to the world.

use std::{error::Error, net::SocketAddr, sync::Arc};

use axum::Router;
use tokio::{net::TcpListener, runtime::Handle, task::JoinHandle};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};
use tracing::info;

use crate::{
    accept::Door,
    config::{InvalidConfig, ServerConfig, covers},
    error::BindError,
    live::{Applied, Live},
    plan::Plan,
    router::router,
    socket,
};

/// The configuration in use and the listeners it asks for, always both of the same generation.
///
/// Dropped, it stops accepting at once, and its connections end by themselves as in
/// [`drain`](Self::drain).
pub(crate) struct Site {
    live: Arc<Live>,
    router: Router,
    runtime: Handle,
    listeners: Vec<Listener>,
    /// Accepting and serving, so that the end of all of it can be awaited.
    tasks: TaskTracker,
    stop: CancellationToken,
    _stop_on_drop: DropGuard,
}

/// Why a configuration can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error(transparent)]
    Invalid(#[from] InvalidConfig),
    #[error(transparent)]
    Bind(#[from] BindError),
}

/// What became of a configuration.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It is in use from now on.
    Applied,
    /// It says what the one in use says.
    Unchanged,
    /// The one before goes on in every part.
    Refused(Refused),
}

struct Listener {
    /// As it is configured.
    address: SocketAddr,
    /// As it was bound.
    local: SocketAddr,
    socket: Arc<TcpListener>,
    stop: CancellationToken,
    accepting: JoinHandle<()>,
}

struct Bound {
    address: SocketAddr,
    local: SocketAddr,
    socket: TcpListener,
}

impl Site {
    /// Opens with a first configuration.
    pub(crate) fn open(applied: Applied, runtime: Handle) -> Result<Self, BindError> {
        let bound = bind_all(&applied.config.listen_addresses, &[], &runtime)?;
        let live = Arc::new(Live::from_pointee(applied));
        let stop = CancellationToken::new();
        let mut site = Self {
            router: router(Arc::clone(&live)),
            live,
            runtime,
            listeners: Vec::new(),
            tasks: TaskTracker::new(),
            _stop_on_drop: stop.clone().drop_guard(),
            stop,
        };
        site.listen(bound);
        Ok(site)
    }

    /// Puts a configuration in place, as a whole or not at all.
    ///
    /// # Cancel safety
    ///
    /// Once the new configuration is in place it stays; addresses that are no longer wanted are
    /// closed even then.
    pub(crate) async fn offer(&mut self, config: ServerConfig, generation: u64) -> Outcome {
        let current = self.live.load_full();
        if config == current.config {
            return Outcome::Unchanged;
        }
        let changed = current.config.changed_parts(&config);
        let plan = Plan::between(&self.addresses(), &config.listen_addresses);
        let (applied, bound) = match self.prepare(config, generation, &plan) {
            Ok(prepared) => prepared,
            Err(refused) => return Outcome::Refused(refused),
        };
        self.live.store(Arc::new(applied));
        self.listen(bound);
        info!(generation, ?changed, "in use");
        self.close(&plan.drop).await;
        Outcome::Applied
    }

    /// Returns the addresses that are listened on, in the order of the configuration.
    pub(crate) fn local_addresses(&self) -> Vec<SocketAddr> {
        let live = self.live.load();
        let local = |address: &SocketAddr| {
            self.listeners.iter().find(|listener| listener.address == *address)
        };
        live.config.listen_addresses.iter().filter_map(local).map(|found| found.local).collect()
    }

    pub(crate) fn generation(&self) -> u64 {
        self.live.load().generation
    }

    /// Closes every address and waits for the requests under way, at most the drain timeout.
    pub(crate) async fn drain(mut self) {
        let limit = self.live.load().config.drain_timeout();
        self.stop.cancel();
        self.tasks.close();
        // The addresses are free for whoever comes next, before the last request is answered.
        let listeners = std::mem::take(&mut self.listeners);
        for Listener { accepting, .. } in listeners {
            // It ends by `stop`, and had it panicked, it would have let go of the socket as well.
            let _ = accepting.await;
        }
        if !self.tasks.is_empty() {
            info!(connections = self.tasks.len(), ?limit, "waiting for requests under way");
        }
        self.tasks.wait().await;
    }

    /// Does all that may fail, and changes nothing.
    fn prepare(
        &self,
        config: ServerConfig,
        generation: u64,
        plan: &Plan,
    ) -> Result<(Applied, Vec<Bound>), Refused> {
        let applied = Applied::new(config, generation)?;
        let leaving: Vec<_> =
            self.listeners.iter().filter(|open| plan.drop.contains(&open.address)).collect();
        Ok((applied, bind_all(&plan.add, &leaving, &self.runtime)?))
    }

    fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().map(|listener| listener.address).collect()
    }

    fn listen(&mut self, bound: Vec<Bound>) {
        for Bound { address, local, socket } in bound {
            let socket = Arc::new(socket);
            info!(address = %local, "listening");
            let stop = self.stop.child_token();
            let door = Door {
                socket: Arc::clone(&socket),
                router: self.router.clone(),
                live: Arc::clone(&self.live),
                connections: self.tasks.clone(),
                stop: stop.clone(),
            };
            let accepting = self.tasks.spawn_on(door.attend(), &self.runtime);
            self.listeners.push(Listener { address, local, socket, stop, accepting });
        }
    }

    /// Stops listening on `addresses`; they are free when it returns.
    async fn close(&mut self, addresses: &[SocketAddr]) {
        let (gone, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut self.listeners)
            .into_iter()
            .partition(|listener| addresses.contains(&listener.address));
        self.listeners = kept;
        for listener in &gone {
            listener.stop.cancel();
        }
        for Listener { local, socket, accepting, .. } in gone {
            // It ends by `stop`, and had it panicked, it would have let go of the socket as well.
            let _ = accepting.await;
            drop(socket);
            info!(address = %local, "closed");
        }
    }
}

impl Refused {
    /// Whether the reason lies outside the configuration, so that it may pass.
    pub(crate) fn may_pass(&self) -> bool {
        matches!(self, Self::Bind(_))
    }

    pub(crate) fn reason(&self) -> String {
        crate::error::chain(self as &dyn Error)
    }
}

/// Binds every address or none; `leaving` are to be closed once this is done.
fn bind_all(
    addresses: &[SocketAddr],
    leaving: &[&Listener],
    runtime: &Handle,
) -> Result<Vec<Bound>, BindError> {
    // The sockets are to be polled by the runtime that serves them.
    let _within = runtime.enter();
    let bind = |&address| {
        let told = |cause| BindError::new(address, cause);
        let in_the_way: Vec<_> = leaving
            .iter()
            .filter(|open| {
                open.local == address || covers(open.local, address) || covers(address, open.local)
            })
            .map(|open| &*open.socket)
            .collect();
        let socket = if in_the_way.is_empty() {
            socket::bind(address)?
        } else {
            socket::bind_beside(address, &in_the_way)?
        };
        let socket = TcpListener::from_std(socket).map_err(told)?;
        let local = socket.local_addr().map_err(told)?;
        Ok(Bound { address, local, socket })
    };
    addresses.iter().map(bind).collect()
}

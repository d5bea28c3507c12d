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
    accept::accept,
    config::{InvalidConfig, ServerConfig},
    error::{BindError, ServerError},
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
    stop: CancellationToken,
    accepting: JoinHandle<()>,
}

struct Bound {
    address: SocketAddr,
    local: SocketAddr,
    listener: TcpListener,
}

impl Site {
    /// Opens with a first configuration.
    pub(crate) fn open(applied: Applied, runtime: Handle) -> Result<Self, BindError> {
        let bound = bind_all(&applied.config.listen_addresses, &runtime)?;
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
        let prepared = Applied::new(config, generation)
            .map_err(Refused::from)
            .and_then(|applied| Ok((applied, bind_all(&plan.add, &self.runtime)?)));
        let (applied, bound) = match prepared {
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
    pub(crate) async fn drain(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().map(|listener| listener.address).collect()
    }

    fn listen(&mut self, bound: Vec<Bound>) {
        for Bound { address, local, listener } in bound {
            info!(address = %local, "listening");
            let stop = self.stop.child_token();
            let accepting = self.tasks.spawn_on(
                accept(
                    listener,
                    self.router.clone(),
                    Arc::clone(&self.live),
                    self.tasks.clone(),
                    stop.clone(),
                ),
                &self.runtime,
            );
            self.listeners.push(Listener { address, local, stop, accepting });
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
        for listener in gone {
            // It ends by `stop`; had it panicked, its socket would be closed as well.
            let _ = listener.accepting.await;
            info!(address = %listener.local, "closed");
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

impl From<Refused> for ServerError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Invalid(error) => error.into(),
            Refused::Bind(error) => error.into(),
        }
    }
}

/// Binds every address or none.
fn bind_all(addresses: &[SocketAddr], runtime: &Handle) -> Result<Vec<Bound>, BindError> {
    // The sockets are to be polled by the runtime that serves them.
    let _within = runtime.enter();
    let bind = |&address| {
        let told = |cause| BindError::new(address, cause);
        let listener = TcpListener::from_std(socket::bind(address)?).map_err(told)?;
        let local = listener.local_addr().map_err(told)?;
        Ok(Bound { address, local, listener })
    };
    addresses.iter().map(bind).collect()
}

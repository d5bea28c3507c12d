//! What a server has open to the world.

mod admit;
mod drain;
mod open;
mod prepared;
mod tell;

use std::{
    io,
    os::unix::net::UnixStream,
    sync::{Arc, Mutex, OnceLock},
};

use axum::{Extension, Router};
use tokio::{
    runtime::Handle,
    sync::{oneshot, watch},
};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};
use tracing::info;

use self::open::{Bound, Open};
use crate::{
    accept::Acceptor,
    address::Address,
    admin::Asker,
    config::ServerConfig,
    error::ServerError,
    inherit::Inherited,
    limits::{ADMIN_CONNECTIONS, Slots},
    lock::lock,
    metrics::Metrics,
    role::Role,
    router,
    shared::Shared,
    status::ServerStatus,
    tls::Tls,
    upgrade,
};

/// The configuration in use and the listeners it asks for, always both of the same generation.
///
/// Dropped, it stops accepting at once, and its connections end by themselves as in
/// [`drain`](Self::drain).
pub(crate) struct Site {
    shared: Shared,
    router: Router,
    admin: Router,
    admin_slots: Arc<Slots>,
    tls: Tls,
    runtime: Handle,
    open: Mutex<Vec<Open>>,
    inherited: Mutex<Inherited>,
    /// The first configuration, whose parts that are not hot are in use to the end.
    first: OnceLock<ServerConfig>,
    /// Hears of the first configuration, if that is refused.
    refused_first: Mutex<Option<oneshot::Sender<ServerError>>>,
    status: watch::Sender<ServerStatus>,
    /// Held by each configuration from before it is looked at until it is in use or refused, and by
    /// whoever needs that none is.
    pub(crate) turn: Arc<tokio::sync::Mutex<()>>,
    /// Held while addresses are being closed that the next configuration may ask for.
    parting: Arc<tokio::sync::Mutex<()>>,
    /// Held while more is found out about a refusal, so that what hangs has one thread.
    explaining: Arc<tokio::sync::Mutex<()>>,
    /// Accepting and serving, so that the end of all of it can be awaited.
    tasks: TaskTracker,
    /// The same for whoever looks after the server.
    admin_tasks: TaskTracker,
    stop: CancellationToken,
    _stop_on_drop: DropGuard,
}

impl Site {
    /// Makes one with nothing open; the second part is why its first configuration is refused, if it
    /// is.
    pub(crate) fn new(
        routes: Router,
        admin: Router,
        shared: Shared,
        runtime: Handle,
        inherited: Inherited,
        status: watch::Sender<ServerStatus>,
    ) -> (Arc<Self>, oneshot::Receiver<ServerError>) {
        let stop = CancellationToken::new();
        let (refused_first, refused) = oneshot::channel();
        let site = Self {
            router: router::around(routes, &shared.live, &shared.metrics),
            tls: Tls::new(&shared.live, &status),
            shared,
            admin,
            admin_slots: Arc::new(Slots::of(Role::Admin.as_str())),
            runtime,
            open: Mutex::default(),
            inherited: Mutex::new(inherited),
            first: OnceLock::new(),
            refused_first: Mutex::new(Some(refused_first)),
            status,
            turn: Arc::default(),
            parting: Arc::default(),
            explaining: Arc::default(),
            tasks: TaskTracker::new(),
            admin_tasks: TaskTracker::new(),
            _stop_on_drop: stop.clone().drop_guard(),
            stop,
        };
        (Arc::new(site), refused)
    }

    pub(crate) fn generation(&self) -> u64 {
        self.shared.live.load().generation
    }

    /// Where the configuration in use has whoever looks after the server ask.
    pub(crate) fn admin_address(&self) -> Option<Address> {
        self.shared.live.load().config.admin_address.clone()
    }

    /// Returns the way to talk to the process that this one takes the place of, if there is one.
    pub(crate) fn predecessor(&self) -> Option<UnixStream> {
        lock(&self.inherited).predecessor()
    }

    /// Returns handles of every socket that is listened on, for another process to take over.
    pub(crate) fn sockets(&self) -> io::Result<Vec<upgrade::Named>> {
        let open = lock(&self.open);
        let listening = open.iter().filter_map(|one| Some((one.name(), one.listener.upgrade()?)));
        listening.map(|(name, listener)| Ok((name, listener.handle()?))).collect()
    }

    /// Leaves the sockets of the file system in their place, where another process listens on them.
    pub(crate) fn keep_files(&self) {
        for one in &mut *lock(&self.open) {
            if let Some(file) = one.owner.take_file() {
                file.keep();
            }
        }
    }

    fn listen(&self, bound: Bound) -> Open {
        let Bound { endpoint, local, owner, listener } = bound;
        let role = endpoint.role;
        let listener = Arc::new(listener);
        let weak = Arc::downgrade(&listener);
        let purpose = (role != Role::Http).then(|| role.as_str());
        let inherited = owner.is_foreign().then_some(true);
        let handed_over = owner.is_predecessor().then_some(true);
        info!(address = %local, purpose, inherited, handed_over, "listening");
        let owner = owner.in_use(&local);
        let stop = self.stop.child_token();
        let is_admin = role == Role::Admin;
        // Whoever looks after the server is no part of what is measured.
        let metrics =
            if is_admin { Arc::new(Metrics::none()) } else { Arc::clone(&self.shared.metrics) };
        let router = if is_admin {
            self.admin.clone().layer(Extension(Asker::at(&local)))
        } else {
            self.router.clone()
        };
        let tasks = if is_admin { &self.admin_tasks } else { &self.tasks };
        let acceptor = Acceptor {
            listener,
            router,
            live: Arc::clone(&self.shared.live),
            metrics,
            connections: tasks.clone(),
            // However many clients there are, whoever looks after the server gets through; and however
            // many look after it, there are descriptors for clients.
            slots: Arc::clone(if is_admin { &self.admin_slots } else { &self.shared.slots }),
            fixed: is_admin.then_some(ADMIN_CONNECTIONS),
            tls: (role == Role::Https).then(|| Arc::clone(&self.tls.config)),
            stop: stop.clone(),
        };
        let accepting = tasks.spawn_on(acceptor.run(), &self.runtime);
        Open { endpoint, local, listener: weak, owner, stop, accepting }
    }
}

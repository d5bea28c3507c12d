//! What a server has open to the world.

mod open;
mod prepared;

use std::{
    error::Error,
    io,
    os::unix::net::UnixStream,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use axum::Router;
use tokio::{
    runtime::Handle,
    sync::{oneshot, watch},
    time::timeout,
};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};
use tracing::{debug, info, warn};

use self::open::{Bound, Open, Owner, SocketFile, bind};
pub(crate) use self::prepared::Prepared;
use crate::{
    accept::Door,
    address::Address,
    admin::Admin,
    changes::Changes,
    config::{InvalidConfig, ServerConfig},
    error::BindError,
    inherit::Inherited,
    limits::Slots,
    live::{Applied, Live},
    lock::lock,
    metrics::Metrics,
    plan::{Plan, Spot},
    role::Role,
    router,
    status::{Refusal, ServerStatus},
    tls::{CertificateError, Tls},
    upgrade,
};

/// How long whoever looks after the server may take to read what was answered last: all else is over
/// by then.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// The configuration in use and the listeners it asks for, always both of the same generation.
///
/// Dropped, it stops accepting at once, and its connections end by themselves as in
/// [`drain`](Self::drain).
pub(crate) struct Site {
    live: Arc<Live>,
    changes: Arc<Changes>,
    metrics: Arc<Metrics>,
    router: Router,
    admin: Router,
    tls: Tls,
    runtime: Handle,
    open: Mutex<Vec<Open>>,
    inherited: Mutex<Inherited>,
    /// The first configuration, whose parts that are not hot are in use to the end.
    first: OnceLock<ServerConfig>,
    /// Hears of the first configuration, if that is refused.
    refused_first: Mutex<Option<oneshot::Sender<Refused>>>,
    status: watch::Sender<ServerStatus>,
    /// Those of the application's connections.
    slots: Arc<Slots>,
    /// Held by each configuration from before it is looked at until it is in use or refused, and by
    /// whoever needs that none is.
    pub(crate) turn: Arc<tokio::sync::Mutex<()>>,
    /// Held while addresses are being closed that the next configuration may ask for.
    parting: Arc<tokio::sync::Mutex<()>>,
    /// Accepting and serving, so that the end of all of it can be awaited.
    tasks: TaskTracker,
    /// The same for whoever looks after the server.
    admin_tasks: TaskTracker,
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
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error("an inherited socket can't be listened on")]
    Inherited(#[source] io::Error),
}

impl Site {
    /// Makes one with nothing open; the second part is why its first configuration is refused, if it
    /// is.
    pub(crate) fn new(
        routes: Router,
        admin: Admin,
        runtime: Handle,
        inherited: Inherited,
        slots: Arc<Slots>,
        status: watch::Sender<ServerStatus>,
    ) -> (Arc<Self>, oneshot::Receiver<Refused>) {
        let live = Arc::clone(&admin.live);
        let (changes, metrics) = (Arc::clone(&admin.changes), Arc::clone(&admin.metrics));
        let stop = CancellationToken::new();
        let (refused_first, refused) = oneshot::channel();
        let site = Self {
            router: router::around(routes, &live, &metrics),
            tls: Tls::new(&live, &status),
            live,
            changes,
            metrics,
            admin: admin.router(),
            runtime,
            open: Mutex::default(),
            inherited: Mutex::new(inherited),
            first: OnceLock::new(),
            refused_first: Mutex::new(Some(refused_first)),
            status,
            slots,
            turn: Arc::default(),
            parting: Arc::default(),
            tasks: TaskTracker::new(),
            admin_tasks: TaskTracker::new(),
            _stop_on_drop: stop.clone().drop_guard(),
            stop,
        };
        (Arc::new(site), refused)
    }

    /// Does all that may fail for a configuration, and changes nothing.
    pub(crate) async fn prepare(
        self: &Arc<Self>,
        config: ServerConfig,
        generation: u64,
    ) -> Result<Prepared, String> {
        drop(self.parting.lock().await);
        let loaded = self.load(config, generation).await;
        loaded.and_then(|applied| self.try_prepare(applied)).map_err(|refused| {
            let reason = crate::error::chain(&refused as &dyn Error);
            if self.generation() == 0 {
                // Nobody may be waiting for it any more.
                let _ = lock(&self.refused_first).take().map(|tell| tell.send(refused));
            }
            reason
        })
    }

    pub(crate) fn generation(&self) -> u64 {
        self.live.load().generation
    }

    /// Where the configuration in use has whoever looks after the server ask.
    pub(crate) fn admin_address(&self) -> Option<Address> {
        self.live.load().config.admin_address.clone()
    }

    /// Puts into the status which configuration is refused, if one is.
    pub(crate) fn tell_refusal(&self, refusal: Option<Refusal>) {
        self.status.send_if_modified(|status| {
            let is_news = status.refusal != refusal;
            // And not each time that it is tried again.
            if is_news && refusal.is_some() {
                self.metrics.refused();
            }
            status.refusal = refusal;
            is_news
        });
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
            if let Some(file) = one.file.take() {
                file.keep();
            }
        }
    }

    /// Closes every address and waits for the requests under way, at most the drain timeout.
    ///
    /// Whoever looks after the server can see it drain: theirs is closed last, unless the server
    /// `is_replaced` by another process that answers there already.
    pub(crate) async fn drain(&self, is_replaced: bool) {
        let limit = self.live.load().config.drain_timeout();
        let open = std::mem::take(&mut *lock(&self.open));
        let is_last = |one: &Open| one.spot.0 == Role::Admin && !is_replaced;
        let (admin, mut open): (Vec<Open>, Vec<Open>) = open.into_iter().partition(is_last);
        for one in &mut open {
            one.stop();
        }
        self.tasks.close();
        // The addresses are free for whoever comes next, before the last request is answered.
        for one in open {
            one.close().await;
        }
        self.status.send_modify(|status| status.local_addresses.clear());
        if !self.tasks.is_empty() {
            info!(connections = self.tasks.len(), ?limit, "waiting for requests under way");
        }
        self.tasks.wait().await;
        self.stop.cancel();
        self.admin_tasks.close();
        for one in admin {
            one.close().await;
        }
        self.status.send_modify(|status| status.admin_address = None);
        if timeout(LAST_ANSWERS, self.admin_tasks.wait()).await.is_err() {
            debug!("somebody who looks after the server doesn't read the last answer");
        }
    }

    /// Finds whatever comes from elsewhere than the configuration.
    async fn load(&self, config: ServerConfig, generation: u64) -> Result<Applied, Refused> {
        let mut applied = Applied::new(config, generation, &self.live.load())?;
        applied.certificates = self.tls.load(&applied.config.tls).await?;
        Ok(applied)
    }

    fn try_prepare(self: &Arc<Self>, applied: Applied) -> Result<Prepared, Refused> {
        // The sockets are to be polled by the runtime that serves them.
        let _within = self.runtime.enter();
        let open = lock(&self.open);
        let mut bound = Vec::new();
        let is_first = open.is_empty();
        if is_first {
            bound = self.foreign().map_err(Refused::Inherited)?;
        }
        let foreign = open.iter().filter(|one| one.is_foreign).map(|one| one.spot.0);
        let foreign: Vec<Role> = foreign.chain(bound.iter().map(|one| one.spot.0)).collect();
        if foreign.contains(&Role::Https) && applied.certificates.is_empty() {
            return Err(InvalidConfig::no_certificate().into());
        }
        let mut wanted = applied.config.spots();
        wanted.retain(|(role, _)| !foreign.contains(role));
        let ours: Vec<Spot> =
            open.iter().filter(|one| !one.is_foreign).map(|one| one.spot.clone()).collect();
        let plan = Plan::between(&ours, &wanted);
        let leaving: Vec<&Open> = open.iter().filter(|one| plan.drop.contains(&one.spot)).collect();
        for spot in plan.add {
            bound.push(self.bind(spot, &leaving)?);
        }
        Ok(Prepared { site: Arc::clone(self), applied, bound, leaving: plan.drop })
    }

    /// The sockets that others have bound.
    fn foreign(&self) -> io::Result<Vec<Bound>> {
        let foreign = lock(&self.inherited).foreign()?;
        foreign
            .into_iter()
            .map(|(role, listener)| {
                let local = listener.local_address()?;
                let spot = (role, local.clone());
                Ok(Bound { spot, local, listener, owner: Owner::Foreign })
            })
            .collect()
    }

    fn bind(&self, spot: Spot, leaving: &[&Open]) -> Result<Bound, BindError> {
        let (role, address) = &spot;
        let handed_over = lock(&self.inherited).handed_over(*role, address);
        let is_handed_over = handed_over.is_some();
        let listener = match handed_over {
            Some(listener) => listener,
            None => bind(*role, address, leaving)?,
        };
        let local =
            listener.local_address().map_err(|cause| BindError::new(address.clone(), cause))?;
        let owner = if is_handed_over {
            Owner::Predecessor
        } else {
            Owner::This(local.path().map(SocketFile::new))
        };
        Ok(Bound { spot, local, listener, owner })
    }

    fn listen(&self, bound: Bound) -> Open {
        let Bound { spot, local, listener, owner } = bound;
        let listener = Arc::new(listener);
        let weak = Arc::downgrade(&listener);
        let purpose = (spot.0 != Role::Http).then(|| spot.0.as_str());
        let is_foreign = matches!(owner, Owner::Foreign);
        let inherited = is_foreign.then_some(true);
        let handed_over = matches!(owner, Owner::Predecessor).then_some(true);
        info!(address = %local, purpose, inherited, handed_over, "listening");
        let file = match owner {
            Owner::This(file) => file,
            Owner::Predecessor => local.path().map(SocketFile::new),
            Owner::Foreign => None,
        };
        let stop = self.stop.child_token();
        let is_admin = spot.0 == Role::Admin;
        // Whoever looks after the server is no part of what is measured.
        let metrics = if is_admin { Arc::new(Metrics::none()) } else { Arc::clone(&self.metrics) };
        let tasks = if is_admin { &self.admin_tasks } else { &self.tasks };
        let door = Door {
            listener,
            router: if is_admin { &self.admin } else { &self.router }.clone(),
            live: Arc::clone(&self.live),
            metrics,
            connections: tasks.clone(),
            // However many clients there are, whoever looks after the server gets through.
            slots: (!is_admin).then(|| Arc::clone(&self.slots)),
            tls: (spot.0 == Role::Https).then(|| Arc::clone(&self.tls.config)),
            stop: stop.clone(),
        };
        let accepting = tasks.spawn_on(door.attend(), &self.runtime);
        Open { spot, local, listener: weak, is_foreign, file, stop, accepting }
    }

    /// Puts into the status what there is now.
    fn tell(&self) {
        let open = lock(&self.open);
        let Applied { config, certificates, generation, .. } = &**self.live.load();
        let needs_restart = self.first.get_or_init(|| config.clone()).restart_parts(config);
        self.status.send_modify(|status| {
            status.generation = *generation;
            if status.needs_restart != needs_restart {
                tell_restart(&needs_restart);
                status.needs_restart = needs_restart;
            }
            status.local_addresses = self.local_addresses(&open);
            status.certificates = certificates.status(&config.tls);
            status.admin_address =
                open.iter().find(|one| one.spot.0 == Role::Admin).map(|one| one.local.clone());
        });
    }

    /// The addresses that are listened on for the application, in the order of the configuration.
    fn local_addresses(&self, open: &[Open]) -> Vec<Address> {
        let listed = self.live.load().config.spots();
        let place = |one: &&Open| listed.iter().position(|spot| *spot == one.spot);
        let mut all: Vec<&Open> = open.iter().filter(|one| one.spot.0 != Role::Admin).collect();
        all.sort_by_key(place);
        all.into_iter().map(|one| one.local.clone()).collect()
    }
}

fn tell_restart(parts: &[&str]) {
    if parts.is_empty() {
        info!("needs no restart any more");
    } else {
        warn!("needs a restart: {}", parts.join(", "));
    }
}

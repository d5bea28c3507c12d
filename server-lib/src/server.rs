//! The server.

use std::{borrow::Cow, error::Error, fmt::Display, future::pending, pin::pin, sync::Arc};

use hot_reload::{
    RealtimeWatch, Reason, Reload, ReloadResult, ReloaderHandle, ReloaderService, Status,
};
use tokio::{
    runtime::Handle,
    sync::{Semaphore, oneshot},
};
use tracing::{info, warn};

use crate::{
    admin::Admin,
    config::ServerConfig,
    context::ServerContext,
    daemon::Daemon,
    error::ServerError,
    limits::ADMIN_READERS,
    lock::lock,
    metrics::Exporter,
    shared::Shared,
    site::Site,
    status::Refusal,
    systemd::{ask_for_time, tell_stopping},
};

/// An HTTP server that answers from a live configuration.
///
/// It runs for as long as its entrypoint is polled, and ends when its
/// [shutdown](ServerContext::shutdown) is cancelled. `V` is whatever the reloader service loads; a
/// value that makes the same [`ServerConfig`] as the one in use opens and closes nothing.
#[derive(Debug)]
pub struct Server<V, S = &'static str> {
    /// What it runs in.
    pub context: Arc<ServerContext<V, S>>,
}

impl<V, S> Server<V, S> {
    /// Makes a server; nothing is opened before an entrypoint runs.
    pub fn new(context: impl Into<Arc<ServerContext<V, S>>>) -> Self {
        Self { context: context.into() }
    }
}

/// What a service calls this part of the program, when it refuses a value.
const PART: &str = "server";

impl<V, S> Server<V, S>
where
    V: Into<ServerConfig> + Eq + Clone + Send + Sync + 'static,
    S: Into<Cow<'static, str>> + Display + Send + Sync + 'static,
{
    /// Runs the server and a service that polls, until shutdown.
    ///
    /// It waits for a first configuration, however long it takes. From then on no configuration
    /// ends it: one that can't work is refused as a whole by the service's
    /// [`prepare`](ReloaderService::prepare), said so in the [status](ServerContext::status) and the
    /// log, and tried again while the source holds it.
    ///
    /// # Errors
    ///
    /// When the first configuration can't work, or an inherited socket can't be listened on; when the
    /// service ends before it has a configuration, or was made for events: that takes
    /// [`entrypoint_with_realtime`](Self::entrypoint_with_realtime). Of a
    /// [daemon](crate::ServerContextBuilder::daemon) also when its signals can't be listened to.
    ///
    /// # Panics
    ///
    /// When it is polled outside of a runtime of tokio with I/O and time.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops the service and closes every address at once; requests under way
    /// finish on the runtime within the drain timeout.
    pub async fn entrypoint<T>(&self, service: ReloaderService<T, V, S>) -> Result<(), ServerError>
    where
        T: Reload<V, S> + Clone,
    {
        let (site, refused) = self.open(service.handle());
        let service = self.admitted_by(&site, service);
        self.serve(&site, refused, service.handle(), service.start()).await
    }

    /// Runs the server and a service of any strategy, until shutdown.
    ///
    /// As [`entrypoint`](Self::entrypoint) in everything else.
    ///
    /// # Errors
    ///
    /// As those of [`entrypoint`](Self::entrypoint), save that a service may be made for events.
    ///
    /// # Panics
    ///
    /// As [`entrypoint`](Self::entrypoint).
    ///
    /// # Cancel safety
    ///
    /// As [`entrypoint`](Self::entrypoint).
    pub async fn entrypoint_with_realtime<T>(
        &self,
        service: ReloaderService<T, V, S>,
    ) -> Result<(), ServerError>
    where
        T: RealtimeWatch<V, S> + Clone,
    {
        let (site, refused) = self.open(service.handle());
        let service = self.admitted_by(&site, service);
        self.serve(&site, refused, service.handle(), service.start_with_realtime()).await
    }

    /// Has each value of `service` pass `site`.
    fn admitted_by<T>(
        &self,
        site: &Arc<Site>,
        service: ReloaderService<T, V, S>,
    ) -> ReloaderService<T, V, S>
    where
        T: Reload<V, S> + Clone,
    {
        let (site, explain) = (Arc::clone(site), self.context.explain.clone());
        service.in_turn(Arc::clone(&site.turn)).prepare(PART, move |candidate| {
            let (site, explain) = (Arc::clone(&site), explain.clone());
            async move {
                let mut config: ServerConfig = V::clone(&candidate.new).into();
                let mut explain = explain;
                if candidate.new.reason() == Reason::Rollback {
                    // Whoever goes back would otherwise be left with nobody to ask to go on.
                    config.admin_address = site.admin_address().or(config.admin_address);
                    // It is not what the source holds now.
                    explain = None;
                }
                let prepared = site.prepare(config, candidate.new.generation(), explain).await;
                prepared.map(|prepared| || prepared.commit())
            }
        })
    }

    fn open(&self, handle: ReloaderHandle) -> (Arc<Site>, oneshot::Receiver<ServerError>) {
        let context = &self.context;
        // Before anything is looked up in it.
        let exporter = context.is_daemon.then(Exporter::installed).flatten();
        let shared = Shared::new();
        let admin = Admin {
            handle,
            reloader: context.receiver.watch_status(),
            server: context.status(),
            shutdown: context.shutdown(),
            exporter,
            shared: shared.clone(),
            readers: Arc::new(Semaphore::new(ADMIN_READERS)),
        };
        let runtime = context.runtime.clone().unwrap_or_else(Handle::current);
        let inherited = std::mem::take(&mut *lock(&context.inherited));
        let (routes, status) = (context.routes.clone(), context.status.clone());
        Site::new(routes, admin.router(), shared, runtime, inherited, status)
    }

    /// Serves while `service` runs.
    async fn serve(
        &self,
        site: &Arc<Site>,
        refused: oneshot::Receiver<ServerError>,
        handle: ReloaderHandle,
        service: impl Future<Output = ReloadResult<(), V, S>>,
    ) -> Result<(), ServerError> {
        let context = &self.context;
        let shutdown = &context.shutdown;
        let mut daemon = self.daemon(site, handle)?;
        let attend = async {
            match &mut daemon {
                Some(daemon) => daemon.attend().await,
                None => pending().await,
            }
        };
        let follow = async {
            let failed = |error| ServerError::Reloader(Box::<dyn Error + Send + Sync>::from(error));
            service.await.map_err(failed)?;
            if site.generation() == 0 {
                return Err(ServerError::NoConfig);
            }
            warn!("the reloader service has ended: the configuration stays as it is");
            pending().await
        };
        let mut keep_up = pin!(self.keep_up());
        let is_replaced = tokio::select! {
            biased;
            () = shutdown.cancelled() => false,
            refused = first(refused) => return Err(refused),
            () = self.tell_refusals(site) => false,
            () = attend => true,
            () = keep_up.as_mut() => false,
            ended = follow => return ended,
        };
        // For whoever else ends by it.
        shutdown.cancel();
        info!("shutting down");
        // To systemd, it is the new process that goes on.
        let is_told = context.is_daemon && !is_replaced;
        if let Some(daemon) = daemon.as_mut().filter(|_| is_told) {
            daemon.end().await;
            // Before a drain that may be over at once.
            tell_stopping();
        }
        tokio::select! {
            biased;
            () = site.drain(is_replaced) => {}
            () = ask_for_time(), if is_told => {}
            () = keep_up => {}
        }
        Ok(())
    }

    fn daemon(
        &self,
        site: &Arc<Site>,
        handle: ReloaderHandle,
    ) -> Result<Option<Daemon>, ServerError> {
        let context = &self.context;
        let daemon = context.is_daemon.then(|| {
            let reloader = context.receiver.watch_status();
            Daemon::new(site, context.status(), reloader, handle, context.shutdown())
        });
        daemon.transpose().map_err(ServerError::Signals)
    }

    /// Keeps what is measured small, for as long as it is polled.
    async fn keep_up(&self) {
        match self.context.is_daemon.then(Exporter::installed).flatten() {
            Some(exporter) => exporter.keep_up().await,
            None => pending().await,
        }
    }

    /// Keeps in the server's status whether the newest configuration is refused.
    async fn tell_refusals(&self, site: &Site) {
        let mut status = self.context.receiver.watch_status();
        while let Ok(status) = status.changed().await {
            site.tell_refusal(refusal(&status));
        }
        pending::<()>().await;
    }
}

/// What of a service is refused by a server.
fn refusal(status: &Status) -> Option<Refusal> {
    let by = status.refused_by.as_deref().filter(|by| *by == PART)?;
    let words = status.last_error.as_deref()?;
    // As a service has it of what its parts say.
    let reason = words.strip_prefix(&format!("refused by {by}: ")).unwrap_or(words);
    // It would have been the next.
    Some(Refusal { generation: status.generation + 1, reason: reason.into() })
}

/// Waits until the first configuration is refused.
async fn first(refused: oneshot::Receiver<ServerError>) -> ServerError {
    match refused.await {
        Ok(refused) => refused,
        Err(_) => pending().await,
    }
}

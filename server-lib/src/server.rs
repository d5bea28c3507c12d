//! The server.

use std::{borrow::Cow, error::Error, fmt::Display, pin::pin, sync::Arc};

use hot_reload::{RealtimeWatch, Reload, ReloadResult, ReloaderService};

use crate::{config::ServerConfig, context::ServerContext, error::ServerError, run::run};

/// An HTTP server that answers from a live configuration.
///
/// It runs for as long as its entrypoint is polled, and ends when its
/// [shutdown](ServerContext::shutdown) is cancelled. `V` is whatever the reloader service loads; a
/// value that makes the same [`ServerConfig`] as the one in use changes nothing.
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

impl<V, S> Server<V, S>
where
    V: Into<ServerConfig> + Eq + Clone + Send + Sync + 'static,
    S: Into<Cow<'static, str>> + Display + Send + Sync + 'static,
{
    /// Runs the server and a service that polls, until shutdown.
    ///
    /// It waits for a first configuration, however long it takes. From then on no configuration
    /// ends it: one that can't work is refused as a whole, said so in the
    /// [status](ServerContext::status) and the log, and tried again while the reason may pass.
    ///
    /// # Errors
    ///
    /// When the first configuration can't work, and when the service was made for events: that
    /// takes [`entrypoint_with_realtime`](Self::entrypoint_with_realtime).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops the service and closes every address at once; requests under way
    /// finish on the runtime within the drain timeout.
    pub async fn entrypoint<T>(&self, service: ReloaderService<T, V, S>) -> Result<(), ServerError>
    where
        T: Reload<V, S> + Clone,
    {
        self.beside(service.start()).await
    }

    /// Runs the server and a service of any strategy, until shutdown.
    ///
    /// As [`entrypoint`](Self::entrypoint) in everything else.
    ///
    /// # Errors
    ///
    /// When the first configuration can't work.
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
        self.beside(service.start_with_realtime()).await
    }

    /// Serves while `service` runs.
    async fn beside(
        &self,
        service: impl Future<Output = ReloadResult<(), V, S>>,
    ) -> Result<(), ServerError> {
        let mut served = pin!(run(&self.context));
        tokio::select! {
            served = served.as_mut() => served,
            ended = service => {
                ended.map_err(|error| ServerError::Reloader(Box::<dyn Error + Send + Sync>::from(error)))?;
                served.await
            }
        }
    }
}

impl<V, S> Clone for Server<V, S> {
    fn clone(&self) -> Self {
        Self { context: Arc::clone(&self.context) }
    }
}

//! What a server runs in.

use hot_reload::ReloaderReceiver;
use tokio::{runtime::Handle, sync::watch};
use tokio_util::sync::CancellationToken;

use crate::{error::IncompleteContext, status::ServerStatus};

/// What a server runs in: where its configuration comes from, what ends it, and what it says.
///
/// A clone is the same context.
pub struct ServerContext<V, S = &'static str> {
    pub(crate) receiver: ReloaderReceiver<V, S>,
    pub(crate) runtime: Option<Handle>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) status: watch::Sender<ServerStatus>,
}

/// Makes a [`ServerContext`]; only the receiver must be given.
///
/// # Examples
///
/// ```no_run
/// # fn example(
/// #     receiver: hot_reload::ReloaderReceiver<server_lib::ServerConfig>,
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// use server_lib::ServerContextBuilder;
///
/// let context = ServerContextBuilder::default().context_rx(receiver).build()?;
/// let shutdown = context.shutdown();
/// # Ok(())
/// # }
/// ```
#[must_use]
pub struct ServerContextBuilder<V, S = &'static str> {
    receiver: Option<ReloaderReceiver<V, S>>,
    runtime: Option<Handle>,
    shutdown: CancellationToken,
}

impl<V, S> ServerContext<V, S> {
    /// Returns what ends the server when it is cancelled: it closes its addresses, lets the
    /// requests under way finish, and returns.
    pub fn shutdown(&self) -> CancellationToken {
        self.shutdown.clone()
    }

    /// Returns what the server is doing, now and whenever that changes.
    pub fn status(&self) -> watch::Receiver<ServerStatus> {
        self.status.subscribe()
    }
}

impl<V, S> Clone for ServerContext<V, S> {
    fn clone(&self) -> Self {
        Self {
            receiver: self.receiver.clone(),
            runtime: self.runtime.clone(),
            shutdown: self.shutdown.clone(),
            status: self.status.clone(),
        }
    }
}

impl<V, S> ServerContextBuilder<V, S> {
    /// Sets the receiver of the service that the server is going to be started with.
    pub fn context_rx(mut self, receiver: ReloaderReceiver<V, S>) -> Self {
        self.receiver = Some(receiver);
        self
    }

    /// Sets the runtime that connections are served on; by default the one that the server is
    /// started in.
    pub fn runtime_handle(mut self, runtime: Handle) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// Sets what ends the server; by default a token of its own, see [`ServerContext::shutdown`].
    pub fn shutdown(mut self, shutdown: CancellationToken) -> Self {
        self.shutdown = shutdown;
        self
    }

    /// Makes the context.
    ///
    /// # Errors
    ///
    /// When there is no receiver.
    pub fn build(self) -> Result<ServerContext<V, S>, IncompleteContext> {
        Ok(ServerContext {
            receiver: self.receiver.ok_or(IncompleteContext)?,
            runtime: self.runtime,
            shutdown: self.shutdown,
            status: watch::Sender::default(),
        })
    }
}

impl<V, S> Default for ServerContextBuilder<V, S> {
    fn default() -> Self {
        Self { receiver: None, runtime: None, shutdown: CancellationToken::new() }
    }
}

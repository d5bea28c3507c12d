//! What a server runs in.

use std::{
    fmt,
    sync::{Arc, Mutex},
};

use axum::Router;
use hot_reload::ReloaderReceiver;
use tokio::{runtime::Handle, sync::watch};
use tokio_util::sync::CancellationToken;

use crate::{
    error::{IncompleteContext, ServerError},
    example,
    inherit::Inherited,
    status::ServerStatus,
};

/// Says more of why a configuration is refused; `None` where there is no more to say.
pub(crate) type Explain = Arc<dyn Fn(&ServerError) -> Option<String> + Send + Sync>;

/// What a server runs in: where its configuration comes from, what ends it, and what it says.
///
/// A clone is the same context.
pub struct ServerContext<V, S = &'static str> {
    pub(crate) receiver: ReloaderReceiver<V, S>,
    pub(crate) runtime: Option<Handle>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) status: watch::Sender<ServerStatus>,
    pub(crate) routes: Router,
    pub(crate) explain: Option<Explain>,
    /// Whether it is to attend to systemd and to signals.
    pub(crate) is_daemon: bool,
    /// Taken by the first who opens with it.
    pub(crate) inherited: Arc<Mutex<Inherited>>,
}

/// Makes a [`ServerContext`]; only the receiver must be given.
///
/// # Examples
///
/// ```
/// use hot_reload::{ReloaderOptions, ReloaderService, TomlFile};
/// use server_lib::{ServerConfig, ServerContextBuilder};
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("config.toml");
/// # std::fs::write(&path, "listen_addresses = ['127.0.0.1:0']")?;
/// let reloader = TomlFile::<ServerConfig>::from_path(&path)?;
/// let (service, receiver) = ReloaderService::from_reloader(reloader, ReloaderOptions::hybrid());
/// let context = ServerContextBuilder::default().context_rx(receiver).build()?;
/// let shutdown = context.shutdown();
/// # drop(service);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub struct ServerContextBuilder<V, S = &'static str> {
    receiver: Option<ReloaderReceiver<V, S>>,
    runtime: Option<Handle>,
    shutdown: CancellationToken,
    routes: Option<Router>,
    explain: Option<Explain>,
    is_daemon: bool,
    inherited: Inherited,
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
            routes: self.routes.clone(),
            explain: self.explain.clone(),
            is_daemon: self.is_daemon,
            inherited: Arc::clone(&self.inherited),
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

    /// Sets what the application answers; by default a few routes that show the configuration.
    ///
    /// Limits, time-outs and response headers of the configuration stand around it. What else of the
    /// configuration an answer takes, the application reads from a receiver of its own. Each request
    /// has a [`Draining`](crate::Draining) extension.
    ///
    /// # Examples
    ///
    /// ```
    /// use axum::{Router, routing::get};
    /// use server_lib::{ServerConfig, ServerContextBuilder};
    ///
    /// let routes = Router::new().route("/", get(async || "hello\n"));
    /// let builder = ServerContextBuilder::<ServerConfig>::default().routes(routes);
    /// ```
    pub fn routes(mut self, routes: Router) -> Self {
        self.routes = Some(routes);
        self
    }

    /// Sets the sockets that the process was started with, as [`Inherited::from_env`] finds them; by
    /// default none, whatever the environment says.
    ///
    /// # Examples
    ///
    /// ```
    /// use server_lib::{Inherited, ServerConfig, ServerContextBuilder};
    ///
    /// // Before anything else is opened.
    /// let inherited = Inherited::from_env();
    /// let builder = ServerContextBuilder::<ServerConfig>::default().inherited(inherited);
    /// ```
    pub fn inherited(mut self, inherited: Inherited) -> Self {
        self.inherited = inherited;
        self
    }

    /// Sets what says in more words why a configuration is refused while another serves, such as where in
    /// its file it is wrong; `None` leaves it at the error's own. It may block.
    ///
    /// # Examples
    ///
    /// ```
    /// use server_lib::{ServerConfig, ServerContextBuilder, ServerError};
    ///
    /// let builder = ServerContextBuilder::<ServerConfig>::default().explain(|refused| match refused {
    ///     ServerError::Bind(failure) => Some(format!("{failure}: see listen_addresses")),
    ///     _ => None,
    /// });
    /// ```
    pub fn explain(
        mut self,
        explain: impl Fn(&ServerError) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.explain = Some(Arc::new(explain));
        self
    }

    /// Has the server behave as a daemon, which asks for a runtime with I/O and time.
    ///
    /// `SIGHUP` loads the configuration now. `SIGUSR2` starts the executable anew, whatever is in its
    /// file by then, with the same arguments and with the sockets of this process: once it serves, this
    /// one ends as by its [shutdown](ServerContext::shutdown), and if it doesn't, nothing has changed.
    /// That takes the sockets from [`inherited`](Self::inherited). Systemd is told when the server is
    /// ready, reloads, drains, is alive and goes on as another process, as `Type=notify-reload` and
    /// `WatchdogSec=` ask for (`sd_notify(3)`). Without systemd nobody is told.
    ///
    /// It records metrics for the [admin address](crate::ServerConfig::admin_address), in a recorder
    /// for the whole process that it installs unless there is one.
    ///
    /// # Examples
    ///
    /// ```
    /// use server_lib::{Inherited, ServerConfig, ServerContextBuilder};
    ///
    /// let inherited = Inherited::from_env();
    /// let builder = ServerContextBuilder::<ServerConfig>::default().inherited(inherited).daemon();
    /// ```
    pub fn daemon(mut self) -> Self {
        self.is_daemon = true;
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
            routes: self.routes.unwrap_or_else(example::routes),
            explain: self.explain,
            is_daemon: self.is_daemon,
            inherited: Arc::new(Mutex::new(self.inherited)),
        })
    }
}

impl<V, S> Default for ServerContextBuilder<V, S> {
    fn default() -> Self {
        Self {
            receiver: None,
            runtime: None,
            shutdown: CancellationToken::new(),
            routes: None,
            explain: None,
            is_daemon: false,
            inherited: Inherited::default(),
        }
    }
}

impl<V, S> fmt::Debug for ServerContext<V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerContext")
            .field("receiver", &self.receiver)
            .field("is_daemon", &self.is_daemon)
            .finish_non_exhaustive()
    }
}

impl<V, S> fmt::Debug for ServerContextBuilder<V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerContextBuilder")
            .field("receiver", &self.receiver)
            .field("is_daemon", &self.is_daemon)
            .finish_non_exhaustive()
    }
}

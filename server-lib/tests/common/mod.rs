//! A server under test: a directory, a file in it, the server that follows it, and its clients.

#![allow(dead_code, unreachable_pub, unused_imports, reason = "each test crate uses its part")]

mod admin;
mod client;
mod renewal;
pub mod tls;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use axum::Router;
use hot_reload::{ReloaderOptions, ReloaderReceiver, ReloaderService, TomlFile, WatchStrategy};
use server_lib::{
    CertificateStatus, Server, ServerConfig, ServerContextBuilder, ServerError, ServerStatus,
};
use tempfile::TempDir;
use tokio::{sync::watch, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

pub use self::{
    admin::{admin, ask, ask_at, json, with_admin},
    client::{Client, Response},
    renewal::{NAME, Renewal},
};

/// Longer than anything here takes, also on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub fn options(strategy: WatchStrategy) -> ReloaderOptions {
    let interval = match strategy {
        WatchStrategy::Polling => Duration::from_millis(40),
        // So long that only events can make a test pass.
        WatchStrategy::Realtime | WatchStrategy::Hybrid => Duration::from_secs(3600),
    };
    ReloaderOptions::polling().strategy(strategy).poll_interval(interval)
}

/// A configuration with `name` and some addresses.
pub fn text(name: &str, addresses: &[&str]) -> String {
    format!("name = {name:?}\nlisten_addresses = {addresses:?}\n")
}

type Service = ReloaderService<TomlFile<ServerConfig>, ServerConfig, String>;
type Receiver = ReloaderReceiver<ServerConfig, String>;
type Builder = ServerContextBuilder<ServerConfig, String>;

fn source(strategy: WatchStrategy, text: &str) -> (Service, Receiver, PathBuf, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    std::fs::write(&path, text).unwrap();
    let reloader = TomlFile::<ServerConfig>::from_path(&path).unwrap();
    let (service, receiver) = ReloaderService::from_reloader(reloader, options(strategy));
    (service, receiver, path, dir)
}

pub struct Lab {
    pub receiver: Receiver,
    pub status: watch::Receiver<ServerStatus>,
    pub shutdown: CancellationToken,
    pub running: JoinHandle<Result<(), ServerError>>,
    pub path: PathBuf,
    _dir: TempDir,
}

impl Lab {
    /// Starts a server with `text`; it may not be up yet.
    pub fn start(strategy: WatchStrategy, text: &str) -> Self {
        Self::start_with(strategy, text, |service| service, None)
    }

    /// Starts a server with `text` and an application's own `routes`, and waits until it answers.
    pub async fn with_routes(strategy: WatchStrategy, text: &str, routes: Router) -> Self {
        Self::start_with(strategy, text, |service| service, Some(routes)).up().await
    }

    /// Starts a server with `text`, and with a service made by `with`.
    fn start_with(
        strategy: WatchStrategy,
        text: &str,
        with: impl FnOnce(Service) -> Service,
        routes: Option<Router>,
    ) -> Self {
        let (service, receiver, path, dir) = source(strategy, text);
        Self::run(strategy, with(service), receiver, path, dir, |context| match routes {
            Some(routes) => context.routes(routes),
            None => context,
        })
    }

    /// Starts a daemon with `text`, and waits until it answers.
    pub async fn daemon(strategy: WatchStrategy, text: &str) -> Self {
        Self::within(strategy, text, ServerContextBuilder::daemon).await
    }

    /// Starts a server with `text` in a context made by `with`, and waits until it answers.
    pub async fn within(
        strategy: WatchStrategy,
        text: &str,
        with: impl FnOnce(Builder) -> Builder,
    ) -> Self {
        let (service, receiver, path, dir) = source(strategy, text);
        let mut lab = Self::run(strategy, service, receiver, path, dir, with);
        lab.until("it is up", |status| status.generation > 0).await;
        lab
    }

    fn run(
        strategy: WatchStrategy,
        service: Service,
        receiver: Receiver,
        path: PathBuf,
        dir: TempDir,
        with: impl FnOnce(Builder) -> Builder,
    ) -> Self {
        let context = with(ServerContextBuilder::default().context_rx(receiver.clone()));
        let context = context.build().unwrap();
        let (status, shutdown) = (context.status(), context.shutdown());
        let server = Server::new(context);
        let running = tokio::spawn(async move {
            match strategy {
                WatchStrategy::Polling => server.entrypoint(service).await,
                _ => server.entrypoint_with_realtime(service).await,
            }
        });
        Self { receiver, status, shutdown, running, path, _dir: dir }
    }

    /// Starts a server with `text` and waits until it answers.
    pub async fn new(strategy: WatchStrategy, text: &str) -> Self {
        Self::with(strategy, text, |service| service).await
    }

    /// Starts a server with `text`, and with a service made by `with`, and waits until it answers.
    pub async fn with(
        strategy: WatchStrategy,
        text: &str,
        with: impl FnOnce(Service) -> Service,
    ) -> Self {
        Self::start_with(strategy, text, with, None).up().await
    }

    async fn up(mut self) -> Self {
        self.until("it is up", |status| status.generation > 0).await;
        self
    }

    /// How many connections of the application the server counts; it takes an admin address.
    pub async fn connections(&self) -> u64 {
        json(self, "/status").await["connections"].as_u64().unwrap()
    }

    /// Waits until it counts as many.
    pub async fn until_connections(&self, want: u64) {
        let reached = timeout(PATIENCE, async {
            while self.connections().await != want {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        reached.await.unwrap_or_else(|_elapsed| panic!("never {want} connections"));
    }

    /// Waits until the status is as `is_so` has it, and returns it.
    pub async fn until(
        &mut self,
        what: &str,
        is_so: impl FnMut(&ServerStatus) -> bool,
    ) -> ServerStatus {
        let waited = timeout(PATIENCE, self.status.wait_for(is_so)).await;
        let waited = waited.map(|status| status.expect("the server has ended").clone());
        waited.unwrap_or_else(|_elapsed| panic!("not so: {what}: {:?}", self.status.borrow()))
    }

    /// Replaces the file as careful writers do.
    pub fn replace(&self, text: &str) {
        let next = self.path.with_extension("next");
        std::fs::write(&next, text).unwrap();
        std::fs::rename(next, &self.path).unwrap();
    }

    /// Replaces the file by one that holds no value, and waits until it has been looked at.
    pub async fn break_by(&self, text: &str) {
        let failures = self.receiver.status().failures;
        self.replace(text);
        let noticed = timeout(PATIENCE, async {
            while self.receiver.status().failures == failures {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        noticed.await.unwrap_or_else(|_elapsed| panic!("not noticed: {text}"));
    }

    /// Replaces the file and waits until it is in use.
    pub async fn apply(&mut self, text: &str) -> ServerStatus {
        let before = self.status.borrow().generation;
        self.replace(text);
        self.until("it is in use", |status| status.generation > before && status.refusal.is_none())
            .await
    }

    pub fn address(&self) -> SocketAddr {
        self.status.borrow().local_addresses[0].socket_addr().unwrap()
    }

    /// Waits until the status of the first certificate is as `is_so` has it, and returns it.
    pub async fn until_certificate(
        &mut self,
        what: &str,
        mut is_so: impl FnMut(&CertificateStatus) -> bool,
    ) -> CertificateStatus {
        self.until(what, |status| is_so(&status.certificates[0])).await.certificates.remove(0)
    }

    pub async fn client(&self) -> Client {
        Client::connect(self.address()).await
    }

    /// Asks for the name, on a connection of its own.
    pub async fn name(&self) -> String {
        self.client().await.name().await
    }

    /// Ends the server, which must end well.
    pub async fn end(self) {
        self.shutdown.cancel();
        timeout(PATIENCE, self.running).await.expect("it doesn't end").unwrap().unwrap();
    }
}

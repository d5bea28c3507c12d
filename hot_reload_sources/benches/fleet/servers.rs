//! The servers, and who puts into them.

use std::{net::SocketAddr, time::Duration};

use async_trait::async_trait;
use etcd_client::Client;
use tempfile::TempDir;
use tokio::time::sleep;

use crate::{
    bucket::bucket,
    common::server::{Server, address, command},
    receivers::memory,
};

/// A store that a fleet follows one key of.
#[async_trait]
pub(crate) trait Put: Sized {
    const NAME: &str;

    async fn start() -> Self;

    /// Where the key is.
    fn url(&self) -> String;

    /// Puts the number, over a connection that stands already.
    async fn put(&self, n: u64);

    /// Resident memory of the server, in bytes.
    fn memory(&self) -> usize;

    /// Ends the server by `SIGKILL`.
    fn kill(&self);

    /// Starts it again, with what it had; resolves once it can be put into.
    async fn restart(&self);
}

/// A server, its directory and its address.
struct Running {
    server: Server,
    at: SocketAddr,
    dir: TempDir,
}

impl Running {
    fn new() -> Self {
        Self {
            server: Server::default(),
            at: address(),
            dir: tempfile::tempdir().expect("a directory"),
        }
    }
}

/// `nats-server -js`.
pub(crate) struct Nats {
    running: Running,
    bucket: async_nats::jetstream::kv::Store,
}

impl Nats {
    async fn run(running: &Running) {
        let (ip, port) = (running.at.ip().to_string(), running.at.port().to_string());
        let mut command = command("nats-server");
        command.args(["-js", "-a", &ip, "-p", &port, "-sd"]).arg(running.dir.path());
        running.server.start(&mut command, running.at).await;
    }
}

#[async_trait]
impl Put for Nats {
    const NAME: &str = "NATS";

    async fn start() -> Self {
        let running = Running::new();
        Self::run(&running).await;
        let bucket = bucket(&format!("nats://{}", running.at), "fleet").await;
        Self { running, bucket }
    }

    fn url(&self) -> String {
        format!("nats://{}/fleet/n", self.running.at)
    }

    async fn put(&self, n: u64) {
        // Its client is not told that a server is back before it has found out.
        while self.bucket.put("n", n.to_string().into()).await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
    }

    fn memory(&self) -> usize {
        memory(self.running.server.id())
    }

    fn kill(&self) {
        self.running.server.kill();
    }

    async fn restart(&self) {
        Self::run(&self.running).await;
    }
}

/// `etcd`, one member.
pub(crate) struct Etcd {
    running: Running,
    /// Among its members, of which there is but one.
    peers: SocketAddr,
    client: Client,
}

impl Etcd {
    async fn run(running: &Running, peers: SocketAddr) {
        let (clients, peers) = (format!("http://{}", running.at), format!("http://{peers}"));
        let mut command = command("etcd");
        command.args(["--listen-client-urls", &clients, "--advertise-client-urls", &clients]);
        command.args(["--listen-peer-urls", &peers, "--initial-advertise-peer-urls", &peers]);
        command.args(["--initial-cluster", &format!("default={peers}"), "--log-level", "error"]);
        command.arg("--data-dir").arg(running.dir.path());
        running.server.start(&mut command, running.at).await;
    }
}

#[async_trait]
impl Put for Etcd {
    const NAME: &str = "etcd";

    async fn start() -> Self {
        let (running, peers) = (Running::new(), address());
        Self::run(&running, peers).await;
        let client = Client::connect([running.at.to_string()], None).await.expect("a client");
        Self { running, peers, client }
    }

    fn url(&self) -> String {
        format!("etcd://{}/fleet/n", self.running.at)
    }

    async fn put(&self, n: u64) {
        let mut client = self.client.kv_client();
        while client.put("fleet/n", n.to_string(), None).await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
    }

    fn memory(&self) -> usize {
        memory(self.running.server.id())
    }

    fn kill(&self) {
        self.running.server.kill();
    }

    async fn restart(&self) {
        Self::run(&self.running, self.peers).await;
    }
}

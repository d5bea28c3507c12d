//! The servers, and who puts into them.

use std::time::Duration;

use async_trait::async_trait;
use etcd_client::Client;
use tokio::time::sleep;

use crate::{
    etcd::Member,
    nats::{BUCKET, NatsServer, PASSWORD},
    receivers::memory,
};

const KEY: &str = "n";

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

    /// Ends the server by `SIGKILL`, and starts it again with what it had; resolves once it listens.
    async fn restart(&self);
}

/// `nats-server -js`.
pub(crate) struct Nats(NatsServer);

#[async_trait]
impl Put for Nats {
    const NAME: &str = "NATS";

    async fn start() -> Self {
        Self(NatsServer::start().await)
    }

    fn url(&self) -> String {
        format!("nats://app:{PASSWORD}@{}/{BUCKET}/{KEY}", self.0.address())
    }

    async fn put(&self, n: u64) {
        self.0.put(KEY, &n.to_string()).await;
    }

    fn memory(&self) -> usize {
        memory(self.0.id())
    }

    async fn restart(&self) {
        self.0.restart().await;
    }
}

/// `etcd`, one member.
pub(crate) struct Etcd {
    member: Member,
    client: Client,
}

#[async_trait]
impl Put for Etcd {
    const NAME: &str = "etcd";

    async fn start() -> Self {
        let member = Member::start().await;
        let client = Client::connect([member.address.to_string()], None).await.expect("a client");
        Self { member, client }
    }

    fn url(&self) -> String {
        format!("etcd://{}/{KEY}", self.member.address)
    }

    async fn put(&self, n: u64) {
        let mut client = self.client.kv_client();
        // It is not told that a server is back before it has found out.
        while client.put(KEY, n.to_string(), None).await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
    }

    fn memory(&self) -> usize {
        memory(self.member.id())
    }

    async fn restart(&self) {
        self.member.kill();
        self.member.run().await;
    }
}

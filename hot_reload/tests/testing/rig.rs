//! What the suite has to know of it.

use std::{net::SocketAddr, time::Duration};

use async_trait::async_trait;
use hot_reload::testing::Rig;

use super::{
    server::{GREETING, Server, TOKEN},
    source::{DEADLINE, Source},
};

pub(crate) struct LineRig {
    server: Server,
    of_another_name: Server,
    expired: Server,
}

#[async_trait]
impl Rig for LineRig {
    type Source = Source;

    async fn start() -> Self {
        Self {
            server: Server::start(GREETING).await,
            of_another_name: Server::start("elsewhere until 2999").await,
            expired: Server::start("localhost until 1999").await,
        }
    }

    fn address(&self) -> SocketAddr {
        self.server.address
    }

    fn source(&self, address: SocketAddr) -> Source {
        Source::new(address, TOKEN)
    }

    async fn put(&self, text: &str) {
        self.server.put(Some(text));
    }

    async fn delete(&self) {
        self.server.put(None);
    }

    async fn kill(&self) {
        self.server.kill().await;
    }

    async fn restart(&self) {
        self.server.restart().await;
    }

    async fn restart_empty(&self) {
        self.server.kill().await;
        self.server.lose_everything();
        self.server.restart().await;
    }

    fn with_wrong_credentials(&self, address: SocketAddr) -> Source {
        Source::new(address, "open-barley")
    }

    async fn with_wrong_name(&self) -> Source {
        Source::new(self.of_another_name.address, TOKEN)
    }

    async fn with_expired_certificate(&self) -> Source {
        Source::new(self.expired.address, TOKEN)
    }

    async fn throttle(&self, is_throttled: bool) -> bool {
        self.server.throttle(is_throttled);
        true
    }

    async fn requests(&self) -> Option<u64> {
        Some(self.server.requests())
    }

    fn secrets(&self) -> Vec<String> {
        vec![TOKEN.to_owned(), "open-barley".to_owned()]
    }

    fn read_deadline(&self) -> Duration {
        DEADLINE
    }
}

//! What the suite has to know of it.

use std::{net::SocketAddr, time::Duration};

use async_trait::async_trait;
use hot_reload::testing::Rig;

use super::{
    server::{GREETING, Server, TOKEN},
    source::{DEADLINE, Fault, Source},
};

/// With sources that have a fault.
pub(crate) struct LineRig<const FAULT: u8> {
    server: Server,
    of_another_name: Server,
    expired: Server,
}

#[async_trait]
impl<const FAULT: u8> Rig for LineRig<FAULT> {
    type Source = Source;

    async fn start() -> Self {
        let rig = Self {
            server: Server::start(GREETING).await,
            of_another_name: Server::start("elsewhere until 2999").await,
            expired: Server::start("localhost until 1999").await,
        };
        // For whoever believes them.
        rig.of_another_name.put(Some("n = 1"));
        rig.expired.put(Some("n = 1"));
        rig
    }

    fn address(&self) -> SocketAddr {
        self.server.address
    }

    fn source(&self, address: SocketAddr) -> Source {
        Source::new(address, TOKEN, FAULT)
    }

    async fn put(&self, text: &str) {
        self.server.put(Some(text));
        // So that the server has each to tell, and not the last of many.
        tokio::task::yield_now().await;
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
        Source::new(address, "open-barley", FAULT)
    }

    async fn with_wrong_name(&self) -> Source {
        Source::new(self.of_another_name.address, TOKEN, FAULT)
    }

    async fn with_expired_certificate(&self) -> Source {
        Source::new(self.expired.address, TOKEN, FAULT)
    }

    async fn throttle(&self, is_throttled: bool) -> bool {
        self.server.throttle(is_throttled);
        true
    }

    async fn requests(&self) -> Option<u64> {
        Some(self.server.requests())
    }

    async fn distrusted(&self) -> Option<u64> {
        Some(self.of_another_name.connections() + self.expired.connections())
    }

    fn secrets(&self) -> Vec<String> {
        vec![TOKEN.to_owned(), "open-barley".to_owned()]
    }

    fn read_deadline(&self) -> Duration {
        DEADLINE
    }

    fn patience(&self) -> Duration {
        // What is broken is broken sooner.
        Duration::from_secs(if FAULT == Fault::None as u8 { 30 } else { 5 })
    }
}

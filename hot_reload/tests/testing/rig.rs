//! What the suite has to know of it.

use std::{net::SocketAddr, time::Duration};

use async_trait::async_trait;
use hot_reload::testing::{
    Proxy, Rig,
    line::{DEADLINE, GREETING, Server, TOKEN},
};

use super::source::{Fault, Source};

/// With sources that have a fault.
pub(crate) struct LineRig<const FAULT: u8> {
    server: Server,
    of_another_name: Server,
    expired: Server,
}

impl<const FAULT: u8> LineRig<FAULT> {
    async fn distrusting(server: &Server) -> Option<(Source, Proxy)> {
        let proxy = Proxy::start(server.address()).await;
        Some((Source::new(proxy.address(), TOKEN, FAULT), proxy))
    }
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
        self.server.address()
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

    fn with_wrong_credentials(&self, address: SocketAddr) -> Option<Source> {
        Some(Source::new(address, "open-barley", FAULT))
    }

    async fn with_wrong_name(&self) -> Option<(Source, Proxy)> {
        Self::distrusting(&self.of_another_name).await
    }

    async fn with_expired_certificate(&self) -> Option<(Source, Proxy)> {
        Self::distrusting(&self.expired).await
    }

    async fn throttle(&self, is_throttled: bool) -> bool {
        self.server.throttle(is_throttled);
        true
    }

    async fn break_channel(&self, is_broken: bool) -> bool {
        self.server.break_channel(is_broken);
        true
    }

    async fn requests(&self) -> Option<u64> {
        (FAULT != Fault::ReadsAllTheTime as u8).then(|| self.server.requests())
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

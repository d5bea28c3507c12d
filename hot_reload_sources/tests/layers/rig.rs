//! The rules for all sources, of layers one of which is a store.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use async_trait::async_trait;
use hot_reload::testing::{
    Proxy, Rig, Sample,
    line::{DEADLINE, GREETING, Server, TOKEN},
};
use hot_reload_sources::{
    Store,
    layers::{Env, Layer, Layers, Tree},
};
use tempfile::TempDir;

use crate::line::Line;

const WRONG_TOKEN: &str = "open-barley";

struct LayersRig {
    server: Server,
    of_another_name: Server,
    expired: Server,
    place: TempDir,
}

impl LayersRig {
    fn over(&self, address: SocketAddr, token: &'static str) -> Layers<Sample> {
        Layers::new()
            .with(Layer::constant("defaults", &BTreeMap::<String, u8>::new()))
            .with(Line { address, token }.toml::<Tree>())
            .with(Layer::file(self.place.path().join("local.toml")).optional())
            .with(Env::prefixed("NOBODY_SETS_THIS_"))
    }

    async fn distrusting(&self, server: &Server) -> Option<(Layers<Sample>, Proxy)> {
        let proxy = Proxy::start(server.address()).await;
        Some((self.over(proxy.address(), TOKEN), proxy))
    }
}

#[async_trait]
impl Rig for LayersRig {
    type Source = Layers<Sample>;

    async fn start() -> Self {
        let rig = Self {
            server: Server::start(GREETING).await,
            of_another_name: Server::start("elsewhere until 2999").await,
            expired: Server::start("localhost until 1999").await,
            place: tempfile::tempdir().unwrap(),
        };
        // For whoever believes them.
        rig.of_another_name.put(Some("n = 1"));
        rig.expired.put(Some("n = 1"));
        rig
    }

    fn address(&self) -> SocketAddr {
        self.server.address()
    }

    fn source(&self, address: SocketAddr) -> Layers<Sample> {
        self.over(address, TOKEN)
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
        self.server.put(None);
        self.server.restart().await;
    }

    fn with_wrong_credentials(&self, address: SocketAddr) -> Option<Layers<Sample>> {
        Some(self.over(address, WRONG_TOKEN))
    }

    async fn with_wrong_name(&self) -> Option<(Layers<Sample>, Proxy)> {
        self.distrusting(&self.of_another_name).await
    }

    async fn with_expired_certificate(&self) -> Option<(Layers<Sample>, Proxy)> {
        self.distrusting(&self.expired).await
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
        Some(self.server.requests())
    }

    fn secrets(&self) -> Vec<String> {
        vec![TOKEN.to_owned(), WRONG_TOKEN.to_owned()]
    }

    fn read_deadline(&self) -> Duration {
        DEADLINE
    }
}

hot_reload::conformance!(LayersRig);

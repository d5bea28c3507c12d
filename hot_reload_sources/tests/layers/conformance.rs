//! The rules for all sources, of layers one of which is a source of another author.

#[path = "../../../hot_reload/tests/testing/rig.rs"]
mod rig;
#[path = "../../../hot_reload/tests/testing/server.rs"]
mod server;
#[path = "../../../hot_reload/tests/testing/source.rs"]
mod source;

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use async_trait::async_trait;
use hot_reload::testing::{Rig, Sample};
use hot_reload_sources::layers::{Env, Layer, Layers};
use tempfile::TempDir;

use self::{rig::LineRig, source::Fault};

type Line = LineRig<{ Fault::None as u8 }>;

struct LayersRig {
    line: Line,
    place: TempDir,
}

impl LayersRig {
    fn over(&self, source: <Line as Rig>::Source) -> Layers<Sample> {
        Layers::new()
            .with(Layer::constant("defaults", &BTreeMap::<String, u8>::new()))
            .with(Layer::source("line", source))
            .with(Layer::file(self.place.path().join("local.toml")).optional())
            .with(Env::prefixed("NOBODY_SETS_THIS_"))
    }
}

#[async_trait]
impl Rig for LayersRig {
    type Source = Layers<Sample>;

    async fn start() -> Self {
        Self { line: Line::start().await, place: tempfile::tempdir().unwrap() }
    }

    fn address(&self) -> SocketAddr {
        self.line.address()
    }

    fn source(&self, address: SocketAddr) -> Layers<Sample> {
        self.over(self.line.source(address))
    }

    async fn put(&self, text: &str) {
        self.line.put(text).await;
    }

    async fn delete(&self) {
        self.line.delete().await;
    }

    async fn kill(&self) {
        self.line.kill().await;
    }

    async fn restart(&self) {
        self.line.restart().await;
    }

    async fn restart_empty(&self) {
        self.line.restart_empty().await;
    }

    fn with_wrong_credentials(&self, address: SocketAddr) -> Layers<Sample> {
        self.over(self.line.with_wrong_credentials(address))
    }

    async fn with_wrong_name(&self) -> Layers<Sample> {
        self.over(self.line.with_wrong_name().await)
    }

    async fn with_expired_certificate(&self) -> Layers<Sample> {
        self.over(self.line.with_expired_certificate().await)
    }

    async fn throttle(&self, is_throttled: bool) -> bool {
        self.line.throttle(is_throttled).await
    }

    async fn requests(&self) -> Option<u64> {
        self.line.requests().await
    }

    fn secrets(&self) -> Vec<String> {
        self.line.secrets()
    }

    fn read_deadline(&self) -> Duration {
        self.line.read_deadline()
    }
}

hot_reload::conformance!(LayersRig);

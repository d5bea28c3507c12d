//! What every store has to do.

use std::{net::SocketAddr, time::Duration};

use async_trait::async_trait;
use hot_reload::testing::{Rig, Sample};
use hot_reload_sources::{Access, FromStore, Secret, Store};
use tokio::sync::Mutex;

use super::{
    KEY,
    common::authority::{Authority, Validity},
    rig::{DEADLINE, NatsServer, PASSWORD, bucket},
};

pub(crate) struct NatsRig {
    server: NatsServer,
    authority: Authority,
    /// Those of other certificates, which run as long as this one.
    others: Mutex<Vec<NatsServer>>,
}

impl NatsRig {
    async fn with_certificate(&self, name: &str, validity: Validity) -> FromStore<Sample> {
        let pair = self.authority.issue("server", &[name], validity);
        let server = NatsServer::with_tls(&pair, "").await;
        let url = format!("tls://{}", server.address());
        self.others.lock().await.push(server);
        source(&url, access(PASSWORD).ca_file(self.authority.file()))
    }
}

#[async_trait]
impl Rig for NatsRig {
    type Source = FromStore<Sample>;

    async fn start() -> Self {
        let server = NatsServer::start().await;
        Self { server, authority: Authority::new(), others: Mutex::default() }
    }

    fn address(&self) -> SocketAddr {
        self.server.address()
    }

    fn source(&self, address: SocketAddr) -> Self::Source {
        source(&format!("nats://app:{PASSWORD}@{address}"), Access::new())
    }

    async fn put(&self, text: &str) {
        self.server.create().await;
        self.server.put(KEY, text).await;
    }

    async fn delete(&self) {
        self.server.store().await.delete(KEY).await.unwrap();
    }

    async fn kill(&self) {
        self.server.kill();
    }

    async fn restart(&self) {
        self.server.kill();
        self.server.run().await;
    }

    async fn restart_empty(&self) {
        self.server.kill();
        self.server.clear();
        self.server.run().await;
    }

    fn with_wrong_credentials(&self, address: SocketAddr) -> Self::Source {
        source(&format!("nats://app:not-{PASSWORD}@{address}"), Access::new())
    }

    async fn with_wrong_name(&self) -> Self::Source {
        self.with_certificate("elsewhere.example", Validity::Now).await
    }

    async fn with_expired_certificate(&self) -> Self::Source {
        self.with_certificate(&self.server.address().ip().to_string(), Validity::Over).await
    }

    fn secrets(&self) -> Vec<String> {
        vec![PASSWORD.to_owned(), format!("not-{PASSWORD}")]
    }

    fn read_deadline(&self) -> Duration {
        DEADLINE
    }
}

fn access(password: &str) -> Access {
    Access::new().user("app").password(Secret::text(password))
}

fn source(url: &str, access: Access) -> FromStore<Sample> {
    bucket(url, access).key(KEY).toml().read_deadline(DEADLINE)
}

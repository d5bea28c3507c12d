//! What every store has to do.

use std::{
    fs,
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use async_nats::Client;
use async_trait::async_trait;
use hot_reload::testing::{Proxy, Rig, Sample};
use hot_reload_sources::{Access, FromStore, Secret, Store};
use tokio::sync::Mutex;

use super::{
    KEY,
    common::authority::{Authority, Validity},
    server::{DEADLINE, NatsServer, PASSWORD, bucket},
};

pub struct NatsRig {
    server: NatsServer,
    authority: Authority,
    has_bucket: AtomicBool,
    /// Those of other certificates, which run as long as this one.
    others: Mutex<Vec<NatsServer>>,
    /// Takes the last connection that the server has.
    guest: Mutex<Option<Client>>,
}

impl NatsRig {
    async fn with_certificate(
        &self,
        name: &str,
        validity: Validity,
    ) -> Option<(FromStore<Sample>, Proxy)> {
        let pair = self.authority.issue("server", &[name], validity);
        let server = NatsServer::with_tls(&pair, "").await;
        let proxy = Proxy::start(server.address()).await;
        self.others.lock().await.push(server);
        let access = access(PASSWORD).ca_file(self.authority.file());
        Some((source(&format!("natss://{}", proxy.address()), access), proxy))
    }
}

#[async_trait]
impl Rig for NatsRig {
    type Source = FromStore<Sample>;

    async fn start() -> Self {
        let server = NatsServer::start().await;
        Self {
            server,
            has_bucket: AtomicBool::new(true),
            authority: Authority::new(),
            others: Mutex::default(),
            guest: Mutex::default(),
        }
    }

    fn address(&self) -> SocketAddr {
        self.server.address()
    }

    fn source(&self, address: SocketAddr) -> Self::Source {
        source(&format!("nats://app:{PASSWORD}@{address}"), Access::new())
    }

    async fn put(&self, text: &str) {
        if !self.has_bucket.swap(true, Ordering::Relaxed) {
            self.server.create(Duration::ZERO).await;
        }
        self.server.put(KEY, text).await;
    }

    async fn delete(&self) {
        self.server.store().await.delete(KEY).await.unwrap();
    }

    async fn kill(&self) {
        self.server.kill().await;
    }

    async fn restart(&self) {
        self.server.restart().await;
    }

    async fn restart_empty(&self) {
        self.server.kill().await;
        fs::remove_dir_all(self.server.data()).unwrap();
        self.has_bucket.store(false, Ordering::Relaxed);
        self.server.run().await;
    }

    async fn throttle(&self, is_throttled: bool) -> bool {
        self.guest.lock().await.take();
        self.server.configure("", if is_throttled { "max_connections: 1" } else { "" });
        self.server.restart().await;
        if is_throttled {
            *self.guest.lock().await = Some(self.server.client().await);
        }
        true
    }

    async fn break_channel(&self, is_broken: bool) -> bool {
        let denied =
            if is_broken { "permissions: {publish: {deny: \"$JS.API.CONSUMER.>\"}}" } else { "" };
        self.server
            .authorize(&format!("users: [{{user: app, password: {PASSWORD}, {denied}}}]"), "");
        self.server.restart().await;
        true
    }

    fn with_wrong_credentials(&self, address: SocketAddr) -> Option<Self::Source> {
        Some(source(&format!("nats://app:not-{PASSWORD}@{address}"), Access::new()))
    }

    async fn with_wrong_name(&self) -> Option<(Self::Source, Proxy)> {
        self.with_certificate("elsewhere.example", Validity::Now).await
    }

    async fn with_expired_certificate(&self) -> Option<(Self::Source, Proxy)> {
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
    bucket(url, access).key(KEY).toml()
}

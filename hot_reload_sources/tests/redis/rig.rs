//! The rules that every source keeps.

use std::{net::SocketAddr, time::Duration};

use async_trait::async_trait;
use hot_reload::{
    conformance,
    testing::{Proxy, Rig, Sample},
};
use hot_reload_sources::{Access, FromStore, Store, redis::Redis};

use crate::{
    common::authority::{Authority, Validity},
    server::{PASSWORD, RedisServer, USER},
};

const KEY: &str = "prod/sample.toml";
const WRONG: &str = "hunter3-of-redis";
const READ_DEADLINE: Duration = Duration::from_secs(1);

struct RedisRig {
    server: RedisServer,
    authority: Authority,
    /// What speaks TLS, as long as it is needed.
    others: tokio::sync::Mutex<Vec<RedisServer>>,
}

impl RedisRig {
    /// Creates a source of a server that shows a certificate for `name`, by a proxy.
    async fn with_certificate(
        &self,
        name: Option<&str>,
        validity: Validity,
    ) -> Option<(FromStore<Sample>, Proxy)> {
        let server = RedisServer::new(&[]);
        let proxy = Proxy::start(server.address).await;
        let ip = proxy.address().ip().to_string();
        let pair = self.authority.issue(&ip, &[name.unwrap_or(&ip)], validity);
        let server = server.run_with_tls(&self.authority, &pair, "no").await;
        let access = RedisServer::access().ca_file(self.authority.file());
        let source = source(&format!("rediss://{}", proxy.address()), access);
        self.others.lock().await.push(server);
        Some((source, proxy))
    }
}

fn source(url: &str, access: Access) -> FromStore<Sample> {
    let redis = Redis::from_url(url, access).unwrap().read_deadline(READ_DEADLINE);
    redis.key(KEY).toml()
}

#[async_trait]
impl Rig for RedisRig {
    type Source = FromStore<Sample>;

    async fn start() -> Self {
        let server = RedisServer::start().await;
        Self { server, authority: Authority::new(), others: Vec::new().into() }
    }

    fn address(&self) -> SocketAddr {
        self.server.address
    }

    fn source(&self, address: SocketAddr) -> FromStore<Sample> {
        source(&format!("redis://{USER}:{PASSWORD}@{address}"), Access::new())
    }

    async fn put(&self, text: &str) {
        self.server.put(KEY, text).await;
    }

    async fn delete(&self) {
        self.server.say(&["DEL", KEY]).await;
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
        self.server.empty();
        self.server.run().await;
    }

    fn with_wrong_credentials(&self, address: SocketAddr) -> Option<FromStore<Sample>> {
        Some(source(&format!("redis://{USER}:{WRONG}@{address}"), Access::new()))
    }

    async fn with_wrong_name(&self) -> Option<(FromStore<Sample>, Proxy)> {
        self.with_certificate(Some("redis.example"), Validity::Now).await
    }

    async fn with_expired_certificate(&self) -> Option<(FromStore<Sample>, Proxy)> {
        self.with_certificate(None, Validity::Over).await
    }

    async fn throttle(&self, is_throttled: bool) -> bool {
        // One is the test's own.
        let clients = if is_throttled { "1" } else { "1000" };
        self.server.say(&["CONFIG", "SET", "maxclients", clients]).await;
        true
    }

    async fn break_channel(&self, is_broken: bool) -> bool {
        let right = if is_broken { "-client|tracking" } else { "+client|tracking" };
        self.server.say(&["ACL", "SETUSER", USER, right]).await;
        if is_broken {
            self.server.say(&["CLIENT", "KILL", "USER", USER]).await;
        }
        true
    }

    async fn requests(&self) -> Option<u64> {
        let stats: String =
            redis::from_redis_value(self.server.say(&["INFO", "stats"]).await).unwrap();
        let count = |name: &str| -> Option<u64> {
            stats.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
        };
        Some(count("total_connections_received:")? + count("rejected_connections:")?)
    }

    fn secrets(&self) -> Vec<String> {
        vec![PASSWORD.to_owned(), WRONG.to_owned()]
    }

    fn read_deadline(&self) -> Duration {
        READ_DEADLINE
    }
}

conformance!(RedisRig);

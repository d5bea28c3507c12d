//! Sentinels, and what they change.

use std::{collections::HashMap, net::SocketAddr};

use hot_reload::{ReloaderOptions, ReloaderService};
use hot_reload_sources::{Access, Entry, Secret, Store, redis::RedisPlace};
use tempfile::TempDir;

use crate::{
    changes::{until, watch},
    common::{
        server::{Server, address, command},
        within,
    },
    server::{PASSWORD, RedisServer, USER},
};

struct Sentinel {
    _server: Server,
    _dir: TempDir,
    address: SocketAddr,
}

impl Sentinel {
    /// Starts one that has `primary` replaced soon after it is gone.
    async fn start(primary: SocketAddr, more: &str) -> Self {
        let (server, address, dir) = (Server::default(), address(), tempfile::tempdir().unwrap());
        let file = dir.path().join("sentinel.conf");
        let text = format!(
            "bind {}\nport {}\nsentinel monitor main {} {} 1\n\
             sentinel down-after-milliseconds main 300\nsentinel failover-timeout main 1000\n{more}\n",
            address.ip(),
            address.port(),
            primary.ip(),
            primary.port(),
        );
        std::fs::write(&file, text).unwrap();
        let mut sentinel = command("redis-server");
        sentinel.arg(&file).arg("--sentinel").current_dir(dir.path());
        server.start(&mut sentinel, address).await;
        Self { _server: server, _dir: dir, address }
    }

    /// Whether it has heard of `replica` that it is one.
    async fn knows(&self, replica: &RedisServer) -> bool {
        let client = redis::Client::open(format!("redis://{}", self.address)).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let mut ask = redis::cmd("SENTINEL");
        ask.arg("REPLICAS").arg("main");
        let known: Vec<HashMap<String, String>> = ask.query_async(&mut connection).await.unwrap();
        known.iter().any(|known| {
            known["name"] == replica.address.to_string() && known["master-link-status"] == "ok"
        })
    }

    fn place(&self, primary: &str, access: Access) -> RedisPlace {
        let url = format!("redis+sentinel://{}/{primary}/0/k", self.address);
        RedisPlace::from_url(&url, access).unwrap()
    }
}

#[tokio::test]
async fn another_primary_is_followed_once_the_first_is_gone() {
    let primary = RedisServer::start().await;
    let replica = RedisServer::new(&[]);
    let (ip, port) = (primary.address.ip().to_string(), primary.address.port().to_string());
    let announced = replica.address.ip().to_string();
    let role = ["--replicaof", &*format!("{ip} {port}"), "--replica-announce-ip", &*announced];
    replica.run_with(&role).await;
    primary.put("k", "1").await;
    let mut there = watch(&replica.redis().key("k")).await.unwrap();
    until(&mut there, Entry::one("1")).await;

    let sentinel = Sentinel::start(primary.address, "").await;
    let source = sentinel.place("main", RedisServer::access()).text();
    let (service, mut value) = ReloaderService::from_reloader(source, ReloaderOptions::realtime());
    tokio::spawn(async move { service.start_with_realtime().await });
    within(value.changed()).await.unwrap();
    assert_eq!(value.get().as_deref(), Some("1"));
    // Only those it knows can be made primary.
    within(async { while !sentinel.knows(&replica).await {} }).await;

    primary.kill();
    within(async { while replica.try_to_say(&["SET", "k", "2"]).await.is_err() {} }).await;
    within(async {
        while value.get().as_deref() != Some("2") {
            value.changed().await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn any_of_the_sentinels_will_do() {
    let server = RedisServer::start().await;
    server.put("k", "1").await;
    // One is gone, one wants a password.
    let sentinel = Sentinel::start(server.address, &format!("requirepass {PASSWORD}")).await;
    let url = format!("redis+sentinel://{}/main/0/k?sentinel={}", address(), sentinel.address);
    let access = Access::new().password(Secret::text(PASSWORD));
    let place = RedisPlace::from_url(&url, access).unwrap();
    server.say(&["ACL", "SETUSER", "default", "resetpass", &format!(">{PASSWORD}")]).await;
    let mut changes = watch(&place).await.unwrap();
    until(&mut changes, Entry::one("1")).await;
}

#[tokio::test]
async fn a_sentinel_that_names_a_replica_is_not_believed() {
    let primary = RedisServer::start().await;
    let (ip, port) = (primary.address.ip().to_string(), primary.address.port().to_string());
    let replica = RedisServer::new(&[]);
    replica.run_with(&["--replicaof", &format!("{ip} {port}")]).await;
    let sentinel = Sentinel::start(replica.address, "").await;
    let place = sentinel.place("main", RedisServer::access());
    // One who may not ask takes it at its word.
    assert!(within(place.connect()).await.is_ok());
    replica.say(&["ACL", "SETUSER", USER, "+role"]).await;
    let error = within(place.connect()).await.err().unwrap();
    assert!(error.is_unreachable() && error.to_string().contains("primary"), "{error}");
    replica.say(&["REPLICAOF", "NO", "ONE"]).await;
    within(async { while place.connect().await.is_err() {} }).await;
}

#[tokio::test]
async fn a_name_that_no_sentinel_knows_is_told() {
    let server = RedisServer::start().await;
    let sentinel = Sentinel::start(server.address, "").await;
    let place = sentinel.place("mian", Access::new().user(USER));
    let error = within(place.connect()).await.err().unwrap();
    assert!(error.is_refused() && error.to_string().contains("mian"), "{error}");
}

//! Nodes of a cluster.

use std::net::IpAddr;

use hot_reload_sources::{Entry, Store};

use crate::{
    changes::{until, watch},
    common::within,
    server::RedisServer,
};

/// The slot of the key `k` is among those.
const LOWER: [&str; 2] = ["0", "8191"];
const UPPER: [&str; 2] = ["8192", "16383"];

/// Starts one, at `ip` if that is given.
async fn node(ip: Option<IpAddr>) -> RedisServer {
    let mut node = RedisServer::new(&["--cluster-enabled", "yes", "--databases", "1"]);
    if let Some(ip) = ip {
        node.address.set_ip(ip);
    }
    let ip = node.address.ip().to_string();
    // The others would take the address that it connects from.
    node.run_with(&["--cluster-announce-ip", &ip, "--cluster-port", &bus(&node)]).await;
    node
}

/// By default it is beyond the ports that there are, from some on.
fn bus(node: &RedisServer) -> String {
    (node.address.port() - 10_000).to_string()
}

#[tokio::test]
async fn a_key_is_followed_on_the_node_that_has_it() {
    let (one, other) = (node(None), node(None));
    let (one, other) = tokio::join!(one, other);
    follows(&one, &other).await;
}

#[tokio::test]
async fn a_node_that_does_not_know_its_address_is_where_the_other_is() {
    let one = node(None).await;
    let other = node(Some(one.address.ip())).await;
    let nameless = ["CONFIG", "SET", "cluster-preferred-endpoint-type", "unknown-endpoint"];
    for node in [&one, &other] {
        node.say(&nameless).await;
    }
    follows(&one, &other).await;
}

async fn follows(one: &RedisServer, other: &RedisServer) {
    let place = one.redis().key("k");
    let read = async || within(async { place.connect().await?.read().await }).await;
    let error = read().await.err().unwrap();
    assert!(error.is_unreachable(), "no node has it yet: {error}");
    one.say(&["CLUSTER", "ADDSLOTSRANGE", UPPER[0], UPPER[1]]).await;
    other.say(&["CLUSTER", "ADDSLOTSRANGE", LOWER[0], LOWER[1]]).await;
    let (ip, port) = (other.address.ip().to_string(), other.address.port().to_string());
    one.say(&["CLUSTER", "MEET", &ip, &port, &bus(other)]).await;
    within(async { while read().await.is_err() {} }).await;
    within(async { while other.try_to_say(&["SET", "k", "1"]).await.is_err() {} }).await;

    let mut changes = watch(&place).await.unwrap();
    until(&mut changes, Entry::one("1")).await;
    other.put("k", "2").await;
    until(&mut changes, Entry::one("2")).await;
    assert!(read().await.unwrap() == Entry::one("2"));
}

//! Nodes of a cluster.

use std::{net::IpAddr, time::Duration};

use hot_reload_sources::{Access, Changes, Entry, Store, redis::Redis};
use tokio::time::Instant;

use crate::{
    changes::{until, watch},
    common::within,
    fake::{FakeNode, listener},
    loss::end,
    server::{RedisServer, USER},
};

/// The slot of the key `k`.
const SLOT: &str = "7629";
/// It is among these.
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
    drop(follows(&one, &other).await);
}

#[tokio::test]
async fn a_key_is_followed_while_its_slot_is_on_its_way() {
    let (one, other) = (node(None), node(None));
    let (one, other) = tokio::join!(one, other);
    let mut changes = follows(&one, &other).await;
    let ids = [id(&one).await, id(&other).await];
    one.say(&["CLUSTER", "SETSLOT", SLOT, "IMPORTING", &ids[1]]).await;
    other.say(&["CLUSTER", "SETSLOT", SLOT, "MIGRATING", &ids[0]]).await;
    let (ip, port) = (one.address.ip().to_string(), one.address.port().to_string());
    other.say(&["MIGRATE", &ip, &port, "k", "0", "5000"]).await;
    for value in ["3", "4"] {
        one.say(&["ASKING"]).await;
        one.put("k", value).await;
        until(&mut changes, Entry::one(value)).await;
    }
    // Whoever begins only now finds it as well.
    let place = one.redis().key("k");
    one.say(&["ACL", "SETUSER", USER, "-asking"]).await;
    let error = within(place.connect().await.unwrap().read()).await.err().unwrap();
    assert!(error.is_refused() && error.to_string().contains("ASKING"), "{error}");
    one.say(&["ACL", "SETUSER", USER, "+asking"]).await;
    until(&mut watch(&place).await.unwrap(), Entry::one("4")).await;
    assert!(within(place.connect().await.unwrap().read()).await.unwrap() == Entry::one("4"));

    for node in [&one, &other] {
        node.say(&["CLUSTER", "SETSLOT", SLOT, "NODE", &ids[0]]).await;
    }
    for value in ["5", "6"] {
        one.put("k", value).await;
        until(&mut changes, Entry::one(value)).await;
    }
}

#[tokio::test]
async fn a_slot_that_stays_after_all_is_followed_where_it_was() {
    let (one, other) = (node(None), node(None));
    let (one, other) = tokio::join!(one, other);
    let mut changes = follows(&one, &other).await;
    let ids = [id(&one).await, id(&other).await];
    one.say(&["CLUSTER", "SETSLOT", SLOT, "IMPORTING", &ids[1]]).await;
    other.say(&["CLUSTER", "SETSLOT", SLOT, "MIGRATING", &ids[0]]).await;
    // On a node that lets a slot go, a key that is not there may be on the other.
    other.say(&["DEL", "k"]).await;
    until(&mut changes, Entry::gone()).await;
    one.say(&["ASKING"]).await;
    one.put("k", "3").await;
    until(&mut changes, Entry::one("3")).await;
    other.say(&["CLUSTER", "SETSLOT", SLOT, "STABLE"]).await;
    other.put("k", "4").await;
    one.say(&["ASKING"]).await;
    one.say(&["DEL", "k"]).await;
    until(&mut changes, Entry::one("4")).await;
    other.put("k", "5").await;
    until(&mut changes, Entry::one("5")).await;
}

#[tokio::test]
async fn a_key_is_followed_from_node_to_node() {
    let server = RedisServer::start().await;
    server.put("k", "1").await;
    let third = FakeNode::that_names(server.address).await;
    let second = FakeNode::that_names(third.address).await;
    let first = FakeNode::that_names(second.address).await;
    let mut changes = watch(&at(&first).key("k")).await.unwrap();
    until(&mut changes, Entry::one("1")).await;
    server.put("k", "2").await;
    until(&mut changes, Entry::one("2")).await;
}

#[tokio::test]
async fn nodes_that_send_a_key_to_each_other_are_tried_again_soon() {
    let [one, _other] = FakeNode::two_that_name_each_other().await;
    let mut changes = watch(&at(&one).key("k")).await.unwrap();
    let error = end(&mut changes).await;
    assert!(error.is_unreachable(), "{error}");
}

#[tokio::test]
async fn a_node_that_does_not_answer_ends_a_watch_in_time() {
    let silent = listener().await;
    let node = FakeNode::that_names(silent.local_addr().unwrap()).await;
    let deadline = Duration::from_millis(500);
    let mut changes = watch(&at(&node).read_deadline(deadline).key("k")).await.unwrap();
    let begun = Instant::now();
    let error = end(&mut changes).await;
    assert!(error.is_unreachable(), "{error}");
    assert!(begun.elapsed() < deadline * 4, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_node_that_does_not_know_its_address_is_where_the_other_is() {
    let one = node(None).await;
    let other = node(Some(one.address.ip())).await;
    let nameless = ["CONFIG", "SET", "cluster-preferred-endpoint-type", "unknown-endpoint"];
    for node in [&one, &other] {
        node.say(&nameless).await;
    }
    drop(follows(&one, &other).await);
}

fn at(node: &FakeNode) -> Redis {
    Redis::from_url(&format!("redis://{}", node.address), Access::new()).unwrap()
}

async fn id(node: &RedisServer) -> String {
    redis::from_redis_value(node.say(&["CLUSTER", "MYID"]).await).unwrap()
}

/// Has both of them be a cluster, of which the other has the key, and follows that by the one.
async fn follows(one: &RedisServer, other: &RedisServer) -> Changes {
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
    changes
}

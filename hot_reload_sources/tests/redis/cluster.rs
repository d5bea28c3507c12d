//! Nodes of a cluster.

use hot_reload_sources::Store;

use crate::{common::within, server::RedisServer};

/// The slot of the key `k` is among those.
const LOWER: [&str; 2] = ["0", "8191"];
const UPPER: [&str; 2] = ["8192", "16383"];

async fn node() -> RedisServer {
    let node = RedisServer::new(&["--cluster-enabled", "yes"]);
    node.run_with(&["--databases", "1", "--cluster-port", &bus(&node)]).await;
    node
}

/// By default it is beyond the ports that there are, from some on.
fn bus(node: &RedisServer) -> String {
    (node.address.port() - 10_000).to_string()
}

#[tokio::test]
async fn the_error_says_which_node_has_the_key() {
    let (one, other) = tokio::join!(node(), node());
    let place = one.redis().key("k");
    let read = async || {
        let error = within(async { place.connect().await?.read().await }).await.err();
        error.expect("the key is elsewhere")
    };
    let error = read().await;
    assert!(error.is_throttled(), "no node has it yet: {error}");
    one.say(&["CLUSTER", "ADDSLOTSRANGE", UPPER[0], UPPER[1]]).await;
    other.say(&["CLUSTER", "ADDSLOTSRANGE", LOWER[0], LOWER[1]]).await;
    let (ip, port) = (other.address.ip().to_string(), other.address.port().to_string());
    one.say(&["CLUSTER", "MEET", &ip, &port, &bus(&other)]).await;
    let error = within(async {
        loop {
            let error = read().await;
            if error.is_refused() {
                break error;
            }
        }
    })
    .await;
    assert!(error.to_string().contains(&other.address.to_string()), "{error}");
}

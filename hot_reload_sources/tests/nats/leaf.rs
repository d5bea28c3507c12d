//! Leaf nodes, each with a mirror of the bucket that the hub has.

use std::time::Duration;

use async_nats::jetstream::stream;
use hot_reload_sources::Store;

use crate::{
    KEY,
    common::{
        follow::{comes, followed, text},
        server::address,
    },
    server::{BUCKET, NatsServer, PASSWORD},
};

/// A hub with the bucket, and a leaf with its mirror, of the same name.
async fn hub_and_leaf() -> (NatsServer, NatsServer) {
    let leaves = address();
    let hub = format!("server_name: hub\nleafnodes {{listen: \"{leaves}\"}}");
    let hub = NatsServer::in_domain("hub", &hub).await;
    hub.create_with(1, Duration::ZERO).await;
    let remote = format!("{{url: \"nats://app:{PASSWORD}@{leaves}\"}}");
    let leaf = format!("server_name: leaf\nleafnodes {{remotes: [{remote}]}}");
    let leaf = NatsServer::in_domain("leaf", &leaf).await;
    let name = format!("KV_{BUCKET}");
    let external = stream::External { api_prefix: "$JS.hub.API".into(), delivery_prefix: None };
    let origin =
        stream::Source { name: name.clone(), external: Some(external), ..Default::default() };
    leaf.create_stream(stream::Config {
        name,
        mirror: Some(origin),
        max_messages_per_subject: 1,
        allow_direct: true,
        num_replicas: 1,
        ..stream::Config::default()
    })
    .await;
    (hub, leaf)
}

#[tokio::test]
async fn a_leaf_serves_what_the_hub_has_and_goes_on_without_it() {
    let (hub, leaf) = Box::pin(hub_and_leaf()).await;
    hub.put(KEY, "one").await;
    let mut known = followed(leaf.bucket().key(KEY).text());
    comes(&mut known, text("one")).await;
    hub.put(KEY, "two").await;
    comes(&mut known, text("two")).await;

    hub.kill().await;
    // Who comes only now has it too.
    let mut late = followed(leaf.bucket().key(KEY).text());
    comes(&mut late, text("two")).await;
    leaf.restart().await;
    let mut later = followed(leaf.bucket().key(KEY).text());
    comes(&mut later, text("two")).await;
    assert_eq!(known.get(), Some(text("two")));

    hub.run().await;
    hub.put(KEY, "three").await;
    for receiver in [&mut known, &mut late, &mut later] {
        comes(receiver, text("three")).await;
    }
    // They are all at the leaf.
    assert_eq!((hub.connections(), leaf.connections()), (0, 3));
}

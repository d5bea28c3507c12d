//! A cluster of three, of which one may be lost.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use hot_reload_sources::{Access, Store};

use tokio::time::sleep;

use crate::{
    KEY,
    common::{
        follow::{comes, followed, text},
        server::address,
        within,
    },
    server::{BUCKET, NatsServer, PASSWORD, bucket},
};

async fn cluster() -> Vec<NatsServer> {
    let routes = [address(), address(), address()];
    let all = routes.map(|route| format!("\"nats://{route}\"")).join(", ");
    let members = routes.iter().enumerate().map(|(n, route)| {
        let all = all.clone();
        async move {
            let options = format!(
                "server_name: n{n}\ncluster {{name: c, listen: \"{route}\", routes: [{all}]}}"
            );
            NatsServer::without_bucket(&options).await
        }
    });
    let members = join_all(members).await;
    members[0].create_with(3, Duration::ZERO).await;
    members
}

#[tokio::test]
async fn the_member_that_is_connected_to_may_be_lost() {
    let members = cluster().await;
    let hosts: Vec<_> = members.iter().map(|member| member.address().to_string()).collect();
    let url = format!("nats://app:{PASSWORD}@{}", hosts.join(","));
    members[0].put(KEY, "0").await;
    members[0].put("f.a", "0").await;
    let bucket = bucket(&url, Access::new());
    let mut one = followed(bucket.key(KEY).text());
    let mut set = followed(bucket.prefix("f.").each_bytes());
    comes(&mut one, text("0")).await;
    for round in 1..=2 {
        let lost = members.iter().position(|member| member.connections() > 0);
        let lost = lost.expect("one is connected");
        members[lost].kill().await;
        let other = &members[(lost + 1) % members.len()];
        other.put(KEY, &round.to_string()).await;
        other.put("f.a", &round.to_string()).await;
        comes(&mut one, round.to_string()).await;
        let value = Bytes::from(round.to_string());
        comes(&mut set, [("a".to_owned(), value)].into()).await;
        members[lost].run().await;
        is_whole(other).await;
    }
}

/// Waits until all members have all there is.
async fn is_whole(member: &NatsServer) {
    let jetstream = member.jetstream().await;
    within(async {
        loop {
            let stream = jetstream.get_stream(format!("KV_{BUCKET}")).await.ok();
            let cluster = stream.and_then(|stream| stream.cached_info().cluster.clone());
            let is_whole = cluster.is_some_and(|cluster| {
                cluster.replicas.iter().all(|replica| replica.current && !replica.offline)
            });
            if is_whole {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}

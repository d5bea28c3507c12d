//! Servers without client tracking.

use futures_util::StreamExt;
use hot_reload_sources::{Entry, Store};

use crate::{
    changes::{until, watch},
    common::within,
    server::{RedisServer, USER},
};

#[tokio::test]
async fn keyspace_notifications_tell_of_changes() {
    let server = RedisServer::with(&["--notify-keyspace-events", "KA"]).await;
    let channels = ["&__keyspace@0__:k", "&__keyspace@0__:h"];
    let rights = ["ACL", "SETUSER", USER, "-client", "+subscribe", channels[0], channels[1]];
    server.say(&rights).await;
    let redis = server.redis().keyspace_events(true);
    let mut changes = watch(&redis.key("k")).await.unwrap();
    let mut other = watch(&redis.hash("h")).await.unwrap();
    until(&mut changes, Entry::gone()).await;
    until(&mut other, Entry::gone()).await;
    for (words, want) in [
        (&["SET", "k", "1"][..], Entry::one("1")),
        (&["APPEND", "k", "2"], Entry::one("12")),
        (&["DEL", "k"], Entry::gone()),
        (&["SET", "k", "3", "PX", "50"], Entry::one("3")),
        (&["PING"], Entry::gone()),
    ] {
        server.say(words).await;
        until(&mut changes, want).await;
    }
    server.say(&["HSET", "h", "a", "1"]).await;
    until(&mut other, Entry::set([("a".to_owned(), "1".into())].into())).await;
    assert_eq!(server.clients().await, 2, "one that asks, one that hears");
    server.say(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
    assert!(within(changes.next()).await.unwrap().err().unwrap().is_unreachable());
    drop((changes, other));
    server.is_alone().await;
}

#[tokio::test]
async fn a_server_that_sends_no_notifications_is_told() {
    let server = RedisServer::start().await;
    server.say(&["ACL", "SETUSER", USER, "+config|get", "+subscribe", "&*"]).await;
    let error = watch(&server.redis().keyspace_events(true).key("k")).await.err().unwrap();
    assert!(error.is_refused() && error.to_string().contains("KA"), "{error}");
    server.say(&["ACL", "SETUSER", USER, "resetchannels"]).await;
    server.say(&["CONFIG", "SET", "notify-keyspace-events", "KA"]).await;
    let error = watch(&server.redis().keyspace_events(true).key("k")).await.err().unwrap();
    assert!(error.is_refused() && error.to_string().contains("SUBSCRIBE"), "{error}");
}

#[tokio::test]
async fn a_server_without_resp3_is_polled() {
    let server = RedisServer::with(&["--rename-command", "HELLO", ""]).await;
    server.put("k", "1").await;
    let place = server.redis().key("k");
    let error = watch(&place).await.err().unwrap();
    assert!(error.is_refused() && error.to_string().contains("RESP3"), "{error}");
    let read = within(async { place.connect().await.unwrap().read().await }).await;
    assert!(read.unwrap() == Entry::one("1"));
    server.kill();
    let read = within(async { place.connect().await?.read().await }).await;
    assert!(read.err().unwrap().is_unreachable());
}

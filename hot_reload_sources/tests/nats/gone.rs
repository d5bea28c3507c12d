//! What is gone, by a word or without one, and what is taken then.

use std::time::Duration;

use async_nats::jetstream::stream::StorageType;
use bytes::Bytes;
use hot_reload::ReloaderOptions;
use hot_reload_sources::Store;
use tokio::time::Instant;

use crate::{
    KEY,
    common::follow::{comes, fails, followed, followed_by, text},
    follow::{SOON, map},
    server::{BUCKET, NatsServer},
};

#[tokio::test]
async fn a_key_that_is_deleted_or_purged_leaves_its_last_value_until_it_is_back() {
    let server = NatsServer::start().await;
    server.put(KEY, "0").await;
    let mut followed = followed(server.bucket().key(KEY).text());
    comes(&mut followed, text("0")).await;
    let store = server.store().await;
    for (last, next) in [("0", "1"), ("1", "2")] {
        match last {
            "0" => store.delete(KEY).await.unwrap(),
            _ => store.purge(KEY).await.unwrap(),
        }
        fails(&followed, "nothing there").await;
        assert_eq!(followed.get(), Some(text(last)));
        let begun = Instant::now();
        server.put(KEY, next).await;
        comes(&mut followed, text(next)).await;
        assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn what_younger_servers_leave_where_a_value_expired_is_no_value() {
    let server = NatsServer::start().await;
    server.put(KEY, "one").await;
    let mut followed = followed(server.bucket().key(KEY).text());
    comes(&mut followed, text("one")).await;
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("Nats-Marker-Reason", "MaxAge");
    let jetstream = server.jetstream().await;
    let subject = format!("$KV.{BUCKET}.{KEY}");
    let sent = jetstream.publish_with_headers(subject, headers, Bytes::new()).await;
    sent.unwrap().await.unwrap();
    fails(&followed, "nothing there").await;
    server.put(KEY, "two").await;
    comes(&mut followed, text("two")).await;
}

#[tokio::test]
async fn a_value_that_expires_is_missed_at_the_next_look() {
    let server = NatsServer::without_bucket("").await;
    server.create(Duration::from_secs(3)).await;
    server.put("f.a", "1").await;
    let options = ReloaderOptions::hybrid().poll_interval(Duration::from_millis(200));
    let one = followed_by(server.bucket().key("f.a").text(), options.clone());
    let mut set = followed_by(server.bucket().prefix("f.").each_bytes(), options);
    comes(&mut set, map(&[("a", "1")])).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    server.put("f.b", "2").await;
    comes(&mut set, map(&[("a", "1"), ("b", "2")])).await;
    comes(&mut set, map(&[("b", "2")])).await;
    fails(&one, "nothing there").await;
    // And it may come again.
    server.put("f.a", "3").await;
    let mut one = one;
    comes(&mut one, text("3")).await;
}

#[tokio::test]
async fn a_value_that_expires_while_there_is_no_connection_is_missed_too() {
    let server = NatsServer::without_bucket("").await;
    server.create(Duration::from_secs(2)).await;
    server.put("f.a", "1").await;
    let mut set = followed(server.bucket().prefix("f.").each_bytes().allow_empty(true));
    comes(&mut set, map(&[("a", "1")])).await;
    server.kill().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    server.run().await;
    comes(&mut set, map(&[])).await;
}

#[tokio::test]
async fn a_value_that_is_removed_by_its_number_gives_way_to_the_one_before() {
    let server = NatsServer::without_bucket("").await;
    // In a file, NATS 2.9 does not find the one before until it is started anew.
    server.create_with_history(5, StorageType::Memory).await;
    server.put(KEY, "one").await;
    let interval = Duration::from_millis(200);
    let polled = ReloaderOptions::polling().poll_interval(interval);
    let hybrid = ReloaderOptions::hybrid().poll_interval(interval);
    let mut all =
        [polled, hybrid].map(|options| followed_by(server.bucket().key(KEY).text(), options));
    for round in 0..2 {
        let value = format!("bad {round}");
        let removed = server.put(KEY, &value).await;
        for receiver in &mut all {
            comes(receiver, value.clone()).await;
        }
        server.forget(removed).await;
        for receiver in &mut all {
            comes(receiver, text("one")).await;
        }
    }
    server.put(KEY, "two").await;
    for receiver in &mut all {
        comes(receiver, text("two")).await;
    }
}

#[tokio::test]
async fn one_that_is_removed_while_there_is_no_connection_gives_way_too() {
    let server = NatsServer::without_bucket("").await;
    server.create_with_history(5, StorageType::File).await;
    server.put(KEY, "one").await;
    let mut followed = followed(server.bucket().key(KEY).text());
    comes(&mut followed, text("one")).await;
    let removed = server.put(KEY, "bad").await;
    comes(&mut followed, text("bad")).await;
    // Nothing tells of it, and nobody looks.
    server.forget(removed).await;
    server.restart().await;
    comes(&mut followed, text("one")).await;
    server.put(KEY, "two").await;
    comes(&mut followed, text("two")).await;
}

//! Values that are larger than what is taken.

use std::{collections::BTreeMap, time::Duration};

use hot_reload::ReloaderOptions;
use hot_reload_sources::{Entry, Store};
use tokio::time::sleep;

use crate::{
    changes::{until, watch},
    common::{
        follow::{comes, fails, followed_by, text},
        within,
    },
    server::{RedisServer, USER},
};

const LIMIT: usize = 1000;

/// Often, as each look at what is too large would have it sent again.
fn often() -> ReloaderOptions {
    ReloaderOptions::hybrid().poll_interval(Duration::from_millis(100))
}

/// How many bytes the server has sent.
async fn sent(server: &RedisServer) -> u64 {
    let stats: String = redis::from_redis_value(server.say(&["INFO", "stats"]).await).unwrap();
    let sent = stats.lines().find_map(|line| line.strip_prefix("total_net_output_bytes:"));
    sent.unwrap().trim().parse().unwrap()
}

#[tokio::test]
async fn what_is_too_large_is_told_and_not_sent() {
    let server = RedisServer::start().await;
    is_not_sent(&server).await;
}

#[tokio::test]
async fn what_is_too_large_is_not_sent_by_a_server_without_eval_ro() {
    let server = RedisServer::start().await;
    server.say(&["ACL", "SETUSER", USER, "-eval_ro", "+eval", "~*"]).await;
    is_not_sent(&server).await;
}

async fn is_not_sent(server: &RedisServer) {
    server.put("k", "1").await;
    let mut value = followed_by(server.redis().key("k").max_size(LIMIT).text(), often());
    comes(&mut value, text("1")).await;
    let before = sent(server).await;
    server.say(&["SETRANGE", "k", "64000000", "x"]).await;
    fails(&value, "more than 1000 bytes").await;
    sleep(Duration::from_secs(1)).await;
    let sent = sent(server).await - before;
    assert!(sent < 1_000_000, "{sent} bytes of what is not taken");
    assert_eq!(value.get().as_deref(), Some("1"));
    server.put("k", "2").await;
    comes(&mut value, text("2")).await;
}

#[tokio::test]
async fn a_hash_that_is_too_large_is_told_and_not_sent() {
    let server = RedisServer::start().await;
    server.say(&["HSET", "h", "a", "1"]).await;
    let mut value = followed_by(server.redis().hash("h").max_size(LIMIT).each_bytes(), often());
    let one = BTreeMap::from([(text("a"), "1".into())]);
    comes(&mut value, one.clone()).await;
    let before = sent(&server).await;
    // One value, and then names.
    server.say(&["SETRANGE", "large", "64000000", "x"]).await;
    let script = "redis.call('HSET', KEYS[1], 'b', redis.call('GET', KEYS[2]))";
    server.say(&["EVAL", script, "2", "h", "large"]).await;
    fails(&value, "more than 1000 bytes").await;
    sleep(Duration::from_secs(1)).await;
    let script = "for n = 1, 100000 do redis.call('HSET', KEYS[1], 'field ' .. n, '') end";
    server.say(&["EVAL", script, "1", "h"]).await;
    server.say(&["HDEL", "h", "b"]).await;
    sleep(Duration::from_secs(1)).await;
    let sent = sent(&server).await - before;
    assert!(sent < 1_000_000, "{sent} bytes of what is not taken");
    assert_eq!(value.get(), Some(one));
    server.say(&["DEL", "h"]).await;
    server.say(&["HSET", "h", "a", "2"]).await;
    comes(&mut value, [(text("a"), "2".into())].into()).await;
}

#[tokio::test]
async fn all_that_is_not_too_large_is_taken() {
    let server = RedisServer::start().await;
    let redis = server.redis();
    let read = async |place: &hot_reload_sources::redis::RedisPlace| {
        within(async { place.connect().await?.read().await }).await.unwrap()
    };
    let (key, hash) = (redis.key("k").max_size(LIMIT), redis.hash("h").max_size(LIMIT));
    for size in [0, 1, LIMIT - 1, LIMIT, LIMIT + 1] {
        let value = "x".repeat(size);
        server.put("k", &value).await;
        server.say(&["DEL", "h"]).await;
        // Its name counts.
        server.say(&["HSET", "h", "x", value.get(1..).unwrap_or_default()]).await;
        let (one, set) = (read(&key).await, read(&hash).await);
        let is_taken = size <= LIMIT;
        assert_eq!(one == Entry::one(value), is_taken, "{size}: {one:?}");
        assert_eq!(set.content().is_some(), is_taken, "{size}: {set:?}");
        assert_eq!([one.error().is_some(), set.error().is_some()], [!is_taken; 2], "{size}");
    }
}

#[tokio::test]
async fn how_much_is_taken_is_said_once() {
    let server = RedisServer::start().await;
    let size = 17 * 1024 * 1024;
    server.say(&["SETRANGE", "k", &(size - 1).to_string(), "x"]).await;
    let key = server.redis().key("k");
    let error = within(key.clone().bytes().watch()).await.err().unwrap().to_string();
    assert!(error.contains("more than 16777216 bytes"), "{error}");
    let value = within(key.max_size(size).bytes().watch()).await.unwrap();
    assert_eq!(value.get().unwrap().len(), size);
}

/// Before, no more than these were needed.
#[tokio::test]
async fn without_the_right_to_run_scripts_a_key_is_followed_all_the_same() {
    let server = RedisServer::start().await;
    for lacks in ["eval_ro", "strlen"] {
        server.say(&["ACL", "SETUSER", USER, &format!("-{lacks}")]).await;
        let redis = server.redis();
        let mut changes = watch(&redis.key("k").max_size(LIMIT)).await.unwrap();
        let mut set = watch(&redis.hash("h").max_size(LIMIT)).await.unwrap();
        until(&mut changes, Entry::gone()).await;
        until(&mut set, Entry::gone()).await;
        for value in ["1", ""] {
            server.put("k", value).await;
            until(&mut changes, Entry::one(value)).await;
        }
        server.say(&["HSET", "h", "a", "1"]).await;
        until(&mut set, Entry::set([(text("a"), "1".into())].into())).await;
        server.say(&["SETRANGE", "k", "1000000", "x"]).await;
        let large = within(futures_util::StreamExt::next(&mut changes)).await.unwrap().unwrap();
        assert!(large.error().is_some(), "{large:?}");
        server.say(&["DEL", "k", "h"]).await;
        until(&mut changes, Entry::gone()).await;
        server.say(&["ACL", "SETUSER", USER, &format!("+{lacks}")]).await;
    }
}

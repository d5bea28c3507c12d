//! How changes arrive.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use futures_util::StreamExt;
use hot_reload_sources::{
    Access, Changes, Entry, Store, StoreError,
    redis::{Redis, RedisPlace},
};
use serde::Deserialize;
use tokio::time::timeout;

use crate::{
    common::within,
    server::{PASSWORD, RedisServer, USER},
};

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Value {
    n: u32,
}

/// Watches `place` with a connection that lives as long as what is returned.
pub async fn watch(place: &RedisPlace) -> Result<Changes, StoreError> {
    within(async { place.connect().await?.watch().await }).await.map(|changes| changes.unwrap())
}

/// Waits until `entry` is told; what else is told meanwhile is of before.
#[track_caller]
pub fn until(changes: &mut Changes, entry: Entry) -> impl Future<Output = ()> {
    within(async move {
        while changes.next().await.expect("the watch goes on").expect("no error") != entry {}
    })
}

#[tokio::test]
async fn a_value_is_followed() {
    let server = RedisServer::start().await;
    server.put("k", "n = 1").await;
    let mut value = within(server.redis().key("k").toml::<Value>().watch()).await.unwrap();
    assert_eq!(value.get(), Some(Value { n: 1 }));
    server.put("k", "n = 2").await;
    within(async {
        while value.get() != Some(Value { n: 2 }) {
            value.changed().await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn a_url_names_a_place_and_the_way_in() {
    let server = RedisServer::start().await;
    server.say(&["SELECT", "3"]).await;
    server.put("prod/a b.toml", "n = 1").await;
    for url in [
        format!("redis://{USER}:{PASSWORD}@{}/3/prod/a%20b.toml", server.address),
        format!(
            "redis+unix://{}?db=3&user={USER}&pass={PASSWORD}&key=prod/a+b.toml",
            server.socket().display()
        ),
    ] {
        let place = RedisPlace::from_url(&url, Access::new()).unwrap();
        assert!(!place.name().contains(PASSWORD) && place.name().contains("prod/a%20b.toml"));
        let mut changes = watch(&place).await.unwrap();
        until(&mut changes, Entry::one("n = 1")).await;
    }
}

#[tokio::test]
async fn a_client_may_be_handed_in() {
    let server = RedisServer::start().await;
    server.say(&["SELECT", "2"]).await;
    server.put("k", "1").await;
    let url = format!("redis://{USER}:{PASSWORD}@{}/2", server.address);
    let redis = Redis::from_client(redis::Client::open(url).unwrap());
    assert_eq!(redis.key("k").name(), format!("redis://{}/2/k", server.address));
    let mut changes = watch(&redis.key("k")).await.unwrap();
    until(&mut changes, Entry::one("1")).await;
    server.put("k", "2").await;
    until(&mut changes, Entry::one("2")).await;
    drop(changes);
    server.is_alone().await;
}

#[tokio::test]
async fn whatever_happens_to_a_key_is_told() {
    let server = RedisServer::start().await;
    let mut changes = watch(&server.redis().key("k")).await.unwrap();
    until(&mut changes, Entry::gone()).await;
    for (words, want) in [
        (&["SET", "k", "1"][..], Entry::one("1")),
        (&["APPEND", "k", "2"], Entry::one("12")),
        (&["DEL", "k"], Entry::gone()),
        (&["EVAL", "redis.call('SET', KEYS[1], '3')", "1", "k"], Entry::one("3")),
        (&["FLUSHALL"], Entry::gone()),
        (&["SET", "k", "4", "PX", "50"], Entry::one("4")),
        // As it expires.
        (&["PING"], Entry::gone()),
        (&["SET", "other", "5"], Entry::gone()),
    ] {
        server.say(words).await;
        if words != ["SET", "other", "5"] {
            until(&mut changes, want).await;
        }
    }
    server.say(&["RENAME", "other", "k"]).await;
    until(&mut changes, Entry::one("5")).await;
}

#[tokio::test]
async fn a_hash_is_a_set() {
    let server = RedisServer::start().await;
    let place = server.redis().hash("h");
    let mut changes = watch(&place).await.unwrap();
    until(&mut changes, Entry::gone()).await;
    let set = |fields: &[(&str, &str)]| {
        let fields = fields
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Bytes::copy_from_slice(value.as_bytes())));
        Entry::set(fields.collect::<BTreeMap<_, _>>())
    };
    server.say(&["HSET", "h", "a", "1", "b", "2"]).await;
    until(&mut changes, set(&[("a", "1"), ("b", "2")])).await;
    server.say(&["HDEL", "h", "a"]).await;
    until(&mut changes, set(&[("b", "2")])).await;
    server.say(&["HDEL", "h", "b"]).await;
    until(&mut changes, Entry::gone()).await;
}

#[tokio::test]
async fn a_url_names_a_hash_by_a_fragment() {
    let server = RedisServer::start().await;
    server.say(&["HSET", "h", "a", "n = 1", "b", "n = x"]).await;
    let url = format!("redis://{}/0/h#set", server.address);
    let source = RedisPlace::from_url(&url, RedisServer::access()).unwrap().each_toml::<Value>();
    let told = within(source.clone().watch()).await.err().unwrap().to_string();
    assert!(told.contains(&format!("redis://{}/0/h#set/b", server.address)), "{told}");
    server.say(&["HSET", "h", "b", "n = 2"]).await;
    let all = within(source.watch()).await.unwrap().get().unwrap();
    assert_eq!((all["a"].n, all["b"].n), (1, 2));
}

#[tokio::test]
async fn of_a_burst_the_last_is_told() {
    let server = RedisServer::start().await;
    let mut changes = watch(&server.redis().key("k")).await.unwrap();
    let burst = "for n = 1, 10000 do redis.call('SET', KEYS[1], n) end";
    let mut told = 0;
    for round in 1..=10 {
        server.say(&["EVAL", burst, "1", "k"]).await;
        let last = format!("last {round}");
        server.put("k", &last).await;
        within(async {
            while changes.next().await.unwrap().unwrap() != Entry::one(last.clone()) {
                told += 1;
            }
        })
        .await;
    }
    assert!(told < 1000, "{told} reads for what changed meanwhile");
}

#[tokio::test]
async fn all_keys_share_one_connection_which_ends_with_the_last() {
    let server = RedisServer::start().await;
    let redis = server.redis();
    let mut all = Vec::new();
    for n in 0..50 {
        all.push(watch(&redis.key(format!("k{n}"))).await.unwrap());
    }
    // Twice the same key.
    all.push(watch(&redis.key("k0")).await.unwrap());
    for changes in &mut all {
        until(changes, Entry::gone()).await;
    }
    assert_eq!(server.clients().await, 1);
    for (n, changes) in all.iter_mut().enumerate() {
        server.put(&format!("k{}", n % 50), &n.to_string()).await;
        until(changes, Entry::one(n.to_string())).await;
    }
    drop(all);
    server.is_alone().await;
}

#[tokio::test]
async fn a_change_of_another_key_is_not_looked_at() {
    let server = RedisServer::start().await;
    let mut changes = watch(&server.redis().key("k")).await.unwrap();
    until(&mut changes, Entry::gone()).await;
    server.say(&["CONFIG", "RESETSTAT"]).await;
    for n in 0..100 {
        server.put("other", &n.to_string()).await;
    }
    server.put("k", "1").await;
    until(&mut changes, Entry::one("1")).await;
    let stats: String =
        redis::from_redis_value(server.say(&["INFO", "commandstats"]).await).unwrap();
    let gets = stats.lines().find(|line| line.starts_with("cmdstat_getrange:")).unwrap();
    assert!(gets.contains("calls=1,"), "{gets}");
}

#[tokio::test]
async fn a_server_that_remembers_few_keys_is_not_asked_without_end() {
    let server = RedisServer::with(&["--tracking-table-max-keys", "1"]).await;
    let redis = server.redis();
    let mut all = futures_util::stream::SelectAll::new();
    for n in 0..20 {
        all.push(watch(&redis.key(format!("k{n}"))).await.unwrap());
    }
    let count = async || {
        let stats: String =
            redis::from_redis_value(server.say(&["INFO", "commandstats"]).await).unwrap();
        let gets = stats.lines().find_map(|line| line.strip_prefix("cmdstat_get:calls=")).unwrap();
        gets.split_once(',').unwrap().0.parse::<u32>().unwrap()
    };
    let a_while = Duration::from_secs(2);
    assert!(timeout(a_while, async { while all.next().await.is_some() {} }).await.is_err());
    let before = count().await;
    assert!(timeout(a_while, async { while all.next().await.is_some() {} }).await.is_err());
    let asked = count().await - before;
    assert!(asked < 400, "{asked} reads in {a_while:?}");
    server.put("k7", "1").await;
    until(&mut (Box::pin(all) as Changes), Entry::one("1")).await;
}

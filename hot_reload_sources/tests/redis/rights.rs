//! Users, and what they may do.

use futures_util::StreamExt;
use hot_reload_sources::{
    Access, Entry, Secret, Store, StoreError,
    redis::{Redis, RedisPlace},
};

use crate::{
    changes::{until, watch},
    common::within,
    server::{PASSWORD, RedisServer, USER},
};

/// Sets a field whose name is no text.
const BAD_NAME: &str = "redis.call('HSET', KEYS[1], '\\255', '1')";

async fn read(place: &RedisPlace) -> Result<Entry, StoreError> {
    within(async { place.connect().await?.read().await }).await
}

fn at(server: &RedisServer, access: Access) -> RedisPlace {
    Redis::from_url(&format!("redis://{}", server.address), access).unwrap().key("k")
}

#[tokio::test]
async fn wrong_credentials_are_refused_without_being_told() {
    let server = RedisServer::start().await;
    let wrong = "hunter3-of-redis";
    for access in [
        Access::new().user(USER).password(Secret::text(wrong)),
        Access::new().user("nobody").password(Secret::text(wrong)),
    ] {
        let error = read(&at(&server, access)).await.err().unwrap();
        assert!(error.is_refused(), "{error}");
        assert!(!format!("{error:?}").contains(wrong), "{error:?}");
    }
    server.say(&["ACL", "SETUSER", "default", "resetpass", ">other"]).await;
    let error = read(&at(&server, Access::new())).await.err().unwrap();
    assert!(error.is_refused() && error.to_string().contains("password"), "{error}");
}

#[tokio::test]
async fn a_password_is_read_from_its_file_at_every_connect() {
    let server = RedisServer::start().await;
    let file = server.dir.path().join("password");
    std::fs::write(&file, "not yet\n").unwrap();
    let place = at(&server, Access::new().user(USER).password(Secret::file(&file)));
    assert!(read(&place).await.err().unwrap().is_refused());
    std::fs::write(&file, format!("{PASSWORD}\n")).unwrap();
    assert!(read(&place).await.unwrap() == Entry::gone());
}

#[tokio::test]
async fn without_the_right_to_track_a_key_can_be_read() {
    let server = RedisServer::start().await;
    server.put("k", "1").await;
    server.say(&["ACL", "SETUSER", USER, "-client"]).await;
    let place = server.redis().key("k");
    let error = watch(&place).await.err().unwrap();
    assert!(error.is_refused() && error.to_string().contains("CLIENT TRACKING"), "{error}");
    assert!(read(&place).await.unwrap() == Entry::one("1"));
}

#[tokio::test]
async fn a_key_that_may_not_be_read_is_refused() {
    let server = RedisServer::start().await;
    server.say(&["ACL", "SETUSER", USER, "resetkeys", "~prod/*"]).await;
    let error = read(&server.redis().key("k")).await.err().unwrap();
    assert!(error.is_refused() && error.to_string().contains("GET k"), "{error}");
    assert!(read(&server.redis().key("prod/k")).await.unwrap() == Entry::gone());
    // One key that is refused leaves the others their connection.
    let redis = server.redis();
    let mut changes = watch(&redis.key("prod/k")).await.unwrap();
    until(&mut changes, Entry::gone()).await;
    let mut refused = watch(&redis.key("k")).await.unwrap();
    assert!(within(refused.next()).await.unwrap().err().unwrap().is_refused());
    assert!(within(refused.next()).await.is_none());
    server.put("prod/k", "1").await;
    until(&mut changes, Entry::one("1")).await;
}

#[tokio::test]
async fn a_user_without_the_right_to_ping_is_followed_all_the_same() {
    let server = RedisServer::start().await;
    server.say(&["ACL", "SETUSER", USER, "-ping"]).await;
    let deadline = std::time::Duration::from_millis(200);
    let place = server.redis().read_deadline(deadline).key("k");
    let mut changes = watch(&place).await.unwrap();
    until(&mut changes, Entry::gone()).await;
    assert!(tokio::time::timeout(deadline * 3, changes.next()).await.is_err());
}

#[tokio::test]
async fn a_value_of_another_kind_is_told() {
    let server = RedisServer::start().await;
    server.put("k", "1").await;
    let error = within(server.redis().hash("k").each_bytes().watch()).await.err().unwrap();
    assert!(error.to_string().contains("HGETALL k is for another kind"), "{error}");
    server.say(&["DEL", "k"]).await;
    server.say(&["RPUSH", "k", "1"]).await;
    let error = within(server.redis().key("k").text().watch()).await.err().unwrap();
    assert!(error.to_string().contains("GET k is for another kind"), "{error}");
}

#[tokio::test]
async fn nobody_takes_a_value_of_another_kind() {
    let server = RedisServer::start().await;
    server.say(&["RPUSH", "k", "1"]).await;
    server.say(&["EVAL", BAD_NAME, "1", "h"]).await;
    let redis = server.redis();
    for place in [redis.key("k"), redis.hash("k"), redis.key("h"), redis.hash("h")] {
        let name = place.name();
        let any = place.with(|_, content| Ok(format!("{content:?}")));
        let taken = within(any.allow_empty(true).watch()).await;
        assert!(taken.is_err(), "{name}: {:?}", taken.ok().and_then(|value| value.get()));
    }
}

#[tokio::test]
async fn a_value_of_another_kind_is_followed_until_it_is_mended() {
    let server = RedisServer::start().await;
    let redis = server.redis();
    let mut changes = watch(&redis.key("k")).await.unwrap();
    let mut set = watch(&redis.hash("h")).await.unwrap();
    until(&mut changes, Entry::gone()).await;
    until(&mut set, Entry::gone()).await;
    server.say(&["RPUSH", "k", "1"]).await;
    server.put("h", "1").await;
    for changes in [&mut changes, &mut set] {
        within(async { while changes.next().await.unwrap().unwrap() == Entry::gone() {} }).await;
    }
    server.put("k", "2").await;
    until(&mut changes, Entry::one("2")).await;
    server.say(&["DEL", "h"]).await;
    server.say(&["EVAL", BAD_NAME, "1", "h"]).await;
    let error = within(async {
        loop {
            let entry = set.next().await.unwrap().unwrap();
            if let Some(error) = entry.error()
                && error.to_string().contains("UTF-8")
            {
                break error.to_string();
            }
        }
    })
    .await;
    assert!(error.contains(r"\xff"), "{error}");
    server.say(&["EVAL", "redis.call('HDEL', KEYS[1], '\\255')", "1", "h"]).await;
    server.say(&["HSET", "h", "a", "1"]).await;
    until(&mut set, Entry::set([("a".to_owned(), "1".into())].into())).await;
}

#[tokio::test]
async fn a_database_that_is_not_there_is_refused() {
    let server = RedisServer::start().await;
    let url = format!("redis://{}/99/k", server.address);
    let error = read(&RedisPlace::from_url(&url, RedisServer::access()).unwrap()).await;
    let error = error.err().unwrap();
    assert!(error.is_refused() && error.to_string().contains("SELECT 99"), "{error}");
}

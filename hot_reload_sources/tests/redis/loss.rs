//! Connections that are lost, and servers that are busy.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use hot_reload::{ReloaderOptions, ReloaderService};
use hot_reload_sources::{Changes, Entry, Store, StoreError};
use rustix::process::Signal;

use crate::{
    changes::{until, watch},
    common::within,
    server::RedisServer,
};

/// Waits for the end of a watch.
pub async fn end(changes: &mut Changes) -> StoreError {
    within(async {
        loop {
            if let Err(error) = changes.next().await.expect("an error before the end") {
                break error;
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_server_that_is_silent_is_taken_for_lost_in_time() {
    let server = RedisServer::start().await;
    let deadline = Duration::from_millis(800);
    let place = server.redis().read_deadline(deadline).key("k");
    let mut changes = watch(&place).await.unwrap();
    until(&mut changes, Entry::gone()).await;
    // As long as it answers, it is trusted.
    assert!(tokio::time::timeout(deadline * 2, changes.next()).await.is_err());
    server.signal(Signal::STOP);
    let stopped = Instant::now();
    assert!(end(&mut changes).await.is_unreachable());
    assert!(stopped.elapsed() < deadline + Duration::from_millis(300), "{:?}", stopped.elapsed());
    server.signal(Signal::CONT);
    let mut changes = watch(&place).await.unwrap();
    until(&mut changes, Entry::gone()).await;
}

#[tokio::test]
async fn what_changed_while_the_connection_was_lost_is_found() {
    let server = RedisServer::start().await;
    server.put("k", "0").await;
    let source = server.redis().key("k").text();
    let (service, mut value) = ReloaderService::from_reloader(source, ReloaderOptions::realtime());
    tokio::spawn(async move { service.start_with_realtime().await });
    for n in 1..20 {
        let want = n.to_string();
        if n % 2 == 0 {
            server.put("k", &want).await;
            server.say(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await;
        } else {
            let kill = server.say(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
            tokio::join!(kill, server.put("k", &want));
        }
        within(async {
            while value.get().as_deref() != Some(&want) {
                value.changed().await.unwrap();
            }
        })
        .await;
    }
}

#[tokio::test]
async fn a_server_that_is_killed_is_found_again() {
    let server = RedisServer::start().await;
    server.put("k", "1").await;
    let source = server.redis().key("k").text();
    let (service, mut value) = ReloaderService::from_reloader(source, ReloaderOptions::realtime());
    tokio::spawn(async move { service.start_with_realtime().await });
    within(value.changed()).await.unwrap();
    server.kill();
    server.run().await;
    server.put("k", "2").await;
    within(async {
        while value.get().as_deref() != Some("2") {
            value.changed().await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn a_server_busy_with_a_script_is_left_alone() {
    let server = RedisServer::with(&["--busy-reply-threshold", "1"]).await;
    let mut changes = watch(&server.redis().key("k")).await.unwrap();
    until(&mut changes, Entry::gone()).await;
    let script = server.try_to_say(&["EVAL", "while true do end", "0"]);
    let meanwhile = async {
        let place = server.redis().key("k");
        let error = within(async {
            loop {
                if let Err(error) = place.connect().await.unwrap().read().await {
                    break error;
                }
            }
        })
        .await;
        assert!(error.is_throttled(), "{error}");
        let error = watch(&place).await.err().unwrap();
        assert!(error.is_throttled(), "{error}");
        server.end_script().await;
    };
    let (script, ()) = within(async { tokio::join!(script, meanwhile) }).await;
    script.unwrap_err();
    server.put("k", "1").await;
    until(&mut changes, Entry::one("1")).await;
}

#[tokio::test]
async fn a_server_with_too_many_clients_is_left_alone() {
    let server = RedisServer::start().await;
    server.say(&["CONFIG", "SET", "maxclients", "1"]).await;
    let error = watch(&server.redis().key("k")).await.err().unwrap();
    assert!(error.is_throttled(), "{error}");
}

#[tokio::test]
async fn a_server_that_loads_its_data_is_asked_again_soon() {
    let server = RedisServer::start().await;
    let fill = "for n = 1, 3000 do redis.call('SET', 'n' .. n, n) end";
    server.say(&["EVAL", fill, "0"]).await;
    server.put("k", "1").await;
    server.kill();
    // A millisecond each.
    server.run_with(&["--key-load-delay", "1000"]).await;
    let place = server.redis().key("k");
    let error = within(async { place.connect().await?.read().await }).await.err().unwrap();
    // It is over soon, and is not to be asked ever more seldom.
    assert!(error.is_unreachable() && error.to_string().contains("loading"), "{error}");
    server.say(&["GET", "k"]).await;
    let mut changes = watch(&place).await.unwrap();
    until(&mut changes, Entry::one("1")).await;
}

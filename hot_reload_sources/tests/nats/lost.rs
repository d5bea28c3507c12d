//! What is lost, and how soon that is found.

use std::{net::TcpListener, time::Duration};

use futures_util::{StreamExt, TryStreamExt};
use hot_reload::{ReloaderOptions, ReloaderService};
use hot_reload_sources::{Access, Store};
use rustix::process::Signal;
use tokio::time::{Instant, timeout};

use crate::{
    KEY,
    common::{
        follow::{comes, fails, followed, text},
        within,
    },
    server::{BUCKET, DEADLINE, NatsServer},
};

const SLACK: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_consumer_that_vanishes_is_replaced() {
    let server = NatsServer::start().await;
    server.put(KEY, "one").await;
    let mut followed = followed(server.bucket().key(KEY).text());
    comes(&mut followed, text("one")).await;
    let stream = server.jetstream().await.get_stream(format!("KV_{BUCKET}")).await.unwrap();
    let consumers: Vec<_> = stream.consumer_names().try_collect().await.unwrap();
    assert_eq!(consumers.len(), 1);
    stream.delete_consumer(&consumers[0]).await.unwrap();
    server.put(KEY, "two").await;
    let begun = Instant::now();
    comes(&mut followed, text("two")).await;
    assert!(begun.elapsed() < DEADLINE + SLACK, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_server_that_says_nothing_more_is_given_up_and_found_again() {
    let server = NatsServer::start().await;
    server.put(KEY, "one").await;
    let mut followed = followed(server.bucket().key(KEY).text());
    comes(&mut followed, text("one")).await;
    server.signal(Signal::STOP);
    let begun = Instant::now();
    // Until then, and until the next attempt has failed too.
    fails(&followed, "gives no answer").await;
    assert!(begun.elapsed() < DEADLINE * 2 + SLACK, "{:?}", begun.elapsed());
    server.signal(Signal::CONT);
    server.put(KEY, "two").await;
    let begun = Instant::now();
    comes(&mut followed, text("two")).await;
    assert!(begun.elapsed() < DEADLINE + SLACK, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_connection_that_is_lost_is_replaced_by_one() {
    let server = NatsServer::start().await;
    let bucket = server.bucket();
    let mut all = vec![];
    for n in 0..5 {
        server.put(&format!("k{n}"), "one").await;
        all.push(followed(bucket.key(format!("k{n}")).text()));
    }
    for key in &mut all {
        comes(key, text("one")).await;
    }
    server.restart().await;
    for (n, key) in all.iter_mut().enumerate() {
        server.put(&format!("k{n}"), "two").await;
        comes(key, text("two")).await;
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn the_next_server_is_asked_where_one_is_gone() {
    let server = NatsServer::start().await;
    server.put(KEY, "one").await;
    let gone = crate::common::server::address();
    let url = format!("nats://app:{}@{gone},{}", crate::server::PASSWORD, server.address());
    let bucket = crate::server::bucket(&url, Access::new());
    let mut followed = followed(bucket.key(KEY).text());
    comes(&mut followed, text("one")).await;
}

#[tokio::test]
async fn servers_that_say_nothing_are_told_by_name() {
    // Connected to by the system, and never taken up.
    let silent = [0, 0].map(|port| TcpListener::bind(("127.0.0.1", port)).unwrap());
    let [one, other] = silent.each_ref().map(|server| server.local_addr().unwrap());
    let url = format!("nats://{one},{other}");
    let followed = followed(crate::server::bucket(&url, Access::new()).key(KEY).text());
    let begun = Instant::now();
    // There is time for both of them, and to say so.
    fails(&followed, "gives no answer").await;
    assert!(begun.elapsed() < DEADLINE + SLACK, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn an_idle_watch_asks_nothing() {
    let server = NatsServer::start().await;
    server.put(KEY, "one").await;
    let mut asked = server.client().await.subscribe("$JS.API.>").await.unwrap();
    server.client().await.flush().await.unwrap();
    let mut followed = followed(server.bucket().key(KEY).text());
    comes(&mut followed, text("one")).await;
    // What it takes to begin.
    let begun = within(asked.by_ref().take(2).collect::<Vec<_>>()).await;
    assert!(begun[0].subject.contains("STREAM.INFO"), "{begun:?}");
    assert!(begun[1].subject.contains("CONSUMER.CREATE"), "{begun:?}");
    let more = timeout(DEADLINE * 2, asked.next()).await;
    assert!(more.is_err(), "{more:?}");
}

#[tokio::test]
async fn a_key_that_is_polled_needs_no_consumer() {
    let server = NatsServer::start().await;
    server.put(KEY, "one").await;
    let mut asked = server.client().await.subscribe("$JS.API.>").await.unwrap();
    server.client().await.flush().await.unwrap();
    let options = ReloaderOptions::polling().poll_interval(Duration::from_millis(50));
    let source = server.bucket().key(KEY).text();
    let (service, mut followed) = ReloaderService::from_reloader(source, options);
    tokio::spawn(async move { service.start().await });
    comes(&mut followed, text("one")).await;
    server.put(KEY, "two").await;
    comes(&mut followed, text("two")).await;
    let asked = within(asked.by_ref().take(4).collect::<Vec<_>>()).await;
    for asked in asked {
        let subject = asked.subject.as_str();
        assert!(subject.contains("STREAM.INFO") || subject.contains("DIRECT.GET"), "{subject}");
    }
}

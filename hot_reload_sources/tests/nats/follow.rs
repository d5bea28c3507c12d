//! What is followed, and how it comes.

use std::{collections::BTreeMap, fs, process::Command, time::Duration};

use async_nats::jetstream::{self, stream};
use bytes::Bytes;
use hot_reload_sources::{
    Access, Store,
    nats::{Nats, NatsPlace},
};
use tokio::time::Instant;

use crate::{
    KEY,
    common::{
        follow::{comes, fails, followed, text},
        within,
    },
    server::{BUCKET, DEADLINE, NatsServer, PASSWORD},
};

/// Sooner than any look by the clock.
pub const SOON: Duration = Duration::from_secs(1);

pub fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, Bytes> {
    pairs.iter().map(|&(name, value)| (name.to_owned(), Bytes::from(value.to_owned()))).collect()
}

#[tokio::test]
async fn the_url_of_a_key_is_enough() {
    let server = NatsServer::start().await;
    server.put("app/server.toml", "one").await;
    let url = format!("nats://app:{PASSWORD}@{}/{BUCKET}/app/server.toml", server.address());
    let place = NatsPlace::from_url(&url, Access::new()).unwrap();
    assert_eq!(place.name(), format!("nats://{}/{BUCKET}/app/server.toml", server.address()));
    comes(&mut followed(place.clone().text()), text("one")).await;
    let set = NatsPlace::from_url(&url.replace("server.toml", "#set"), Access::new()).unwrap();
    comes(&mut followed(set.clone().each_bytes()), map(&[("server.toml", "one")])).await;
    // Each entry of a set is called as if it were alone.
    let told = fails(&followed(set.each_toml::<bool>()), &place.name()).await;
    assert!(!told.contains('#'), "{told}");
}

#[test]
fn the_name_of_a_place_is_a_url_of_it() {
    let name = |url: &str| NatsPlace::from_url(url, Access::new()).unwrap().name();
    for (url, want) in [
        ("nats://app:p@a,b:1/config/f/a%3Db", "nats://a:4222,b:1/config/f/a=b"),
        ("tls://a/config/f.#set", "natss://a:4222/config/f.#set"),
        ("nats://a/config/#set", "nats://a:4222/config/#set"),
    ] {
        assert_eq!((name(url), name(want)), (want.to_owned(), want.to_owned()));
    }
}

#[test]
fn a_read_deadline_has_time_for_heartbeats() {
    for (asked, want) in [(1, 300), (300, 300), (301, 301)] {
        let nats = Nats::from_url("nats://a", Access::new()).unwrap();
        let nats = nats.read_deadline(Duration::from_millis(asked));
        assert_eq!(nats.bucket("b").key("k").read_deadline(), Duration::from_millis(want));
    }
}

#[tokio::test]
async fn the_last_of_many_large_values_comes() {
    let server = NatsServer::start().await;
    server.put(KEY, "one").await;
    let mut followed = followed(server.bucket().key(KEY).text());
    comes(&mut followed, text("one")).await;
    let mut large = "x".repeat(200_000);
    let jetstream = server.jetstream().await;
    for _ in 0..1000 {
        let sent = jetstream.publish(format!("$KV.{BUCKET}.{KEY}"), large.clone().into()).await;
        sent.unwrap().await.unwrap();
    }
    large.push('!');
    server.put(KEY, &large).await;
    comes(&mut followed, large).await;
}

#[tokio::test]
async fn a_prefix_is_a_set_without_what_is_beside_it() {
    let server = NatsServer::start().await;
    for (key, value) in [("f.a", "1"), ("f.b", "2"), ("f", "no"), ("fa", "no"), ("g.a", "no")] {
        server.put(key, value).await;
    }
    let mut followed = followed(server.bucket().prefix("f.").each_bytes());
    comes(&mut followed, map(&[("a", "1"), ("b", "2")])).await;
    server.put("f.c.d", "3").await;
    comes(&mut followed, map(&[("a", "1"), ("b", "2"), ("c.d", "3")])).await;
    server.store().await.delete("f.a").await.unwrap();
    server.put("f.b", "4").await;
    comes(&mut followed, map(&[("b", "4"), ("c.d", "3")])).await;
}

#[tokio::test]
async fn a_prefix_may_end_within_a_word_or_be_empty() {
    let server = NatsServer::start().await;
    for (key, value) in [("f.one", "1"), ("f.other", "2"), ("f.two", "3")] {
        server.put(key, value).await;
    }
    let mut part = followed(server.bucket().prefix("f.o").each_bytes());
    comes(&mut part, map(&[("ne", "1"), ("ther", "2")])).await;
    let mut all = followed(server.bucket().prefix("").each_bytes());
    comes(&mut all, map(&[("f.one", "1"), ("f.other", "2"), ("f.two", "3")])).await;
    server.put("f.two", "4").await;
    server.put("f.one", "5").await;
    comes(&mut part, map(&[("ne", "5"), ("ther", "2")])).await;
    comes(&mut all, map(&[("f.one", "5"), ("f.other", "2"), ("f.two", "4")])).await;
}

#[tokio::test]
async fn a_set_is_whole_from_the_first_moment() {
    let server = NatsServer::start().await;
    for n in 0..300 {
        server.put(&format!("f.{n}"), "1").await;
    }
    let mut all = followed(server.bucket().prefix("f.").each_bytes());
    within(all.changed()).await.unwrap();
    assert_eq!(all.get().unwrap().len(), 300);
}

#[tokio::test]
async fn all_keys_of_a_process_share_one_connection_which_goes_with_the_last() {
    let server = NatsServer::start().await;
    let bucket = server.bucket();
    let mut all = vec![];
    for n in 0..20 {
        server.put(&format!("k{n}"), "1").await;
        all.push(followed(bucket.key(format!("k{n}")).text()));
    }
    for key in &mut all {
        comes(key, text("1")).await;
    }
    assert_eq!(server.connections(), 1);
    drop(all);
    within(async {
        while server.connections() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_bucket_that_is_missing_is_told_and_found_soon() {
    let server = NatsServer::without_bucket("").await;
    let mut followed = followed(server.bucket().key(KEY).text());
    let told = fails(&followed, "there is no bucket config; create it").await;
    assert!(told.starts_with("nats://"), "{told}");
    tokio::time::sleep(Duration::from_secs(5)).await;
    server.create(Duration::ZERO).await;
    server.put(KEY, "one").await;
    let begun = Instant::now();
    comes(&mut followed, text("one")).await;
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_bucket_that_is_created_anew_counts_from_the_start() {
    let server = NatsServer::start().await;
    for n in 0..10 {
        server.put(KEY, &n.to_string()).await;
    }
    let mut followed = followed(server.bucket().key(KEY).text());
    comes(&mut followed, text("9")).await;
    server.remove().await;
    server.create(Duration::ZERO).await;
    assert_eq!(server.put(KEY, "anew").await, 1);
    let begun = Instant::now();
    comes(&mut followed, text("anew")).await;
    assert!(begun.elapsed() < DEADLINE + SOON, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn one_that_is_restored_from_a_backup_counts_on_from_there() {
    let server = NatsServer::start().await;
    server.put(KEY, "old").await;
    let mut followed = followed(server.bucket().key(KEY).text());
    comes(&mut followed, text("old")).await;
    let backup = tempfile::tempdir().unwrap();
    let copy = |from, to| {
        let copied = Command::new("cp").arg("-aT").args([from, to]).status().unwrap();
        assert!(copied.success());
    };
    server.kill().await;
    copy(server.data(), backup.path().to_owned());
    server.run().await;
    for _ in 0..5 {
        server.put(KEY, "newer").await;
    }
    comes(&mut followed, text("newer")).await;
    server.kill().await;
    fs::remove_dir_all(server.data()).unwrap();
    copy(backup.path().to_owned(), server.data());
    server.run().await;
    comes(&mut followed, text("old")).await;
    server.put(KEY, "next").await;
    comes(&mut followed, text("next")).await;
}

#[tokio::test]
async fn a_mirror_is_a_bucket_too() {
    let server = NatsServer::start().await;
    let mirror = stream::Config {
        name: "KV_near".into(),
        mirror: Some(stream::Source { name: format!("KV_{BUCKET}"), ..Default::default() }),
        max_messages_per_subject: 1,
        num_replicas: 1,
        ..Default::default()
    };
    server.jetstream().await.create_stream(mirror).await.unwrap();
    server.put(KEY, "one").await;
    let url = format!("nats://app:{PASSWORD}@{}/near/{KEY}", server.address());
    let place = NatsPlace::from_url(&url, Access::new()).unwrap();
    let mut followed = followed(place.text());
    comes(&mut followed, text("one")).await;
    server.put(KEY, "two").await;
    comes(&mut followed, text("two")).await;
}

#[tokio::test]
async fn a_client_of_the_users_own_will_do() {
    let server = NatsServer::start().await;
    server.put(KEY, "one").await;
    let options = async_nats::ConnectOptions::with_user_and_password("app".into(), PASSWORD.into());
    let client = options.connect(server.address().to_string()).await.unwrap();
    let nats = Nats::from_client(client.clone()).read_deadline(DEADLINE);
    let source = nats.bucket(BUCKET).key(KEY).text();
    assert_eq!(source.name(), format!("nats:///{BUCKET}/{KEY}"));
    let mut followed = followed(source);
    comes(&mut followed, text("one")).await;
    server.restart().await;
    server.put(KEY, "two").await;
    comes(&mut followed, text("two")).await;
    // It is the user's, and stays.
    drop(followed);
    within(jetstream::new(client).get_key_value(BUCKET)).await.unwrap();
}

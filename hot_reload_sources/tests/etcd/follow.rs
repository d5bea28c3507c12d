//! What is followed, and how it comes.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use bytes::Bytes;
use etcd_client::{Client, CompactionOptions, ConnectOptions, Txn, TxnOp};
use hot_reload_sources::{Store, etcd::Etcd};
use tokio::time::Instant;

use crate::{
    common::{
        follow::{comes, fails, followed, text},
        within,
    },
    etcd,
    server::Member,
};

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, Bytes> {
    pairs.iter().map(|&(name, value)| (name.to_owned(), Bytes::from(value.to_owned()))).collect()
}

#[tokio::test]
async fn a_key_that_is_deleted_leaves_its_last_value_until_it_is_back() {
    let member = Member::start().await;
    member.put("s", "one").await;
    let mut followed = followed(etcd(&member).key("s").text());
    comes(&mut followed, text("one")).await;
    member.delete("s").await;
    fails(&followed, "nothing there").await;
    assert_eq!(followed.get(), Some(text("one")));
    let begun = Instant::now();
    member.put("s", "two").await;
    comes(&mut followed, text("two")).await;
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_prefix_is_a_set_without_what_is_beside_it() {
    let member = Member::start().await;
    for (key, value) in [("f/a", "1"), ("f/b", "2"), ("f", "no"), ("g/a", "no")] {
        member.put(key, value).await;
    }
    let mut followed = followed(etcd(&member).prefix("f/").each_bytes());
    comes(&mut followed, map(&[("a", "1"), ("b", "2")])).await;
    member.put("f/c/d", "3").await;
    comes(&mut followed, map(&[("a", "1"), ("b", "2"), ("c/d", "3")])).await;
    member.delete("f/a").await;
    member.put("f/b", "4").await;
    comes(&mut followed, map(&[("b", "4"), ("c/d", "3")])).await;
}

#[tokio::test]
async fn an_empty_prefix_has_all_keys() {
    let member = Member::start().await;
    member.put("a", "1").await;
    let mut followed = followed(etcd(&member).prefix("").each_bytes());
    comes(&mut followed, map(&[("a", "1")])).await;
    member.put("z", "2").await;
    comes(&mut followed, map(&[("a", "1"), ("z", "2")])).await;
}

#[tokio::test]
async fn keys_that_change_at_once_are_seen_at_once() {
    let member = Member::start().await;
    let mut client = member.client().await;
    let change = |n: u32| {
        let puts = ["a", "b", "c"].map(|key| TxnOp::put(format!("f/{key}"), n.to_string(), None));
        Txn::new().and_then(puts)
    };
    client.txn(change(0)).await.unwrap();
    let mut followed = followed(etcd(&member).prefix("f/").each_bytes());
    within(followed.changed()).await.unwrap();
    let writing = tokio::spawn(async move {
        for n in 1..=300 {
            client.txn(change(n)).await.unwrap();
        }
    });
    let last = Bytes::from("300");
    within(async {
        loop {
            let now: BTreeSet<Bytes> = followed.get().unwrap().into_values().collect();
            assert_eq!(now.len(), 1, "{now:?}");
            if now.contains(&last) {
                break;
            }
            followed.changed().await.unwrap();
        }
    })
    .await;
    writing.await.unwrap();
}

#[tokio::test]
async fn a_name_that_is_not_utf_8_is_told() {
    let member = Member::start().await;
    member.put("f/a", "1").await;
    let mut followed = followed(etcd(&member).prefix("f/").each_bytes());
    comes(&mut followed, map(&[("a", "1")])).await;
    let mut client = member.client().await;
    client.put(b"f/\xff".to_vec(), "2", None).await.unwrap();
    fails(&followed, r"not UTF-8 (\xff)").await;
    client.delete(b"f/\xff".to_vec(), None).await.unwrap();
    client.put("f/a", "3", None).await.unwrap();
    comes(&mut followed, map(&[("a", "3")])).await;
}

#[tokio::test]
async fn the_last_of_a_burst_wins() {
    let member = Member::start().await;
    member.put("s", "0").await;
    let mut followed = followed(etcd(&member).key("s").text());
    comes(&mut followed, text("0")).await;
    let mut client = member.client().await;
    for n in 1..=2000 {
        client.put("s", n.to_string(), None).await.unwrap();
    }
    comes(&mut followed, text("2000")).await;
}

#[tokio::test]
async fn values_as_large_as_etcd_takes_come_too() {
    let member = Member::start().await;
    let large = |byte: &str, n: usize| Bytes::from(byte.repeat(1_400_000 + n));
    // More in all than a message of gRPC may have by default.
    for n in 0..6 {
        member.put(&format!("f/{n}"), large("a", n)).await;
    }
    let mut followed = followed(etcd(&member).prefix("f/").each_bytes());
    let want = |byte| (0..6).map(|n| (n.to_string(), large(byte, n))).collect::<BTreeMap<_, _>>();
    within(async {
        followed.changed().await.unwrap();
        assert!(followed.get().unwrap() == want("a"));
        for n in 0..6 {
            member.put(&format!("f/{n}"), large("b", n)).await;
        }
        while followed.get().unwrap() != want("b") {
            followed.changed().await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn compaction_of_what_was_read_is_no_obstacle() {
    let member = Member::start().await;
    member.put("s", "one").await;
    let mut followed = followed(etcd(&member).key("s").text());
    comes(&mut followed, text("one")).await;
    let revision = member.put("s", "two").await;
    let compact = CompactionOptions::new().with_physical();
    member.client().await.compact(revision, Some(compact)).await.unwrap();
    member.put("s", "three").await;
    comes(&mut followed, text("three")).await;
}

#[tokio::test]
async fn a_client_of_the_users_own_is_used() {
    let member = Member::start().await;
    member.put("s", "one").await;
    let options = ConnectOptions::new().with_require_leader(true);
    let client = Client::connect([member.address.to_string()], Some(options)).await.unwrap();
    let place = Etcd::from_client(client).key("s");
    assert_eq!(place.name(), "etcd:///s");
    let mut followed = followed(place.text());
    comes(&mut followed, text("one")).await;
    member.kill();
    fails(&followed, "no connection").await;
    member.run().await;
    member.put("s", "two").await;
    comes(&mut followed, text("two")).await;
}

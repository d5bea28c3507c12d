//! The one connection, and what goes over it.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use etcd_client::{Client, CompactionOptions};
use futures_util::future::join_all;
use hot_reload::{ReloaderReceiver, testing::Proxy};
use hot_reload_sources::{Access, Changes, Store, etcd::Etcd};
use tokio::time::{Instant, sleep};

use crate::{
    common::{
        follow::{comes, fails, followed, text},
        within,
    },
    server::Member,
};

async fn etcd_behind(member: &Member) -> (Proxy, Etcd) {
    let proxy = Proxy::start(member.address).await;
    let etcd = Etcd::from_url(&format!("etcd://{}", proxy.address()), Access::new()).unwrap();
    (proxy, etcd)
}

/// Waits until nobody is connected by `proxy`.
async fn is_left(proxy: &Proxy) {
    within(async {
        while proxy.connections() > 0 {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn many_places_have_one_connection() {
    let member = Member::start().await;
    let (proxy, etcd) = etcd_behind(&member).await;
    let mut client = member.client().await;
    let mut all = Vec::new();
    for n in 0..300 {
        client.put(format!("s/{n}"), "one", None).await.unwrap();
        all.push(followed(etcd.key(format!("s/{n}")).text()));
    }
    join_all(all.iter_mut().map(|followed| comes(followed, text("one")))).await;
    assert_eq!((proxy.connections(), proxy.accepted()), (1, 1));
    proxy.cut();
    for n in 0..300 {
        client.put(format!("s/{n}"), "two", None).await.unwrap();
    }
    join_all(all.iter_mut().map(|followed| comes(followed, text("two")))).await;
    assert_eq!((proxy.connections(), proxy.accepted()), (1, 2));
    // The last who goes closes it.
    let last = all.pop();
    drop(all);
    sleep(Duration::from_millis(100)).await;
    assert_eq!(proxy.connections(), 1);
    drop(last);
    is_left(&proxy).await;
}

#[tokio::test]
async fn a_member_that_does_not_answer_is_not_waited_for() {
    let member = Member::start().await;
    member.put("s", "one").await;
    let silent = Proxy::start(member.address).await;
    silent.black_hole();
    // Whichever of them is asked first.
    for _ in 0..8 {
        let url = format!("etcd://{},{}", silent.address(), member.address);
        let etcd = Etcd::from_url(&url, Access::new()).unwrap();
        let begun = Instant::now();
        let mut followed = followed(etcd.key("s").text());
        comes(&mut followed, text("one")).await;
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    }
    // What was tried and given up is closed, as is seen once anything is.
    silent.pass();
    is_left(&silent).await;
}

#[tokio::test]
async fn who_is_slow_holds_up_nobody_and_finds_the_last() {
    let member = Member::start().await;
    member.put("s", "one").await;
    let (proxy, etcd) = etcd_behind(&member).await;
    let mut connection = etcd.prefix("large/").connect().await.unwrap();
    let mut slow: Changes = connection.watch().await.unwrap().unwrap();
    let mut other = followed(etcd.key("s").text());
    comes(&mut other, text("one")).await;
    // Far more than flow control lets pass of what nobody takes.
    let large = |n: u32| Bytes::from(n.to_string().repeat(100_000));
    for n in 0..50 {
        member.put("large/s", large(n)).await;
    }
    member.put("s", "two").await;
    let begun = Instant::now();
    comes(&mut other, text("two")).await;
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    sleep(Duration::from_secs(1)).await;
    let now = within(futures_util::StreamExt::next(&mut slow)).await.unwrap().unwrap();
    let want = BTreeMap::from([("s".to_owned(), large(49))]);
    assert!(now.content() == Some(&hot_reload_sources::Content::Set(want)));
    assert_eq!(proxy.accepted(), 1);
    drop((slow, connection, other));
    is_left(&proxy).await;
}

#[tokio::test]
async fn what_was_compacted_while_it_was_held_up_is_read_again() {
    let member = Member::start().await;
    let (proxy, etcd) = etcd_behind(&member).await;
    let etcd = etcd.read_deadline(Duration::from_secs(60));
    let mut followed = falls_behind(&member, &proxy, etcd).await;
    proxy.pass();
    comes(&mut followed, text("last")).await;
    member.put("s", "more").await;
    comes(&mut followed, text("more")).await;
    assert_eq!((proxy.accepted(), followed.status().failures), (1, 0));
}

/// Debian's server is one of those that do (etcd 17529).
#[tokio::test]
async fn what_the_server_forgets_to_tell_one_who_was_slow_is_read() {
    let member = Member::start().await;
    let (proxy, etcd) = etcd_behind(&member).await;
    let mut followed = falls_behind(&member, &proxy, etcd).await;
    // So slow that its backlog is still full when the server looks for what is not in it.
    proxy.throttle(4_000_000);
    sleep(Duration::from_secs(2)).await;
    proxy.pass();
    comes(&mut followed, text("last")).await;
}

/// Follows a key of which nothing comes through any more, after more changes than the server keeps for one
/// who is slow; all of them but the last are compacted.
async fn falls_behind(
    member: &Member,
    proxy: &Proxy,
    etcd: Etcd,
) -> ReloaderReceiver<String, String> {
    member.put("s", "0").await;
    let mut followed = followed(etcd.key("s").text());
    comes(&mut followed, text("0")).await;
    proxy.black_hole();
    let mut client = member.client().await;
    let value = "x".repeat(1_000_000);
    for _ in 0..30 {
        client.put("s", value.clone(), None).await.unwrap();
    }
    many(&client, 1500).await;
    let last = member.put("s", "last").await;
    client.compact(last, Some(CompactionOptions::new().with_physical())).await.unwrap();
    followed
}

async fn many(client: &Client, count: usize) {
    join_all((0..20).map(|_| {
        let mut client = client.clone();
        async move {
            for n in 0..count / 20 {
                client.put("s", n.to_string(), None).await.unwrap();
            }
        }
    }))
    .await;
}

#[tokio::test]
async fn a_client_of_the_users_own_that_is_silent_is_told() {
    let member = Member::start().await;
    member.put("s", "one").await;
    let proxy = Proxy::start(member.address).await;
    let client = Client::connect([proxy.address().to_string()], None).await.unwrap();
    let deadline = Duration::from_secs(1);
    let etcd = Etcd::from_client(client).read_deadline(deadline);
    let mut followed = followed(etcd.key("s").text());
    comes(&mut followed, text("one")).await;
    proxy.black_hole();
    fails(&followed, "silent").await;
    proxy.pass();
    member.put("s", "two").await;
    comes(&mut followed, text("two")).await;
}

//! etcd, against the server itself.

#[path = "../common/mod.rs"]
mod common;
mod member;

use std::time::Duration;

use hot_reload::ReloaderReceiver;
use hot_reload_sources::{Access, Store, etcd::Etcd};

use common::within;
use member::Member;

/// Waits until `receiver` has `want`.
async fn comes<V>(receiver: &mut ReloaderReceiver<V, String>, want: V)
where
    V: Eq + Clone + Send + Sync + std::fmt::Debug,
{
    within(async {
        while receiver.get().as_ref() != Some(&want) {
            if receiver.changed().await.is_err() {
                panic!("the service has ended at {:?}, not {want:?}", receiver.get());
            }
        }
    })
    .await;
}

fn etcd(member: &Member) -> Etcd {
    Etcd::from_url(&format!("etcd://{}", member.address), Access::new()).unwrap()
}

#[tokio::test]
async fn a_key_is_followed() {
    let member = Member::start().await;
    member.put("prod/s", "one").await;
    let mut text = within(etcd(&member).key("prod/s").text().watch()).await.unwrap();
    comes(&mut text, "one".to_owned()).await;
    let begun = tokio::time::Instant::now();
    member.put("prod/s", "two").await;
    comes(&mut text, "two".to_owned()).await;
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
}

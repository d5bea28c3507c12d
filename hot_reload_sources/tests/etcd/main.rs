//! etcd, against the server itself.

#![allow(unreachable_pub, reason = "a crate of its own")]

#[path = "../common/mod.rs"]
mod common;

mod busy;
mod cluster;
mod follow;
mod link;
mod member;
mod rig;
mod security;

use std::{fmt::Debug, sync::Arc, time::Duration};

use hot_reload::{ReloaderOptions, ReloaderReceiver, ReloaderService};
use hot_reload_sources::{Access, FromStore, Store, etcd::Etcd};

use self::{common::within, member::Member};

fn etcd(member: &Member) -> Etcd {
    Etcd::from_url(&format!("etcd://{}", member.address), Access::new()).unwrap()
}

/// Follows `source` by its events alone, whether or not it can be reached yet.
fn followed<V>(source: FromStore<V>) -> ReloaderReceiver<V, String>
where
    V: Eq + Clone + Send + Sync + 'static,
{
    followed_by(source, ReloaderOptions::realtime())
}

fn followed_by<V>(source: FromStore<V>, options: ReloaderOptions) -> ReloaderReceiver<V, String>
where
    V: Eq + Clone + Send + Sync + 'static,
{
    let (service, receiver) = ReloaderService::from_reloader(source, options);
    tokio::spawn(async move { service.start_with_realtime().await });
    receiver
}

/// Waits until `receiver` has `want`.
async fn comes<V>(receiver: &mut ReloaderReceiver<V, String>, want: V)
where
    V: Eq + Clone + Send + Sync + Debug,
{
    within(async {
        while receiver.get().as_ref() != Some(&want) {
            let changed = receiver.changed().await;
            assert!(changed.is_ok(), "ended at {:?}, not at {want:?}", receiver.get());
        }
    })
    .await;
}

/// Waits until a failure is told that has `part` in it.
async fn fails<V>(receiver: &ReloaderReceiver<V, String>, part: &str) -> Arc<str>
where
    V: Eq + Clone + Send + Sync,
{
    let mut status = receiver.watch_status();
    let told = |error: &Option<Arc<str>>| error.clone().filter(|told| told.contains(part));
    let waited = status.wait_for(|now| told(&now.last_error).is_some());
    let Ok(status) = tokio::time::timeout(Duration::from_secs(20), waited).await else {
        panic!("not told of {part}: {:?}", receiver.status());
    };
    told(&status.unwrap().last_error).unwrap()
}

fn text(text: &str) -> String {
    text.to_owned()
}

#[tokio::test]
async fn the_url_of_a_key_is_enough() {
    let member = Member::start().await;
    member.put("/abs", "n = 1").await;
    let url = format!("etcd://{}//abs", member.address);
    let place = hot_reload_sources::etcd::EtcdPlace::from_url(&url, Access::new()).unwrap();
    assert_eq!(place.name(), url);
    let mut text = followed(place.text());
    comes(&mut text, "n = 1".to_owned()).await;
}

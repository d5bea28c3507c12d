//! etcd, against the server itself.

#![allow(unreachable_pub, reason = "a test exports nothing")]

#[path = "../common/mod.rs"]
mod common;

mod busy;
mod cluster;
mod fleeting;
mod follow;
mod grpc;
mod herd;
mod link;
mod proxy;
mod rig;
mod security;
mod server;
mod stuck;

use hot_reload_sources::{
    Access, Store,
    etcd::{Etcd, EtcdPlace},
};

use self::{
    common::follow::{comes, followed, text},
    server::Member,
};

hot_reload::conformance!(rig::EtcdRig);

fn etcd(member: &Member) -> Etcd {
    Etcd::from_url(&format!("etcd://{}", member.address), Access::new()).unwrap()
}

#[tokio::test]
async fn the_url_of_a_key_is_enough() {
    let member = Member::start().await;
    member.put("/abs", "n = 1").await;
    let url = format!("etcd://{}//abs", member.address);
    let place = EtcdPlace::from_url(&url, Access::new()).unwrap();
    assert_eq!(place.name(), url);
    let mut followed = followed(place.text());
    comes(&mut followed, text("n = 1")).await;
}

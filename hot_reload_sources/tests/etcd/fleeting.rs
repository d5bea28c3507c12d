//! A proxy that lets a watch stand no longer than it likes, though the connection stays.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::{Router, routing::post};
use bytes::Bytes;
use hot_reload::testing::Proxy;
use hot_reload_sources::{Access, Store, etcd::Etcd};
use tokio::{net::TcpListener, task::JoinSet, time::sleep};

use crate::{
    common::{
        PATIENCE,
        follow::{comes, followed, text},
        within,
    },
    grpc::{answer, holds, message},
};

/// How long a watch stands.
const WHILE: Duration = Duration::from_millis(50);

#[tokio::test]
async fn a_watch_that_is_ended_leaves_the_others_their_connection() {
    let watched = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&watched);
    let at_once = |told: Bytes| post(async move || answer(told.clone(), Duration::ZERO, "0"));
    let watch = async move || {
        // The first is left alone.
        let stands = if count.fetch_add(1, Relaxed) == 0 { PATIENCE } else { WHILE };
        answer(message(&[3 << 3, 1]), stands, "14")
    };
    let router = Router::new()
        .route("/etcdserverpb.KV/Range", at_once(holds("one")))
        .route("/etcdserverpb.Watch/Watch", post(watch))
        .route("/etcdserverpb.Maintenance/Status", at_once(message(&[])));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = Proxy::start(listener.local_addr().unwrap()).await;
    let mut serving = JoinSet::new();
    serving.spawn(async move { axum::serve(listener, router).await.unwrap() });

    let etcd = Etcd::from_url(&format!("etcd://{}", proxy.address()), Access::new()).unwrap();
    let mut steady = followed(etcd.key("s").text());
    comes(&mut steady, text("one")).await;
    let mut fleeting = followed(etcd.key("s").text());
    comes(&mut fleeting, text("one")).await;
    within(async {
        while watched.load(Relaxed) < 5 {
            sleep(WHILE).await;
        }
    })
    .await;
    assert_eq!((proxy.accepted(), steady.status().failures), (1, 0));
}

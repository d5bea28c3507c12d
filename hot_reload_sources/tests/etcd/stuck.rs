//! A member whose disk hangs: it tells its state from memory, and takes part in nothing.

use std::{future::pending, time::Duration};

use axum::{Router, routing::post};
use hot_reload_sources::{Access, Store, etcd::Etcd};
use tokio::{
    net::TcpListener,
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::{
    common::{
        PATIENCE,
        follow::{comes, followed, text},
    },
    grpc::{answer, holds, message},
};

const DEADLINE: Duration = Duration::from_secs(1);

/// A member that has `value`, until it `is_stuck`.
fn member(value: &'static str, is_stuck: watch::Receiver<bool>) -> Router {
    let range = async move || {
        if *is_stuck.borrow() {
            pending::<()>().await;
        }
        answer(holds(value), Duration::ZERO, "0")
    };
    let watch = async || answer(message(&[3 << 3, 1]), PATIENCE, "0");
    let status = async || answer(message(&[]), Duration::ZERO, "0");
    Router::new()
        .route("/etcdserverpb.KV/Range", post(range))
        .route("/etcdserverpb.Watch/Watch", post(watch))
        .route("/etcdserverpb.Maintenance/Status", post(status))
}

#[tokio::test]
async fn a_member_that_agrees_with_nobody_is_left_by_all() {
    let listeners =
        [TcpListener::bind("127.0.0.1:0").await, TcpListener::bind("127.0.0.1:0").await];
    let [first, second] = listeners.map(Result::unwrap);
    let url = format!("etcd://{},{}", first.local_addr().unwrap(), second.local_addr().unwrap());
    let (stuck, is_stuck) = watch::channel(false);
    let mut serving = JoinSet::new();
    let router = member("one", is_stuck);
    serving.spawn(async move { axum::serve(first, router).await.unwrap() });

    let etcd = Etcd::from_url(&url, Access::new()).unwrap().read_deadline(DEADLINE);
    let mut receivers = [followed(etcd.key("s").text()), followed(etcd.key("s").text())];
    for receiver in &mut receivers {
        comes(receiver, text("one")).await;
    }
    stuck.send_replace(true);
    let router = member("two", watch::channel(false).1);
    serving.spawn(async move { axum::serve(second, router).await.unwrap() });
    let begun = Instant::now();
    for receiver in &mut receivers {
        comes(receiver, text("two")).await;
    }
    assert!(begun.elapsed() < 4 * DEADLINE, "{:?}", begun.elapsed());
    // It stays there, whoever is asked first after that.
    sleep(2 * DEADLINE).await;
    assert!(receivers.iter().all(|receiver| receiver.status().failures == 0));
}

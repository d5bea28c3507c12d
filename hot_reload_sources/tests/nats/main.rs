//! A bucket of a real NATS server, followed.

#[path = "../common/mod.rs"]
mod common;
mod rig;
mod suite;

use std::{collections::BTreeMap, time::Duration};

use hot_reload::{ReloaderOptions, ReloaderReceiver, ReloaderService, testing::Sample};
use hot_reload_sources::{FromStore, Store};

use self::{
    common::within,
    rig::{DEADLINE, NatsServer},
};

const KEY: &str = "server.toml";

type Set = BTreeMap<String, String>;

fn follow<V>(source: FromStore<V>) -> ReloaderReceiver<V, String>
where
    V: Eq + Clone + Send + Sync + 'static,
{
    let (service, receiver) = ReloaderService::from_reloader(source, ReloaderOptions::hybrid());
    tokio::spawn(async move { service.start_with_realtime().await });
    receiver
}

async fn until<V>(receiver: &mut ReloaderReceiver<V, String>, want: impl Fn(&V) -> bool)
where
    V: Eq + Clone + Send + Sync + 'static,
{
    within(async {
        while !receiver.get().as_ref().is_some_and(&want) {
            receiver.changed().await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn a_change_is_pushed() {
    let server = NatsServer::start().await;
    server.put(KEY, "n = 1").await;
    let source = server.bucket(server.address()).key(KEY).toml::<Sample>();
    let mut receiver = within(source.watch()).await.unwrap();
    assert_eq!(receiver.get(), Some(Sample { n: 1 }));
    let started = std::time::Instant::now();
    server.put(KEY, "n = 2").await;
    until(&mut receiver, |sample| sample.n == 2).await;
    assert!(started.elapsed() < DEADLINE, "{:?}", started.elapsed());
}

//! NATS, against the server itself.

#![allow(unreachable_pub, reason = "a crate of its own")]

#[path = "../common/mod.rs"]
mod common;

mod cluster;
mod follow;
mod lost;
mod rig;
mod security;
mod suite;

use std::{fmt::Debug, sync::Arc};

use hot_reload::{ReloaderOptions, ReloaderReceiver, ReloaderService};
use hot_reload_sources::FromStore;

use self::common::within;

hot_reload::conformance!(suite::NatsRig);

const KEY: &str = "server.toml";

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
#[track_caller]
fn comes<V>(receiver: &mut ReloaderReceiver<V, String>, want: V) -> impl Future<Output = ()>
where
    V: Eq + Clone + Send + Sync + Debug + 'static,
{
    within(async move {
        while receiver.get().as_ref() != Some(&want) {
            let changed = receiver.changed().await;
            assert!(changed.is_ok(), "ended at {:?}, not {want:?}", receiver.get());
        }
    })
}

/// Waits until a failure is told that has `part` in it.
#[track_caller]
fn fails<V>(receiver: &ReloaderReceiver<V, String>, part: &str) -> impl Future<Output = Arc<str>>
where
    V: Eq + Clone + Send + Sync + 'static,
{
    let mut status = receiver.watch_status();
    within(async move {
        let told = |error: &Option<Arc<str>>| error.clone().filter(|told| told.contains(part));
        let status = status.wait_for(|now| told(&now.last_error).is_some()).await.unwrap();
        told(&status.last_error).unwrap()
    })
}

fn text(text: &str) -> String {
    text.to_owned()
}

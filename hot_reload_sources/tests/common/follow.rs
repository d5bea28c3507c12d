//! Following a place, and waiting for what comes.

use std::{fmt::Debug, sync::Arc};

use hot_reload::{ReloaderOptions, ReloaderReceiver, ReloaderService};
use hot_reload_sources::FromStore;

use super::within;

/// Follows `source` by its events alone, whether or not it can be reached yet.
pub fn followed<V>(source: FromStore<V>) -> ReloaderReceiver<V, String>
where
    V: Eq + Clone + Send + Sync + 'static,
{
    followed_by(source, ReloaderOptions::realtime())
}

/// Follows `source` as `options` say, by events among them.
pub fn followed_by<V>(source: FromStore<V>, options: ReloaderOptions) -> ReloaderReceiver<V, String>
where
    V: Eq + Clone + Send + Sync + 'static,
{
    let (service, receiver) = ReloaderService::from_reloader(source, options);
    tokio::spawn(async move { service.start_with_realtime().await });
    receiver
}

/// Waits until `receiver` has `want`.
#[track_caller]
pub fn comes<V>(receiver: &mut ReloaderReceiver<V, String>, want: V) -> impl Future<Output = ()>
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
pub fn fails<V>(
    receiver: &ReloaderReceiver<V, String>,
    part: &str,
) -> impl Future<Output = Arc<str>>
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

pub fn text(text: &str) -> String {
    text.to_owned()
}

//! `cargo run -p hot_reload --example pushed_source`
//!
//! A source that reports its changes by itself: a value is published as soon as it is pushed.

use async_trait::async_trait;
use hot_reload::{
    RealtimeWatch, RealtimeWatchHandle, Reload, ReloadResult, ReloaderConfig, ReloaderError,
    ReloaderService, WatchEvent,
};
use tokio::sync::{mpsc, watch};

#[derive(Clone)]
struct Flag(watch::Receiver<bool>);

#[async_trait]
impl Reload<bool> for Flag {
    type Source = watch::Receiver<bool>;

    async fn new(store: &watch::Receiver<bool>) -> ReloadResult<Self, bool> {
        Ok(Self(store.clone()))
    }

    async fn reload(&self) -> ReloadResult<Option<bool>, bool> {
        Ok(Some(*self.0.borrow()))
    }
}

#[async_trait]
impl RealtimeWatch<bool> for Flag {
    async fn watch_realtime(&self) -> ReloadResult<RealtimeWatchHandle<bool>, bool> {
        let (tx, rx) = mpsc::channel(1);
        let mut store = self.0.clone();
        tokio::spawn(async move {
            while store.changed().await.is_ok() {
                let event = WatchEvent::Changed(*store.borrow_and_update());
                let Ok(()) = tx.send(event).await else { return };
            }
        });
        Ok(RealtimeWatchHandle::new(rx))
    }
}

#[tokio::main]
async fn main() -> Result<(), ReloaderError<bool>> {
    let (store, client) = watch::channel(false);
    let config = ReloaderConfig::realtime();
    let (service, mut flag) = ReloaderService::<Flag, bool>::new(&client, config).await?;
    tokio::spawn(async move { service.start_with_realtime().await });

    flag.changed().await?;
    println!("loaded: {:?}", flag.get());
    for value in [true, false, true] {
        store.send_replace(value);
        flag.changed().await?;
        println!("pushed: {:?}", flag.get());
    }
    Ok(())
}

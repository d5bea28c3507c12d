//! `cargo run -p hot_reload --example manual_source`
//!
//! A source of one's own, asked at every poll: here a key in a store that lives in memory.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use hot_reload::{Reload, ReloadResult, ReloaderError, ReloaderOptions, ReloaderService};

type Store = Arc<Mutex<HashMap<&'static str, u32>>>;

#[derive(Clone)]
struct Limit(Store);

#[async_trait]
impl Reload<u32> for Limit {
    type Source = Store;

    async fn new(store: &Store) -> ReloadResult<Self, u32> {
        Ok(Self(Arc::clone(store)))
    }

    async fn reload(&self) -> ReloadResult<Option<u32>, u32> {
        let store = self.0.lock().map_err(|_| ReloaderError::Reload("the store is broken"))?;
        let limit = store.get("limit").copied();
        limit.map(Some).ok_or(ReloaderError::Reload("set the key `limit`"))
    }
}

#[tokio::main]
async fn main() -> Result<(), ReloaderError<u32>> {
    let store = Store::default();
    let put = |limit| store.lock().map(|mut store| store.insert("limit", limit)).ok();

    let options = ReloaderOptions::polling().poll_interval(Duration::from_millis(100));
    let (service, mut limit) = ReloaderService::<Limit, u32>::with_options(&store, options).await?;
    let service = service.named("limit"); // in the log, the status and the metrics
    tokio::spawn(async move { service.start().await });

    // A source that can't be read yet is waited for.
    tokio::time::sleep(Duration::from_millis(50)).await;
    println!("before there is one: {}", limit.status());

    for value in [10, 20] {
        put(value);
        limit.changed().await?;
        println!("limit: {:?}", limit.get());
    }
    Ok(())
}

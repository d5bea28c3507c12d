//! The reloaded value may be any type that a configuration can be made of, from any source.

mod common;

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use common::{Client, PATIENCE};
use hot_reload::{Reload, ReloadResult, ReloaderConfig, ReloaderOptions, ReloaderService};
use server_lib::{Server, ServerConfig, ServerContextBuilder, ServerError};
use tokio::time::timeout;

#[derive(Clone, PartialEq, Eq)]
struct Entry {
    name: &'static str,
    /// No part of what a server is configured by.
    comment: &'static str,
}

impl From<Entry> for ServerConfig {
    fn from(entry: Entry) -> Self {
        Self {
            name: entry.name.to_owned(),
            listen_addresses: vec!["127.0.0.1:0".parse().unwrap()],
            ..Self::default()
        }
    }
}

#[derive(Clone)]
struct Store(Arc<Mutex<Entry>>);

impl Store {
    fn put(&self, name: &'static str, comment: &'static str) {
        *self.0.lock().unwrap() = Entry { name, comment };
    }
}

#[async_trait]
impl Reload<Entry> for Store {
    type Source = Store;

    async fn new(source: &Self::Source) -> ReloadResult<Self, Entry> {
        Ok(source.clone())
    }

    async fn reload(&self) -> ReloadResult<Option<Entry>, Entry> {
        Ok(Some(self.0.lock().unwrap().clone()))
    }
}

#[tokio::test]
async fn follows_a_store() {
    let store = Store(Arc::new(Mutex::new(Entry { name: "one", comment: "" })));
    let config = ReloaderConfig::polling(0);
    let (service, rx) = ReloaderService::<Store, Entry>::new(&store, config).await.unwrap();
    let context = ServerContextBuilder::default()
        .runtime_handle(tokio::runtime::Handle::current())
        .context_rx(rx.clone())
        .build()
        .unwrap();
    let (shutdown, mut status) = (context.shutdown(), context.status());
    let server = Server { context: Arc::new(context) };
    let running = tokio::spawn(async move { server.entrypoint(service).await });

    let up = timeout(PATIENCE, status.wait_for(|status| status.generation == 1)).await;
    let address = up.unwrap().unwrap().local_addresses[0].socket_addr().unwrap();
    assert_eq!(Client::connect(address).await.name().await, "one");

    // It opens and closes nothing.
    store.put("one", "commented");
    let mut seen = rx.clone();
    let commented = async {
        while seen.get().is_none_or(|entry| entry.comment.is_empty()) {
            seen.changed().await.unwrap();
        }
    };
    timeout(PATIENCE, commented).await.unwrap();
    store.put("two", "commented");
    let applied = timeout(PATIENCE, status.wait_for(|status| status.generation == 3)).await;
    assert_eq!(applied.unwrap().unwrap().local_addresses, [address.into()]);
    assert_eq!(Client::connect(address).await.name().await, "two");

    shutdown.cancel();
    timeout(PATIENCE, running).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_service_that_waits_for_events_needs_the_other_entrypoint() {
    let store = Store(Arc::new(Mutex::new(Entry { name: "one", comment: "" })));
    let (service, rx) =
        ReloaderService::<Store, Entry>::from_reloader(store, ReloaderOptions::realtime());
    let context = ServerContextBuilder::default().context_rx(rx).build().unwrap();
    let error = Server::new(context).entrypoint(service).await.unwrap_err();
    assert!(matches!(error, ServerError::Reloader(_)), "{error:?}");
}

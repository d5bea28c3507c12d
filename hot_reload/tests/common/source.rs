//! A source in this process, so that a test under a paused clock has nothing else to wait for.

#![allow(dead_code, unreachable_pub, reason = "each test crate uses its part")]

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU32, Ordering},
};

use async_trait::async_trait;
use hot_reload::{
    RealtimeWatch, RealtimeWatchHandle, Reload, ReloadResult, ReloaderError, WatchEvent,
};
use tokio::sync::mpsc;

/// What a load of a [`Store`] comes to.
#[derive(Debug, Clone)]
pub enum Held<V> {
    Nothing,
    Value(V),
    /// A load that never comes to an end.
    Hangs,
}

/// Loads what it holds, and counts how often it was asked; pushes what it is told to.
pub struct Store<V> {
    held: Arc<Mutex<Held<V>>>,
    loads: Arc<AtomicU32>,
    watcher: Arc<Mutex<Option<mpsc::Sender<WatchEvent<V>>>>>,
}

impl<V> Clone for Store<V> {
    fn clone(&self) -> Self {
        Self {
            held: Arc::clone(&self.held),
            loads: Arc::clone(&self.loads),
            watcher: Arc::clone(&self.watcher),
        }
    }
}

impl<V> Store<V> {
    pub fn of(held: Held<V>) -> Self {
        Self { held: Arc::new(Mutex::new(held)), loads: Arc::default(), watcher: Arc::default() }
    }

    /// Holds another from now on, and tells nobody.
    pub fn holds(&self, held: Held<V>) {
        *self.held.lock().unwrap() = held;
    }

    pub fn loads(&self) -> u32 {
        self.loads.load(Ordering::SeqCst)
    }

    /// Tells a service that has started to watch.
    pub async fn push(&self, event: WatchEvent<V>) {
        let watcher = self.watcher.lock().unwrap().clone();
        let sent = watcher.expect("nobody watches").send(event).await;
        assert!(sent.is_ok(), "nobody watches any more");
    }
}

#[async_trait]
impl<V: Eq + Clone + Send + Sync> Reload<V> for Store<V> {
    type Source = ();

    async fn new((): &()) -> ReloadResult<Self, V> {
        Ok(Self::of(Held::Nothing))
    }

    async fn reload(&self) -> ReloadResult<Option<V>, V> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        let held = self.held.lock().unwrap().clone();
        match held {
            Held::Value(value) => Ok(Some(value)),
            Held::Nothing => Err(ReloaderError::Reload("the store is empty")),
            Held::Hangs => std::future::pending().await,
        }
    }
}

#[async_trait]
impl<V: Eq + Clone + Send + Sync> RealtimeWatch<V> for Store<V> {
    async fn watch_realtime(&self) -> ReloadResult<RealtimeWatchHandle<V>, V> {
        let (tx, rx) = mpsc::channel(1);
        *self.watcher.lock().unwrap() = Some(tx);
        Ok(RealtimeWatchHandle::new(rx))
    }
}

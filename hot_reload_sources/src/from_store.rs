//! A store as a source of values.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use hot_reload::{
    BoxFollow, RealtimeWatch, RealtimeWatchHandle, Reload, ReloadResult, ReloaderError,
    ReloaderOptions, ReloaderReceiver,
};

use crate::{
    content::{Content, Entry},
    error::StoreError,
    follow::{FollowStore, open},
    store::Store,
    watched::watched,
};

/// So that a store that is back is found within a second.
const RECONNECT_CEILING: Duration = Duration::from_millis(800);

type Decode<V> = dyn Fn(&str, &Content) -> anyhow::Result<V> + Send + Sync;

/// Values from a [`Store`], live.
///
/// Made by the methods of the stores; follow it with a [`ReloaderService`], or in one line with
/// [`watch`](Self::watch).
///
/// [`ReloaderService`]: hot_reload::ReloaderService
#[must_use = "a source does nothing by itself"]
pub struct FromStore<V> {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) name: Arc<str>,
    decode: Arc<Decode<V>>,
    pub(crate) settings: Settings,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) reconnect_ceiling: Duration,
    max_size: usize,
    allow_empty: bool,
}

impl<V> FromStore<V> {
    /// Creates a source of the values that `decode` makes of what `store` holds.
    pub fn new(
        store: impl Store,
        decode: impl Fn(&str, &Content) -> anyhow::Result<V> + Send + Sync + 'static,
    ) -> Self {
        let settings = Settings {
            reconnect_ceiling: RECONNECT_CEILING,
            max_size: store.max_size(),
            allow_empty: false,
        };
        Self {
            name: store.name().into(),
            store: Arc::new(store),
            decode: Arc::new(decode),
            settings,
        }
    }

    /// Returns what logs, errors and the status call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Sets the longest pause between two attempts to reach a store that can't be reached; 800 ms by
    /// default. Each pause is drawn from zero to a bound that doubles up to this.
    ///
    /// It grows with an outage of more than a minute, to a 75th of it, and never beyond the ceiling of
    /// [`ReloaderOptions::backoff`].
    pub fn reconnect_ceiling(mut self, ceiling: Duration) -> Self {
        self.settings.reconnect_ceiling = ceiling;
        self
    }

    /// Sets the size in bytes up to which content is taken, in place of that of the store
    /// ([`Store::max_size`]); a store that reads no more than its own is to be told as well.
    pub fn max_size(mut self, bytes: usize) -> Self {
        self.settings.max_size = bytes;
        self
    }

    /// Has an empty value, or a set without a key, taken like any other.
    ///
    /// By default it is held back, and said: stores are emptied by accident more often than by intent.
    pub fn allow_empty(mut self, allow_empty: bool) -> Self {
        self.settings.allow_empty = allow_empty;
        self
    }

    /// Makes a value of an entry.
    pub(crate) fn value(&self, entry: &Entry) -> anyhow::Result<V> {
        let Self { name, settings, .. } = self;
        let content = match &entry.content {
            Ok(Some(content)) => content,
            Ok(None) => return Err(StoreError::gone().of(name).into()),
            Err(error) => return Err(error.clone().of(name).into()),
        };
        let (size, limit) = (content.size(), settings.max_size);
        if size > limit {
            let told = format!(
                "{size} bytes, of which at most {limit} are taken; raise max_size if it is meant to \
                 be so large"
            );
            return Err(StoreError::invalid(told).of(name).into());
        }
        if !settings.allow_empty && content.is_empty() {
            let told =
                "empty, which is held back; put a value, or use allow_empty if it is meant so";
            return Err(StoreError::invalid(told).of(name).into());
        }
        (self.decode)(name, content)
    }
}

impl<V> FromStore<V>
where
    V: Eq + Clone + Send + Sync + 'static,
{
    /// Loads the value and keeps it live, by the store's own channel and a look every 10 seconds.
    ///
    /// The receiver has a value from the start. A task of the current runtime follows the store until
    /// the last receiver is dropped.
    ///
    /// # Errors
    ///
    /// When the store can't be reached, or holds no good value now. To start without one, and for
    /// whatever takes a [handle](hot_reload::ReloaderHandle), make a [`ReloaderService`]: it waits.
    ///
    /// [`ReloaderService`]: hot_reload::ReloaderService
    ///
    /// # Cancel safety
    ///
    /// Dropping the future starts nothing.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub async fn watch(self) -> ReloadResult<ReloaderReceiver<V, String>, V, String> {
        watched(self).await
    }
}

impl<V> fmt::Debug for FromStore<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FromStore").field(&self.name).finish()
    }
}

impl<V> Clone for FromStore<V> {
    fn clone(&self) -> Self {
        Self {
            store: Arc::clone(&self.store),
            name: Arc::clone(&self.name),
            decode: Arc::clone(&self.decode),
            settings: self.settings,
        }
    }
}

#[async_trait]
impl<V> Reload<V, String> for FromStore<V>
where
    V: Eq + Send + Sync + 'static,
{
    type Source = Self;

    async fn new(source: &Self) -> ReloadResult<Self, V, String> {
        Ok(source.clone())
    }

    async fn reload(&self) -> ReloadResult<Option<V>, V, String> {
        let opened = open(Arc::clone(&self.store), None, self.store.read_deadline());
        let told = |error: StoreError| anyhow::Error::from(error.of(&self.name));
        // The connection is held until there is a value.
        let opened = opened.await.map_err(told)?;
        let entry = opened.entry.map_err(told)?;
        Ok(Some(self.value(&entry)?))
    }

    fn __follow(&self, options: &ReloaderOptions) -> Option<BoxFollow<'_, V, String>> {
        Some(Box::new(FollowStore::new(self.clone(), options, false)))
    }
}

#[async_trait]
impl<V> RealtimeWatch<V, String> for FromStore<V>
where
    V: Eq + Send + Sync + 'static,
{
    async fn watch_realtime(&self) -> Result<RealtimeWatchHandle<V>, ReloaderError<V, String>> {
        let source = self.clone();
        Ok(hot_reload::forward(|options| {
            Box::new(FollowStore::new(source, options, true)) as BoxFollow<'static, V, String>
        }))
    }

    fn __follow_realtime(&self, options: &ReloaderOptions) -> Option<BoxFollow<'_, V, String>> {
        Some(Box::new(FollowStore::new(self.clone(), options, true)))
    }
}

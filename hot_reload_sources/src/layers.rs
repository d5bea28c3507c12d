//! Several sources, merged into one value: defaults, files, a store, the environment.
//!
//! # Examples
//!
//! ```
//! # #[cfg(feature = "toml")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use hot_reload_sources::layers::{Env, Layer, Layers};
//!
//! #[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
//! struct Config {
//!     name: String,
//!     workers: u32,
//! }
//!
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path().join("config.toml");
//! # std::fs::write(&path, "name = 'one'")?;
//! # let variables = || vec![("APP_WORKERS".into(), "4".into())];
//! let defaults = std::collections::BTreeMap::from([("workers", 2)]);
//! let env = Env::prefixed("APP_").split("__"); // APP_WORKERS=4
//! # let env = env.with_variables(variables);
//! let layers = Layers::<Config>::new()
//!     .with(Layer::constant("defaults", &defaults))
//!     .with(Layer::file(&path))
//!     .with(Layer::file("local.toml").optional())
//!     .with(env);
//! let provenance = layers.provenance();
//!
//! let config = layers.watch().await?;
//! assert_eq!(config.get().unwrap(), Config { name: "one".into(), workers: 4 });
//! assert_eq!(provenance.of("workers").as_deref(), Some("environment variable APP_WORKERS"));
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "toml"))]
//! # fn main() {}
//! ```
//!
//! A store is a layer as well, read as a [`Tree`] of whatever keys it has:
//!
//! ```
//! # #[cfg(all(feature = "redis", feature = "toml"))] {
//! use hot_reload_sources::{
//!     Access, Store, from_url,
//!     layers::{Env, Layers, Tree},
//! };
//! # type Config = std::collections::BTreeMap<String, u32>;
//!
//! let url = "redis://127.0.0.1/0/rings/all.toml";
//! let all = from_url(url, Access::new()).unwrap().toml::<Tree>();
//! let layers = Layers::<Config>::new().with(all).with(Env::prefixed("APP_"));
//! # }
//! ```
//!
//! # How it works
//!
//! Each layer is followed in its own way, as a service would follow it alone. Whichever moves, the whole
//! is merged anew, by [`figment`], and published if it is another. Tables are merged key by key, later
//! layers over earlier ones; lists, and all else, are taken from the last layer that has them. A key that
//! a layer no longer has falls back to the layer below.
//!
//! Layers that move together are published together: where more than one can move, a change waits for
//! [`settle_window`](ReloaderOptions::settle_window) of quiet. One that is slow, such as a store that
//! does not answer, is not waited for: the others go ahead.
//!
//! # When a layer is bad
//!
//! Each layer has a last good of its own. One that is away, can't be parsed, or holds what does not fit
//! the type, keeps what it had while others move, and the status says which layer, which key and why,
//! never the value: `config.toml: limits.rps: invalid type: found string, expected u16`. There is no value
//! at the start before all layers have one that are not [optional](Layer::optional). One that is
//! optional, and is bad or away at the start, is done without; but a value without it takes no place of
//! one from disk, and is not kept there.
//!
//! What a gate of the service refuses is refused as a whole, whichever layer is to blame: only the whole
//! is known to be wrong.
//!
//! # Known problems
//!
//! - No type is known yet when a layer is read. What looks like a number or a boolean is one: text such as
//!   `7` in the environment, or `1.10`, `no` and `on` in YAML, has to be in quotes where a text is meant.
//! - The environment of a process is changed by nobody outside: it is read when another layer moves, and
//!   at each look of a service that polls.
//! - An error inside of what serde buffers, as `#[serde(flatten)]` and untagged enums do, names no key.
//! - A merge by [`figment`] alone would have profiles; here there is the default one.

mod env;
mod follow;
mod followed;
mod layer;
mod merge;
mod provenance;
mod source;
mod told;
mod tree;
mod trouble;

use std::{fmt, marker::PhantomData, sync::Arc};

use async_trait::async_trait;
use futures_util::future::join_all;
use hot_reload::{
    BoxFollow, RealtimeWatch, RealtimeWatchHandle, Reload, ReloadResult, ReloaderOptions,
    ReloaderReceiver, forward_source,
};
use serde::de::DeserializeOwned;

pub use self::{
    env::Env,
    layer::Layer,
    provenance::{Origins, Provenance},
    tree::{Tree, TreeError},
};
use self::{
    follow::FollowLayers,
    merge::{Part, merge},
    trouble::{Trouble, as_one},
};
use crate::watched::watched;

/// Layers merged, in order, into one value of type `V`; later ones win.
///
/// Follow them with a [`ReloaderService`], or in one line with [`watch`](Self::watch).
///
/// [`ReloaderService`]: hot_reload::ReloaderService
#[must_use]
pub struct Layers<V> {
    all: Vec<Layer>,
    provenance: Provenance,
    _value: PhantomData<fn() -> V>,
}

impl<V> Layers<V> {
    /// Creates layers of which there is none yet.
    pub fn new() -> Self {
        Self { all: Vec::new(), provenance: Provenance::default(), _value: PhantomData }
    }

    /// Adds `layer` over those there are.
    pub fn with(mut self, layer: impl Into<Layer>) -> Self {
        self.all.push(layer.into());
        self
    }

    /// Returns what tells which layer gave a key; of all services that follow these layers, or clones
    /// of them, the newest.
    pub fn provenance(&self) -> Provenance {
        self.provenance.clone()
    }

    /// What logs and the status call them.
    fn name(&self) -> Arc<str> {
        let names: Vec<_> = self.all.iter().map(Layer::name).collect();
        names.join(" + ").into()
    }
}

impl<V> Layers<V>
where
    V: DeserializeOwned + Eq + Clone + Send + Sync + 'static,
{
    /// Loads the value and keeps it live, by what each layer has for that and a look every 10 seconds.
    ///
    /// The receiver has a value from the start. A task of the current runtime follows the layers until
    /// the last receiver is dropped.
    ///
    /// # Errors
    ///
    /// When a layer that is not [optional](Layer::optional) can't be loaded now, or the whole is no
    /// value. To start without one, and for whatever takes a [handle](hot_reload::ReloaderHandle), make a
    /// [`ReloaderService`]: it waits.
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

impl<V> Default for Layers<V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<V> Clone for Layers<V> {
    fn clone(&self) -> Self {
        Self { all: self.all.clone(), provenance: self.provenance.clone(), _value: PhantomData }
    }
}

impl<V> fmt::Debug for Layers<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.all).finish()
    }
}

#[async_trait]
impl<V> Reload<V, String> for Layers<V>
where
    V: DeserializeOwned + Eq + Send + Sync + 'static,
{
    type Source = Self;

    async fn new(source: &Self) -> ReloadResult<Self, V, String> {
        Ok(source.clone())
    }

    async fn reload(&self) -> ReloadResult<Option<V>, V, String> {
        let loaded = join_all(self.all.iter().map(|layer| layer.source.load())).await;
        let mut troubles = Vec::new();
        let mut trees = Vec::new();
        for (layer, loaded) in self.all.iter().zip(loaded) {
            match loaded {
                Err(error) if !layer.is_optional => {
                    troubles.push(Trouble::of(&layer.name, &error));
                }
                Ok(None) if !layer.is_optional => {
                    troubles.push(Trouble::words(&layer.name, "it has given nothing"));
                }
                tree => trees.push(tree.ok().flatten().unwrap_or_default()),
            }
        }
        if let Some(error) = as_one(&troubles) {
            return Err(error.into());
        }
        let parts: Vec<_> = self
            .all
            .iter()
            .zip(&trees)
            .map(|(layer, tree)| Part { name: &layer.name, tree })
            .collect();
        match merge(&parts) {
            Ok(merged) => {
                self.provenance.set(merged.origins);
                Ok(Some(merged.value))
            }
            Err(fault) => Err(anyhow::anyhow!(fault.words).into()),
        }
    }

    fn __follow(&self, options: &ReloaderOptions) -> Option<BoxFollow<'_, V, String>> {
        Some(Box::new(FollowLayers::new(self, options)))
    }
}

#[async_trait]
impl<V> RealtimeWatch<V, String> for Layers<V>
where
    V: DeserializeOwned + Eq + Send + Sync + 'static,
{
    async fn watch_realtime(&self) -> ReloadResult<RealtimeWatchHandle<V>, V, String> {
        Ok(forward_source(self.clone()))
    }

    fn __follow_realtime(&self, options: &ReloaderOptions) -> Option<BoxFollow<'_, V, String>> {
        Some(Box::new(FollowLayers::new(self, options)))
    }
}

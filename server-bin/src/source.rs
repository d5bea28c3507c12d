//! The configuration, wherever it is.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use hot_reload::{
    BoxFollow, RealtimeWatch, RealtimeWatchHandle, Reload, ReloadResult, ReloaderOptions, TomlFile,
    file_reloader::{Format, Toml},
};
use hot_reload_sources::{Access, Content, FromStore, Store, from_url};
use serde::de::DeserializeOwned;
use server_lib::ServerConfig;

use crate::{Failure, place::Place};

/// What the environment variables of the credentials for a store begin with.
const ENVIRONMENT: &str = "SERVER_CONFIG_";

/// The configuration in its place, to be loaded and followed.
#[derive(Clone)]
pub(crate) struct Source {
    name: Arc<str>,
    from: From,
}

#[derive(Clone)]
enum From {
    File(TomlFile<ServerConfig>),
    Store { store: FromStore<ServerConfig>, last: Last },
}

/// The text that was loaded last, to say where in it something stands.
type Last = Arc<Mutex<Option<String>>>;

impl Source {
    /// Takes no look at what is there.
    pub(crate) fn at(place: &Place) -> Result<Self, Failure> {
        let url = match place {
            Place::File(path) => {
                let file = TomlFile::from_path(path)?;
                let name = file.path().display().to_string().into();
                return Ok(Self { name, from: From::File(file) });
            }
            Place::Url(url) => url,
        };
        let last = Last::default();
        let kept = Arc::clone(&last);
        let store = open(url)?.with(move |name, content| {
            let text = text(content)?;
            *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(text.to_owned());
            Ok(Toml::decode(name, text.as_bytes())?)
        });
        Ok(Self { name: store.name().into(), from: From::Store { store, last } })
    }

    /// What it is called; of a file, its absolute path.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Its text: of a file as it is now, of a store as it was loaded last. May block.
    pub(crate) fn text(&self) -> Option<String> {
        match &self.from {
            From::File(file) => std::fs::read_to_string(file.path()).ok(),
            From::Store { last, .. } => last.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

/// Loads as much of the configuration at `place` as `T` asks for, whatever the rest is.
pub(crate) async fn load<T>(place: &Place) -> Result<T, String>
where
    T: DeserializeOwned + Eq + Send + Sync + 'static,
{
    let text = match place {
        Place::File(path) => std::fs::read_to_string(path).map_err(|error| error.to_string())?,
        Place::Url(url) => {
            let store = open(url).map_err(|failure| failure.to_string())?.text();
            let loaded = store.reload().await.map_err(|error| error.to_string())?;
            loaded.ok_or("nothing to load")?
        }
    };
    toml::from_str(&text).map_err(|error| error.message().to_owned())
}

fn open(url: &str) -> Result<Box<dyn Store>, Failure> {
    Ok(from_url(url, Access::from_env(ENVIRONMENT)?)?)
}

fn text(content: &Content) -> anyhow::Result<&str> {
    match content {
        Content::One(bytes) => Ok(std::str::from_utf8(bytes)?),
        Content::Set(_) => anyhow::bail!("a set of values, where one is expected"),
    }
}

type Loaded<T> = ReloadResult<T, ServerConfig, String>;
type Followed<'a> = Option<BoxFollow<'a, ServerConfig, String>>;

#[async_trait]
impl Reload<ServerConfig, String> for Source {
    type Source = Place;

    async fn new(place: &Place) -> Loaded<Self> {
        Self::at(place).map_err(|failure| anyhow::anyhow!(failure).into())
    }

    async fn reload(&self) -> Loaded<Option<ServerConfig>> {
        match &self.from {
            From::File(file) => file.reload().await,
            From::Store { store, .. } => store.reload().await,
        }
    }

    fn follow(&self, options: &ReloaderOptions) -> Followed<'_> {
        match &self.from {
            From::File(file) => file.follow(options),
            From::Store { store, .. } => store.follow(options),
        }
    }
}

#[async_trait]
impl RealtimeWatch<ServerConfig, String> for Source {
    async fn watch_realtime(&self) -> Loaded<RealtimeWatchHandle<ServerConfig>> {
        match &self.from {
            From::File(file) => file.watch_realtime().await,
            From::Store { store, .. } => store.watch_realtime().await,
        }
    }

    fn follow_realtime(&self, options: &ReloaderOptions) -> Followed<'_> {
        match &self.from {
            From::File(file) => file.follow_realtime(options),
            From::Store { store, .. } => store.follow_realtime(options),
        }
    }
}

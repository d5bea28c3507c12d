//! One layer: a name, where it is from, and whether it may be missing.

use std::{borrow::Cow, fmt, fmt::Display, sync::Arc};
#[cfg(any(feature = "toml", feature = "json", feature = "yaml"))]
use std::{ffi::OsStr, path::Path};

use hot_reload::RealtimeWatch;
#[cfg(feature = "json")]
use hot_reload::file_reloader::Json;
#[cfg(feature = "toml")]
use hot_reload::file_reloader::Toml;
#[cfg(feature = "yaml")]
use hot_reload::file_reloader::Yaml;
#[cfg(any(feature = "toml", feature = "json", feature = "yaml"))]
use hot_reload::file_reloader::{Format, FormatFile};
use serde::Serialize;

use super::{
    env::Env,
    source::{AtHand, Make, Source, Watched},
    tree::Tree,
};
use crate::from_store::FromStore;

/// One of the sources that [`Layers`](super::Layers) merge.
#[derive(Clone)]
#[must_use]
pub struct Layer {
    pub(super) name: Arc<str>,
    pub(super) source: Arc<dyn Source>,
    pub(super) is_optional: bool,
    /// Whether it is at hand, and costs nothing to look at.
    pub(super) is_at_hand: bool,
}

impl Layer {
    /// Takes what does not change: defaults, or what was given on the command line.
    ///
    /// A `value` that has no keys is reported when the layers are loaded, as anything else is.
    pub fn constant(name: impl Into<Arc<str>>, value: &impl Serialize) -> Self {
        let name = name.into();
        let tree = Tree::of(value);
        let called = Arc::clone(&name);
        Self::at_hand(name, move || {
            tree.clone().map_err(|error| anyhow::anyhow!("{called}: {error}"))
        })
    }

    /// Takes variables of the environment; see [`Env`].
    pub fn env(env: Env) -> Self {
        Self::at_hand(env.name().into(), move || env.read())
    }

    /// Follows a file in the format that its name ends with: `.toml`, `.json`, `.yaml` or `.yml`.
    ///
    /// One that no format is known for is reported when the layers are loaded.
    #[cfg(any(feature = "toml", feature = "json", feature = "yaml"))]
    pub fn file(path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        match path.extension().and_then(OsStr::to_str).map(str::to_ascii_lowercase).as_deref() {
            #[cfg(feature = "toml")]
            Some("toml") => Self::file_as::<Toml>(path),
            #[cfg(feature = "json")]
            Some("json") => Self::file_as::<Json>(path),
            #[cfg(feature = "yaml")]
            Some("yaml" | "yml") => Self::file_as::<Yaml>(path),
            _ => {
                let told = "no format is known for a file of that name; enable the feature of its \
                            format, or say it by file_as";
                Self::never(path.display().to_string(), told)
            }
        }
    }

    /// Follows a file in the format `F`, whatever its name.
    #[cfg(any(feature = "toml", feature = "json", feature = "yaml"))]
    pub fn file_as<F: Format>(path: impl AsRef<Path>) -> Self {
        let name = path.as_ref().display().to_string();
        match FormatFile::<Tree, F>::from_path(path) {
            Ok(file) => Self::source(name, file),
            Err(error) => Self::never(name, &error.without_content()),
        }
    }

    /// Follows any source of values that have keys: a [`Tree`], a map, a struct.
    ///
    /// A file with settings of its own is one, such as `TomlFile::<Tree>::from_path(..)?.max_size(..)`.
    pub fn source<T, V, S>(name: impl Into<Arc<str>>, source: T) -> Self
    where
        T: RealtimeWatch<V, S> + Send + Sync + 'static,
        V: Serialize + Eq + Send + 'static,
        S: Into<Cow<'static, str>> + Display + Send + 'static,
    {
        Self::watched(name.into(), source, |name, value: V| {
            Tree::of(&value).map_err(|error| anyhow::anyhow!("{name}: {error}"))
        })
    }

    /// Follows any source of text in the format `F`.
    #[cfg(any(feature = "toml", feature = "json", feature = "yaml"))]
    pub fn text<F, T, V, S>(name: impl Into<Arc<str>>, source: T) -> Self
    where
        F: Format,
        T: RealtimeWatch<V, S> + Send + Sync + 'static,
        V: AsRef<[u8]> + Eq + Send + 'static,
        S: Into<Cow<'static, str>> + Display + Send + 'static,
    {
        Self::watched(name.into(), source, |name, value: V| Ok(F::decode(name, value.as_ref())?))
    }

    /// Lets it be missing, at the start and later: a file that is not there, a key without a value.
    ///
    /// What is missing gives no key. What is there and bad, or can't be reached, is still said, and
    /// keeps what it had; so is a bucket or a table that is not there, which may have been lost.
    pub fn optional(mut self) -> Self {
        self.is_optional = true;
        self
    }

    /// Returns what errors, the status and the provenance call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn watched<T, V, S>(name: Arc<str>, source: T, make: Make<V>) -> Self
    where
        T: RealtimeWatch<V, S> + Send + Sync + 'static,
        V: Eq + Send + 'static,
        S: Into<Cow<'static, str>> + Display + Send + 'static,
    {
        let source = Arc::new(Watched::new(source, Arc::clone(&name), make));
        Self { name, source, is_optional: false, is_at_hand: false }
    }

    fn at_hand(
        name: Arc<str>,
        read: impl Fn() -> anyhow::Result<Tree> + Send + Sync + 'static,
    ) -> Self {
        Self { name, source: Arc::new(AtHand(read)), is_optional: false, is_at_hand: true }
    }

    /// A layer that there is no way to load.
    #[cfg(any(feature = "toml", feature = "json", feature = "yaml"))]
    fn never(name: String, why: &str) -> Self {
        let told = format!("{name}: {why}");
        Self::at_hand(name.into(), move || Err(anyhow::anyhow!("{told}")))
    }
}

impl From<Env> for Layer {
    fn from(env: Env) -> Self {
        Self::env(env)
    }
}

/// What a store holds, under the store's own name.
impl<V: Serialize + Eq + Send + Sync + 'static> From<FromStore<V>> for Layer {
    fn from(store: FromStore<V>) -> Self {
        Self::source(store.name().to_owned(), store)
    }
}

impl fmt::Debug for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layer")
            .field("name", &self.name)
            .field("is_optional", &self.is_optional)
            .finish_non_exhaustive()
    }
}

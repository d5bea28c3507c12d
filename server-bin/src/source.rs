//! The configuration, wherever it is.

use std::{
    fmt,
    fs::{Metadata, OpenOptions},
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use hot_reload::{
    BoxFollow, RealtimeWatch, RealtimeWatchHandle, Reload, ReloadResult, ReloaderOptions, TomlFile,
    file_reloader::{Format, Toml},
};
use hot_reload_sources::{Access, Content, FromStore, Store, from_url};
use rustix::fs::OFlags;
use server_lib::ServerConfig;
use tracing::warn;

use crate::{
    Failure,
    place::{Place, Url},
};

/// What the environment variables of the credentials for a store begin with.
const ENVIRONMENT: &str = "SERVER_CONFIG_";

/// As much as is read of a file that is loaded.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// How long a store is waited for, where it is not as by default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Patience {
    pub(crate) read_deadline: Option<Duration>,
    pub(crate) reconnect_ceiling: Option<Duration>,
}

/// The configuration in its place, to be loaded and followed.
#[derive(Clone)]
pub(crate) struct Source {
    name: Arc<str>,
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    File(TomlFile<ServerConfig>),
    Store { store: FromStore<ServerConfig>, last: Last },
}

/// The text that was loaded last, to say where in it something stands.
#[derive(Clone, Default)]
struct Last(Arc<Mutex<Option<String>>>);

impl Last {
    /// It is replaced whole, so no panic leaves it half done.
    fn lock(&self) -> MutexGuard<'_, Option<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Source {
    /// Takes no look at what is there.
    pub(crate) fn at(place: &Place, patience: Patience) -> Result<Self, Failure> {
        let url = match place {
            Place::File(path) => {
                let file = TomlFile::from_path(path)?;
                let name = file.path().display().to_string().into();
                return Ok(Self { name, kind: Kind::File(file) });
            }
            Place::Store(url) => url,
        };
        let last = Last::default();
        let kept = last.clone();
        let mut store = open(url, patience)?.with(move |name, content| {
            let text = text(content)?;
            *kept.lock() = Some(text.to_owned());
            Ok(Toml::decode(name, text.as_bytes())?)
        });
        if let Some(ceiling) = patience.reconnect_ceiling {
            store = store.reconnect_ceiling(ceiling);
        }
        Ok(Self { name: store.name().into(), kind: Kind::Store { store, last } })
    }

    /// What it is called; of a file, its absolute path.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Its text: of a file as it is now, of a store as it was loaded last. May block.
    pub(crate) fn text(&self) -> Option<String> {
        match &self.kind {
            Kind::File(file) => read(file.path()).ok(),
            Kind::Store { last, .. } => last.lock().clone(),
        }
    }
}

/// Loads the text at `place` once; what is wrong is told with its name.
pub(crate) async fn text_at(place: &Place) -> Result<String, String> {
    let told = |why: &dyn fmt::Display| format!("{place}: {why}");
    match place {
        Place::File(path) => read(path).map_err(|error| told(&error)),
        Place::Store(url) => {
            let store = open(url, Patience::default()).map_err(|failure| failure.to_string())?;
            let loaded = store.text().reload().await.map_err(|error| error.to_string())?;
            loaded.ok_or_else(|| told(&"nothing to load"))
        }
    }
}

/// Reads a file, and nothing that may be in its place: a FIFO would have to be waited for.
fn read(path: &Path) -> io::Result<String> {
    let is_file = |found: &Metadata| found.is_file().then_some(());
    let none = || io::Error::new(io::ErrorKind::InvalidInput, "not a regular file");
    is_file(&std::fs::metadata(path)?).ok_or_else(none)?;
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    is_file(&file.metadata()?).ok_or_else(none)?;
    let mut text = String::new();
    file.take(MAX_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

fn open(url: &Url, patience: Patience) -> Result<Box<dyn Store>, Failure> {
    if url.has_password() {
        warn!(
            "every user of this machine sees the password on the command line; write it to a file, and \
             name that by {ENVIRONMENT}PASSWORD_FILE"
        );
    }
    let mut access = Access::from_env(ENVIRONMENT)?;
    if let Some(deadline) = patience.read_deadline {
        access = access.read_deadline(deadline);
    }
    Ok(from_url(&url.written, access)?)
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
    type Source = (Place, Patience);

    async fn new((place, patience): &(Place, Patience)) -> Loaded<Self> {
        Self::at(place, *patience).map_err(|failure| anyhow::anyhow!(failure).into())
    }

    async fn reload(&self) -> Loaded<Option<ServerConfig>> {
        match &self.kind {
            Kind::File(file) => file.reload().await,
            Kind::Store { store, .. } => store.reload().await,
        }
    }

    fn __follow(&self, options: &ReloaderOptions) -> Followed<'_> {
        match &self.kind {
            Kind::File(file) => file.__follow(options),
            Kind::Store { store, .. } => store.__follow(options),
        }
    }
}

#[async_trait]
impl RealtimeWatch<ServerConfig, String> for Source {
    async fn watch_realtime(&self) -> Loaded<RealtimeWatchHandle<ServerConfig>> {
        match &self.kind {
            Kind::File(file) => file.watch_realtime().await,
            Kind::Store { store, .. } => store.watch_realtime().await,
        }
    }

    fn __follow_realtime(&self, options: &ReloaderOptions) -> Followed<'_> {
        match &self.kind {
            Kind::File(file) => file.__follow_realtime(options),
            Kind::Store { store, .. } => store.__follow_realtime(options),
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    /// A thread that waited for somebody to write into it once kept the daemon from its end.
    #[test]
    fn what_is_no_file_has_no_text() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        let source = Source::at(&Place::File(path.clone()), Patience::default()).unwrap();
        std::fs::write(&path, "name = 'one'").unwrap();
        assert_eq!(source.text().as_deref(), Some("name = 'one'"));
        std::fs::remove_file(&path).unwrap();
        mknodat(CWD, &path, FileType::Fifo, Mode::RWXU, 0).unwrap();
        assert_eq!(source.text(), None);
    }
}

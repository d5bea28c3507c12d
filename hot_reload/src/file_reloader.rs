//! The file source: any file, through whatever editors, deployments and orchestrators do to it.
//!
//! A `TomlFile`, `JsonFile` or `YamlFile` makes a value of any `Deserialize` type; a
//! [`FileReloader`] of any type with the two hand-written traits of version 0.3.6.

// Code that has not run for a while has to be fetched from memory, line by line, before it can notice
// an edit. What most edits do without, errors above all, is `#[cold]`, so that it lies elsewhere; some
// of what is called from several places is `#[inline(never)]`, so that it is there once.

mod bell;
mod chain;
mod error;
mod follow;
#[cfg(any(feature = "toml", feature = "json", feature = "yaml"))]
mod format;
mod hash;
mod identity;
mod load;
mod look;
mod noise;
mod open;
mod settle;
mod site;
mod slot;
mod survey;
mod watcher;

use std::{
    fmt::Display,
    marker::PhantomData,
    path::{Path, PathBuf},
};

use async_trait::async_trait;

pub use self::error::FileError;
#[cfg(any(feature = "toml", feature = "json", feature = "yaml"))]
pub use self::format::{Format, FormatFile};
#[cfg(feature = "json")]
pub use self::format::{Json, JsonFile};
#[cfg(feature = "toml")]
pub use self::format::{Toml, TomlFile};
#[cfg(feature = "yaml")]
pub use self::format::{Yaml, YamlFile};
use self::{
    error::Problem,
    follow::FileFollow,
    load::{ByAsyncLoad, ByTryFrom, Load},
    look::Looker,
    open::Opened,
    survey::Survey,
};
#[doc(hidden)]
pub use crate::forward::{changes as forward, of_source as forward_source};
use crate::{
    error::{ReloadResult, ReloaderError},
    follow::BoxFollow,
    options::ReloaderOptions,
    reload::{RealtimeWatch, RealtimeWatchHandle, Reload},
};

/// More than any configuration is; a file that has run away is not read into memory.
const MAX_SIZE: u64 = 16 * 1024 * 1024;

/// Makes a value of a file, with asynchronous I/O.
///
/// Implement it, beside `TryFrom<&PathBuf>`, for a type that a [`FileReloader`] is to follow in
/// realtime. A type that is `Deserialize` needs neither: see `TomlFile`.
#[async_trait]
pub trait AsyncFileLoad: Sized {
    /// Why a file gave no value.
    type Error: Send;

    /// Loads the value from `path`, which is absolute.
    ///
    /// # Errors
    ///
    /// When the file can't be read or holds no such value; the last good value keeps serving.
    ///
    /// # Cancel safety
    ///
    /// The service drops the future when it is stopped, and when the load takes longer than
    /// [`load_timeout`](ReloaderOptions::load_timeout). An implementation must leave nothing half done or
    /// running in that case.
    async fn async_load_from<T>(path: T) -> Result<Self, Self::Error>
    where
        T: AsRef<Path> + Send;

    /// Returns the further files that this value came from, none by default.
    ///
    /// They are followed like the main file, whether they exist yet or not, and read with it as
    /// one set, from the first value on that names them: a load that fails before, as for the lack of one,
    /// is tried again with backoff. A relative path is meant from the directory of the main file.
    fn dependent_paths(&self) -> Vec<PathBuf> {
        Vec::new()
    }
}

/// Follows a file whose type has a loader of its own.
///
/// The synchronous loader, `TryFrom<&PathBuf>`, runs on a blocking thread of the tokio runtime, so that
/// [`reload`](Reload::reload) has to be called within one.
///
/// # Examples
///
/// ```
/// use std::path::{Path, PathBuf};
/// use async_trait::async_trait;
/// use hot_reload::{AsyncFileLoad, FileReloader, ReloaderConfig, ReloaderService};
///
/// #[derive(Debug, Clone, PartialEq, Eq)]
/// struct Motd(String);
///
/// impl TryFrom<&PathBuf> for Motd {
///     type Error = std::io::Error;
///     fn try_from(path: &PathBuf) -> Result<Self, Self::Error> {
///         std::fs::read_to_string(path).map(Motd)
///     }
/// }
///
/// #[async_trait]
/// impl AsyncFileLoad for Motd {
///     type Error = std::io::Error;
///     async fn async_load_from<T: AsRef<Path> + Send>(path: T) -> Result<Self, Self::Error> {
///         tokio::fs::read_to_string(path.as_ref()).await.map(Motd)
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("motd").display().to_string();
/// # std::fs::write(&path, "hello")?;
/// let (service, mut motd) =
///     ReloaderService::<FileReloader<Motd>, Motd, String>::new(&path, ReloaderConfig::hybrid(10))
///         .await?;
/// tokio::spawn(async move { service.start_with_realtime().await });
/// motd.changed().await?;
/// assert_eq!(motd.get().unwrap().0, "hello");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct FileReloader<F> {
    /// The file that is followed: as it was named, made absolute where it was not.
    pub file_path: PathBuf,
    settings: FileSettings,
    _value: PhantomData<fn() -> F>,
}

/// What may be set on a file source.
#[derive(Debug, Clone, Copy)]
struct FileSettings {
    max_size: u64,
    allow_empty: bool,
    /// Whether the loader may read files that it does not name.
    is_opaque: bool,
}

impl FileSettings {
    fn new(is_opaque: bool) -> Self {
        Self { max_size: MAX_SIZE, allow_empty: false, is_opaque }
    }

    /// Refuses a file that a value must not be made of.
    fn admit(&self, path: &Path, survey: &Survey, opened: &Opened) -> Result<(), FileError> {
        let size = opened.identity.size;
        if size > self.max_size {
            let problem = Problem::TooLarge { size, limit: self.max_size };
            return Err(FileError::new(path, problem));
        }
        if !self.allow_empty && survey.main_is_empty {
            return Err(FileError::new(path, Problem::Empty));
        }
        Ok(())
    }
}

impl<F> FileReloader<F> {
    /// Creates a reloader for any path, one that is no UTF-8 as well.
    ///
    /// # Errors
    ///
    /// When the path is empty, or is relative while the current directory is gone.
    pub fn from_path(path: impl AsRef<Path>) -> Result<Self, FileError> {
        Self::with_settings(path.as_ref(), FileSettings::new(true))
    }

    fn with_settings(path: &Path, settings: FileSettings) -> Result<Self, FileError> {
        // Its links and dots stay as they are.
        let file_path = std::path::absolute(path).map_err(|error| FileError::io(path, error))?;
        Ok(Self { file_path, settings, _value: PhantomData })
    }

    /// Sets the size in bytes up to which a file is loaded; 16 MiB by default.
    #[must_use]
    pub fn max_size(mut self, bytes: u64) -> Self {
        self.settings.max_size = bytes;
        self
    }

    /// Has an empty file loaded like any other, once it has stayed empty for the settle ceiling.
    ///
    /// By default it is refused: a file is emptied by accident far more often than by intent.
    #[must_use]
    pub fn allow_empty(mut self, allow_empty: bool) -> Self {
        self.settings.allow_empty = allow_empty;
        self
    }

    /// Loads the value once.
    async fn load_with<L>(&self, loader: L) -> ReloadResult<Option<F>, F, String>
    where
        L: Load<F>,
        F: Eq + Send,
    {
        Ok(Some(Looker::load_once(self.file_path.clone(), loader, self.settings).await?))
    }

    /// Follows the file as a service does.
    fn follow_with<L>(&self, loader: L, options: &ReloaderOptions) -> BoxFollow<'static, F, String>
    where
        L: Load<F> + 'static,
        F: Eq + Send + 'static,
    {
        Box::new(FileFollow::new(self.file_path.clone(), loader, self.settings, options))
    }
}

impl<F> Clone for FileReloader<F> {
    fn clone(&self) -> Self {
        Self { file_path: self.file_path.clone(), settings: self.settings, _value: PhantomData }
    }
}

#[async_trait]
impl<F> Reload<F, String> for FileReloader<F>
where
    F: Eq + PartialEq + for<'a> TryFrom<&'a PathBuf> + Send + Sync + 'static,
    for<'a> <F as TryFrom<&'a PathBuf>>::Error: Display,
{
    type Source = String;

    async fn new(source: &Self::Source) -> ReloadResult<Self, F, String> {
        Ok(Self::from_path(source)?)
    }

    async fn reload(&self) -> ReloadResult<Option<F>, F, String> {
        self.load_with(ByTryFrom::default()).await
    }

    fn __follow(&self, options: &ReloaderOptions) -> Option<BoxFollow<'_, F, String>> {
        Some(self.follow_with(ByTryFrom::default(), options))
    }
}

#[async_trait]
impl<F> RealtimeWatch<F, String> for FileReloader<F>
where
    F: Eq + PartialEq + for<'a> TryFrom<&'a PathBuf> + AsyncFileLoad + Send + Sync + 'static,
    <F as AsyncFileLoad>::Error: Display,
    for<'a> <F as TryFrom<&'a PathBuf>>::Error: Display,
{
    async fn watch_realtime(&self) -> Result<RealtimeWatchHandle<F>, ReloaderError<F, String>> {
        Ok(forward(|options| self.follow_with(ByAsyncLoad, options)))
    }

    fn __follow_realtime(&self, options: &ReloaderOptions) -> Option<BoxFollow<'_, F, String>> {
        Some(self.follow_with(ByAsyncLoad, options))
    }
}

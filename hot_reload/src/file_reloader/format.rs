//! Files in a known format: a value of any `Deserialize` type, without a line of loader.

#[cfg(feature = "json")]
mod json;
mod text;
#[cfg(feature = "toml")]
mod toml;
#[cfg(feature = "yaml")]
mod yaml;

use std::{
    marker::PhantomData,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use serde::de::DeserializeOwned;

#[cfg(feature = "json")]
pub use self::json::{Json, JsonFile};
pub(super) use self::text::at;
#[cfg(feature = "toml")]
pub use self::toml::{Toml, TomlFile};
#[cfg(feature = "yaml")]
pub use self::yaml::{Yaml, YamlFile};
use super::{
    FileReloader, FileSettings,
    error::{FileError, ParseProblem, Problem},
    forward,
    load::{Load, Loaded, unblock},
    open::{Failed, How, Opened},
    survey::sum_of,
};
use crate::{
    channel::ReloaderReceiver,
    error::{ReloadResult, ReloaderError},
    follow::BoxFollow,
    options::ReloaderOptions,
    reload::{RealtimeWatch, RealtimeWatchHandle, Reload},
    service::ReloaderService,
};

/// A format that a text is parsed by.
pub trait Format: Send + Sync + 'static + sealed::Sealed {
    /// Makes a value of `bytes` that are from anywhere: a key in a store, an answer; `name` is what
    /// errors call that.
    ///
    /// # Errors
    ///
    /// When it is no value, with its line and column: as of a file.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "json")] {
    /// use hot_reload::file_reloader::{Format, Json};
    ///
    /// assert_eq!(Json::decode::<Vec<u8>>("store/key", b"[1, 2]").unwrap(), [1, 2]);
    /// let error = Json::decode::<Vec<u8>>("store/key", b"[1,\n 'x']").unwrap_err();
    /// assert_eq!((error.line(), error.column()), (Some(2), Some(2)));
    /// # }
    /// ```
    fn decode<V: DeserializeOwned>(name: &str, bytes: &[u8]) -> Result<V, FileError>
    where
        Self: Sized,
    {
        text::decode(bytes)
            .and_then(Self::parse)
            .map_err(|problem| FileError::new(Path::new(name), Problem::Parse(problem)))
    }
}

mod sealed {
    use super::{DeserializeOwned, ParseProblem};

    pub trait Sealed {
        #[doc(hidden)]
        #[allow(private_interfaces, reason = "only this module implements it")]
        fn parse<V: DeserializeOwned>(text: &str) -> Result<V, ParseProblem>;
    }
}

/// Follows a file in the format `F`, as values of any type that is `Deserialize`.
///
/// Used by its names [`TomlFile`], `JsonFile` and `YamlFile`. A key that the type doesn't have is passed
/// over; a type with `#[serde(deny_unknown_fields)]` refuses it, which finds one that is misspelt.
#[derive(Debug)]
pub struct FormatFile<V, F> {
    file: FileReloader<V>,
    _format: PhantomData<fn() -> F>,
}

impl<V, F> FormatFile<V, F> {
    /// Creates a reloader for the file at `path`, for a service with options of its own.
    ///
    /// # Errors
    ///
    /// When the path is empty, or is relative while the current directory is gone.
    pub fn from_path(path: impl AsRef<Path>) -> Result<Self, FileError> {
        Ok(Self::of(FileReloader::with_settings(path.as_ref(), FileSettings::new(false))?))
    }

    /// Sets the size in bytes up to which a file is read; 16 MiB by default.
    #[must_use]
    pub fn max_size(self, bytes: u64) -> Self {
        Self::of(self.file.max_size(bytes))
    }

    /// Has an empty file read like any other, once it has stayed empty for the settle ceiling.
    ///
    /// By default it is refused: a file is emptied by accident far more often than by intent.
    #[must_use]
    pub fn allow_empty(self, allow_empty: bool) -> Self {
        Self::of(self.file.allow_empty(allow_empty))
    }

    /// Returns the file that is followed, as an absolute path.
    pub fn path(&self) -> &Path {
        &self.file.file_path
    }

    fn of(file: FileReloader<V>) -> Self {
        Self { file, _format: PhantomData }
    }
}

impl<V, F> FormatFile<V, F>
where
    V: DeserializeOwned + Eq + Clone + Send + Sync + 'static,
    F: Format,
{
    /// Loads the file at `path` and keeps it live, by events and a look every 10 seconds.
    ///
    /// The receiver has a value from the start. A task of the current runtime follows the file
    /// until the last receiver is dropped.
    ///
    /// # Errors
    ///
    /// When the file holds no good value now. To start without one, and for whatever takes a
    /// [handle](crate::ReloaderHandle), make a [`ReloaderService`]: it waits.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future starts nothing.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime, and in one without time.
    pub async fn watch(
        path: impl AsRef<Path>,
    ) -> ReloadResult<ReloaderReceiver<V, String>, V, String> {
        let reloader = Self::from_path(path)?;
        // The service waits for a bad file to become good; here it is to be an error.
        reloader.reload().await?;
        let (service, receiver) =
            ReloaderService::from_reloader(reloader, ReloaderOptions::hybrid());
        tokio::spawn(async move { service.start_with_realtime().await });
        let mut first = receiver.clone();
        first.changed().await?;
        Ok(receiver)
    }

    fn loader(&self) -> ByFormat<V, F> {
        ByFormat { settings: self.file.settings, _format: PhantomData }
    }
}

impl<V, F> Clone for FormatFile<V, F> {
    fn clone(&self) -> Self {
        Self::of(self.file.clone())
    }
}

#[async_trait]
impl<V, F> Reload<V, String> for FormatFile<V, F>
where
    V: DeserializeOwned + Eq + Clone + Send + Sync + 'static,
    F: Format,
{
    type Source = PathBuf;

    async fn new(source: &PathBuf) -> ReloadResult<Self, V, String> {
        Ok(Self::from_path(source)?)
    }

    async fn reload(&self) -> ReloadResult<Option<V>, V, String> {
        self.file.load_with(self.loader()).await
    }

    fn __follow(&self, options: &ReloaderOptions) -> Option<BoxFollow<'_, V, String>> {
        Some(self.file.follow_with(self.loader(), options))
    }
}

#[async_trait]
impl<V, F> RealtimeWatch<V, String> for FormatFile<V, F>
where
    V: DeserializeOwned + Eq + Clone + Send + Sync + 'static,
    F: Format,
{
    async fn watch_realtime(&self) -> Result<RealtimeWatchHandle<V>, ReloaderError<V, String>> {
        Ok(forward(|options| self.file.follow_with(self.loader(), options)))
    }

    fn __follow_realtime(&self, options: &ReloaderOptions) -> Option<BoxFollow<'_, V, String>> {
        Some(self.file.follow_with(self.loader(), options))
    }
}

/// Reads a file and parses it.
struct ByFormat<V, F> {
    settings: FileSettings,
    _format: PhantomData<fn() -> (V, F)>,
}

/// Parsing this much takes an async worker less than a millisecond.
const PARSED_INLINE: u64 = 64 * 1024;

impl<V, F> Load<V> for ByFormat<V, F>
where
    V: DeserializeOwned + Send + 'static,
    F: Format,
{
    const SUMS_UP: bool = true;

    fn load_at_once(
        &mut self,
        path: &Path,
        opened: &Opened,
        once_read: impl FnOnce(),
    ) -> Option<Result<Loaded<V>, FileError>> {
        if opened.identity.size > PARSED_INLINE || opened.filesystem.is_remote() {
            return None;
        }
        match opened.read(self.settings.max_size, How::Cached) {
            Err(Failed::WouldBlock) => None,
            read => {
                once_read();
                Some(make::<V, F>(path, read, self.settings))
            }
        }
    }

    async fn load(&mut self, path: &Path, opened: Arc<Opened>) -> Result<Loaded<V>, FileError> {
        let (owned, settings) = (path.to_owned(), self.settings);
        unblock(move || {
            make::<V, F>(&owned, opened.read(settings.max_size, How::Blocking), settings)
        })
        .await
        .unwrap_or_else(|words| Err(FileError::new(path, Problem::Stuck(words))))
    }
}

/// Makes a value of what was read.
fn make<V: DeserializeOwned, F: Format>(
    path: &Path,
    read: Result<Vec<u8>, Failed>,
    settings: FileSettings,
) -> Result<Loaded<V>, FileError> {
    let FileSettings { max_size: limit, allow_empty, .. } = settings;
    let bytes = &*read.map_err(|failed| match failed {
        Failed::Io(error) => FileError::io(path, error),
        Failed::WouldBlock => FileError::new(path, Problem::Stuck("it can't be waited for".into())),
    })?;
    let size = bytes.len() as u64;
    if size > limit {
        return Err(FileError::new(path, Problem::TooLarge { size, limit }));
    }
    // What is left of a file that was emptied by an editor, by one that marks each file as UTF-8, or by `echo >`.
    if !allow_empty && text::without_mark(bytes).iter().all(u8::is_ascii_whitespace) {
        return Err(FileError::new(path, Problem::Empty));
    }
    match text::decode(bytes).and_then(F::parse) {
        Ok(value) => {
            let sum = Some(sum_of(bytes));
            Ok(Loaded { value, dependencies: Vec::new(), sum })
        }
        Err(problem) => Err(FileError::new(path, Problem::Parse(problem))),
    }
}

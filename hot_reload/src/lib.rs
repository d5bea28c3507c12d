//! Live values in long-running services.
#![doc = ""]

mod backoff;
mod channel;
mod config;
mod error;
#[cfg(feature = "file-reloader")]
pub mod file_reloader;
mod follow;
mod options;
mod panic;
mod redact;
mod reload;
mod service;
mod status;

#[cfg(feature = "json")]
pub use self::file_reloader::JsonFile;
#[cfg(feature = "toml")]
pub use self::file_reloader::TomlFile;
#[cfg(feature = "yaml")]
pub use self::file_reloader::YamlFile;
#[cfg(feature = "file-reloader")]
pub use self::file_reloader::{AsyncFileLoad, FileError, FileReloader};
#[doc(hidden)]
pub use self::follow::{BoxFollow, Follow, Hint, Look, Patience};
pub use self::{
    channel::{CachedReader, Ref, ReloaderReceiver, ReloaderSender, Snapshot},
    config::{ReloaderConfig, WatchStrategy},
    error::{ReloadResult, ReloaderError},
    follow::Mechanism,
    options::ReloaderOptions,
    reload::{RealtimeWatch, RealtimeWatchHandle, Reload, WatchEvent},
    service::ReloaderService,
    status::{Health, Status},
};

//! Keeps a value live inside a running service: a configuration file, a key in a store, a flag.
//!
//! ```
//! # #[cfg(feature = "toml")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use hot_reload::TomlFile;
//!
//! #[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
//! struct Config {
//!     workers: u32,
//! }
//!
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path().join("config.toml");
//! std::fs::write(&path, "workers = 2")?;
//! let mut config = TomlFile::<Config>::watch(&path).await?;
//! config.changed().await?;
//! assert_eq!(config.get().unwrap().workers, 2);
//!
//! // By whatever program, at any time.
//! std::fs::write(&path, "workers = 4")?;
//! config.changed().await?;
//! assert_eq!(config.get().unwrap().workers, 4);
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "toml"))]
//! # fn main() {}
//! ```
//!
//! # How it works
//!
//! A source says how a value is loaded ([`Reload`]), and may say when it changes
//! ([`RealtimeWatch`]). A [`ReloaderService`] follows it by polling, by events or by both
//! ([`WatchStrategy`]) and publishes each new value; a [`ReloaderReceiver`] reads the newest one
//! without a lock, waits for the next, and tells how the service is doing ([`Status`]).
//!
//! For files, events are only hints. What is true is what the path leads to now: a change of the
//! identity behind it (device, inode, size and times, through every symbolic link) has it read, and
//! a lost or misleading event gives no wrong value. A writer that has not finished is waited for,
//! and a reading counts only if the file was the same before and after it.
//!
//! Nothing that can heal ends a service. Whatever can't be read or parsed is put into the status,
//! logged once without its content, and tried again with backoff; receivers keep the last good
//! value. A service ends when its last receiver is dropped, and is stopped by dropping the future
//! of [`start`](ReloaderService::start).
//!
//! # Seeing it from outside
//!
//! Log events are those of [`tracing`]; the target of each is its name, so that any
//! log shows it and a filter can pick it. Names and fields stay; words may change. No event
//! holds a value: what may quote one, as an error does, is logged up to the end of its first line and
//! with `…` for what it has in quotes.
//!
//! | event | level | fields | when |
//! |---|---|---|---|
//! | `hot_reload::published` | info | `source`, `generation`, `reason` | a value that was loaded was published |
//! | `hot_reload::waits` | debug | `generation` | it waits until somebody else's [turn](ReloaderService::in_turn) is over |
//! | `hot_reload::failed` | warn | `source`, `error` | it can't be loaded, or was refused; again only when the reason is another than the last |
//! | `hot_reload::recovered` | info | `source`, `failures` | it can again |
//! | `hot_reload::degraded`, `hot_reload::has_events` | warn, info | `source`, `error` | events can't be had; they can again |
//! | `hot_reload::stale` | warn | `source` | the source was bad for longer than [`max_staleness`](ReloaderOptions::max_staleness) |
//! | `hot_reload::rolled_back`, `hot_reload::not_rolled_back` | warn | `source`, `generation`, `to`: which it was, `error`, `probation`: why the check failed | an earlier value serves again, or can't |
//! | `hot_reload::restored`, `hot_reload::not_restored` | warn | `source` or `path`, `error` | the last good value on disk serves, or is ignored |
//! | `hot_reload::kept`, `hot_reload::not_kept` | debug, warn | `path`, `generation`, `error` | it was written, or can't be |
//! | `hot_reload::panicked` | error | `panic`, `part`, `generation` | code of yours panicked where nothing can be refused any more |
//! | `hot_reload::no_events` | warn | `error` | no thread, or no descriptor for it, is to be had for a runtime without I/O |
//! | `hot_reload::no_looks` | warn | `error` | no thread is to be had to look at files by time |
//! | `hot_reload::paused`, `hot_reload::resumed` | info | `source` | somebody paused the service, or had it go on |
//! | `hot_reload::hung_up` | info | `outcome` | a `SIGHUP` was answered |
//! | `hot_reload::not_started` | error | `source`, `error` | [`start`](ReloaderService::start) only polls, and was called for another strategy |
//! | `hot_reload::ended` | debug | `source` | the service ends |
//!
//! Loading is in a span `hot_reload.load` of level debug, with `source` and `reason`. The `source` is the path of a
//! file or the URL of a key; a source of your own is [named](ReloaderService::named) by you.
//!
//! With the feature `metrics`, each with the label `source`:
//!
//! | metric | kind | other labels |
//! |---|---|---|
//! | `hot_reload_loads_total` | counter | `outcome`: `published`, `unchanged`, `failed`, `refused` |
//! | `hot_reload_publications_total` | counter | `reason`: as [`Reason::as_str`] |
//! | `hot_reload_load_duration_seconds` | histogram | |
//! | `hot_reload_apply_seconds` | histogram: from the first hint to the publication | |
//! | `hot_reload_edit_to_visible_seconds` | histogram: from the time of the file, or of a link on the way to it, to the publication; where that is known | |
//! | `hot_reload_generation` | gauge | |
//! | `hot_reload_last_change_timestamp_seconds` | gauge: since 1970 | |
//! | `hot_reload_failures` | gauge: since the last good load | |
//! | `hot_reload_alive_generations` | gauge | |
//! | `hot_reload_ready` | gauge: 1 while there is a value that may be served, or 0 | |
//! | `hot_reload_mechanism` | gauge: 1 for the one in use, 0 for the others | `mechanism`: as [`Mechanism::as_str`] |
//!
//! # Features
//!
//! | feature | gives |
//! |---|---|
//! | `file-reloader` | `FileReloader`: any file, with a loader of your own |
//! | `toml` | `TomlFile`: any `Deserialize` type from a TOML file |
//! | `json` | `JsonFile`: the same from JSON |
//! | `yaml` | `YamlFile`: the same from YAML |
//! | `keys` | `Change::keys`: which keys of a serde type changed |
//! | `last-good` | `ReloaderService::last_good`: a start without the source, from disk |
//! | `metrics` | the metrics above |
//! | `signal` | `ReloaderHandle::trigger_on_sighup` |
//! | `stream` | `ReloaderReceiver::into_stream` |
//! | `testing` | `testing`: for authors of sources, the suite that a source has to pass |
//! | `notify` | nothing by itself; kept because version 0.3.6 had it |
//!
//! None is on by default: the traits, the service and the receiver need none.
//!
//! # Known problems
//!
//! - Only Linux tells who has a file open for writing, and only of files that the process owns, or
//!   with `CAP_LEASE`. Elsewhere a modification is over once it was quiet for 50 ms
//!   ([`settle_window`](ReloaderOptions::settle_window)): a writer that rests for longer may be seen
//!   half done. One that renames a finished file into place never is.
//! - With events, on Linux, a file is read once a writer closes it: the first that does, where several have it
//!   open. One that keeps it open is waited for up to 3 s
//!   ([`settle_ceiling`](ReloaderOptions::settle_ceiling)); then what is there is read, and taken if
//!   it parses. After that, one that opens it again and again is held up in its next `open` for as long as it
//!   takes to read the file, if the format is one of ours. Where nothing tells who has it open, a file that is
//!   shortened by its path (`truncate(2)`) is waited for as well, since no close follows.
//! - To learn whether anyone writes, a lease on the file is taken and given back within a microsecond. Whoever
//!   opens it for writing just then waits for that long; with `O_NONBLOCK` it is refused with `EAGAIN`.
//! - [`start`](ReloaderService::start) has a `FileReloader` load by `TryFrom`, which names no other files:
//!   those of `dependent_paths` are read as one set by
//!   [`start_with_realtime`](ReloaderService::start_with_realtime) alone, which polls as well.
//! - A half that is good is a value: where the wait is over, only parsing tells a half from a whole.
//! - Changes made elsewhere to a file on NFS, FUSE and the like give no event. On Linux such file
//!   systems are recognised and looked at; elsewhere, use [`WatchStrategy::Hybrid`].
//! - Changes below an overlay, a mount over the path, edits below that from then on, and writes through a
//!   memory mapping give no event either; looking finds them.
//! - A `subPath` mount of a `ConfigMap` never updates, as the kubelet leaves the old file in place.
//!   Mount the directory.
//! - A file whose times lie in the future is read at every look, since they can't prove it unchanged.
//! - An edit through another hard link, of a file that was renamed into place less than 250 ms
//!   before, is noticed when those are over.
//! - A synchronous loader that hangs keeps its blocking thread, since no thread can be stopped: one
//!   for each version of the file, four at the most.
//! - The log masks what error messages have in quotes. A loader of your own that puts a secret
//!   elsewhere into its error will see it logged. [`last_error`](Status::last_error) in the status is
//!   not masked.
//! - `Eq` is asked of every value. One with a float in it derives `PartialEq` and says
//!   `impl Eq for Config {}`: what holds a NaN equals nothing, and is published at every look.

mod at_once;
mod backoff;
mod change;
mod channel;
mod config;
mod error;
#[cfg(feature = "file-reloader")]
pub mod file_reloader;
mod follow;
mod forward;
mod group;
mod lock;
mod options;
mod panic;
mod redact;
mod reload;
mod service;
mod status;
#[cfg(feature = "testing")]
pub mod testing;

#[cfg(feature = "stream")]
pub use self::channel::ReloaderStream;
#[cfg(feature = "json")]
#[doc(inline)]
pub use self::file_reloader::JsonFile;
#[cfg(feature = "toml")]
#[doc(inline)]
pub use self::file_reloader::TomlFile;
#[cfg(feature = "yaml")]
#[doc(inline)]
pub use self::file_reloader::YamlFile;
#[cfg(feature = "file-reloader")]
#[doc(inline)]
pub use self::file_reloader::{AsyncFileLoad, FileError, FileReloader};
#[cfg(feature = "last-good")]
pub use self::service::read_last_good;
pub use self::{
    change::{Change, Reason},
    channel::{CachedReader, Ref, ReloaderReceiver, ReloaderSender, Snapshot},
    config::{ReloaderConfig, WatchStrategy},
    error::{ReloadResult, ReloaderError},
    follow::Mechanism,
    group::{Group, Members},
    options::ReloaderOptions,
    reload::{RealtimeWatch, RealtimeWatchHandle, Reload, WatchEvent},
    service::{Candidate, Past, ReloaderHandle, ReloaderService, Triggered},
    status::{Health, Location, ServiceEnded, Status, StatusReceiver},
};
#[doc(hidden)]
pub use self::{
    follow::{BoxFollow, Follow, Hint, Look, Patience},
    forward::{changes as forward, of_source as forward_source},
    service::followed,
};

/// Has the example of the README run.
#[cfg(all(doctest, feature = "toml"))]
#[doc = include_str!("../README.md")]
struct Readme;

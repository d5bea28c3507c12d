//! Live values from the stores that fleets already run, as sources of [`hot_reload`].
//!
//! ```no_run
//! # #[cfg(all(feature = "etcd", feature = "toml"))]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use hot_reload_sources::{Access, Store, etcd::Etcd};
//!
//! #[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
//! struct Limits {
//!     requests_per_second: u32,
//! }
//!
//! let etcd = Etcd::from_url("etcd://127.0.0.1:2379", Access::new())?;
//! let mut limits = etcd.key("prod/limits.toml").toml::<Limits>().watch().await?;
//! loop {
//!     limits.changed().await?;
//!     println!("{:?}", limits.get());
//! }
//! # }
//! # #[cfg(not(all(feature = "etcd", feature = "toml")))]
//! # fn main() {}
//! ```
//!
//! What that makes is a [`FromStore`], which a `ReloaderService` follows as it follows a file: with gates,
//! history, the last good value on disk, status and metrics. [`from_url`] makes the store of a URL from a
//! command line: `from_url(url, Access::from_env("APP_")?)?.toml::<Limits>()`.
//!
//! # The stores
//!
//! | feature | a value is | and a set | pushed by | since |
//! |---|---|---|---|---|
//! | [`http`] | what a URL gives | | server-sent events or long polling, where the server has them | |
//! | [`redis`] | a string | a hash | client tracking | Redis 6 |
//! | [`nats`] | an entry of a `JetStream` bucket | all below a prefix | the watch of the bucket | NATS 2.9 |
//! | [`etcd`] | a key | all below a prefix, at one revision | its watch | etcd 3.4 |
//! | [`postgres`] | a key of a table, or what a query returns | a prefix, or two columns | `NOTIFY`, and a read | PostgreSQL 13 |
//! | [`layers`] | files, environment and any of these, merged | | whichever layer moves | |
//!
//! Tests run against Redis 7.0, NATS 2.9, etcd 3.4 and PostgreSQL 15, as Debian 12 has them. Each feature brings the client of its store and nothing else. Formats are the features `toml`, `json`
//! and `yaml`; text and bytes need none.
//!
//! # How it works
//!
//! A [`Store`] knows how to connect; a [`Connection`] reads, and watches: what is there once the watch
//! stands comes first, then every change, so nothing falls in between. Everything else is the same for all
//! of them:
//!
//! - An older [`Revision`] never lands on a newer. Where a store has none, what was read while something
//!   else arrived is read again.
//! - Connecting, a read and silence have a deadline. A store that can't be reached is tried again within 800 ms, with
//!   full jitter, and after more than a minute within a 75th of the outage; one that refuses, or has too much to do,
//!   ever more seldom, and not before the time that it has said.
//! - A watch that ends is begun anew by reading what there is now, so what changed meanwhile is not lost;
//!   those that end together don't begin together.
//! - What is gone, empty, too large or no value is held back and said; the last good value serves. Nothing is asked
//!   of the store until it says that there is something, save by the audit of the hybrid strategy.
//! - While nothing changes a watch costs a sign of life now and then, and with the hybrid strategy one read
//!   every poll interval.
//! - A service that is stopped leaves no connection.
//! - Credentials ([`Access`]) are read anew for each connection, and are in no log, error or status.
//!
//! All of that is tested for each store, against its own server, by the suite in
//! [`hot_reload::testing`](https://docs.rs/hot_reload/latest/hot_reload/testing/).
//!
//! # Features
//!
//! | feature | gives | brings |
//! |---|---|---|
//! | `http` | [`http`] | reqwest |
//! | `redis` | [`redis`] | redis |
//! | `nats` | [`nats`] | async-nats |
//! | `etcd` | [`etcd`] | etcd-client; to build it takes `protoc` and its `google/protobuf` files |
//! | `postgres` | [`postgres`] | tokio-postgres |
//! | `layers` | [`layers`] | figment |
//! | `toml`, `json`, `yaml` | `Store::toml` and the like | a parser |
//!
//! TLS is rustls with ring everywhere.
//!
//! # Known problems
//!
//! - What a store's own page says: each has a list.
//! - Connections are not shared between handles: make one handle of a server, and all keys of it.
//! - A set is small enough to be held, and read, whole.

#![forbid(unsafe_code)]

mod access;
#[cfg(feature = "_stores")]
mod address;
#[cfg(any(feature = "http", feature = "postgres", feature = "redis"))]
mod again;
mod content;
mod decode;
mod error;
mod follow;
mod from_store;
mod from_url;
#[cfg(any(feature = "etcd", feature = "nats", feature = "postgres"))]
mod history;
mod in_time;
mod lock;
mod pace;
mod shared;
mod store;
#[cfg(feature = "_stores")]
mod tls;
mod watched;

#[cfg(feature = "etcd")]
pub mod etcd;
#[cfg(feature = "http")]
pub mod http;
#[cfg(feature = "layers")]
pub mod layers;
#[cfg(feature = "nats")]
pub mod nats;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "redis")]
pub mod redis;

pub use self::{
    access::{Access, Secret},
    content::{Content, Entry, Revision},
    error::StoreError,
    from_store::FromStore,
    from_url::from_url,
    shared::Shared,
    store::{Changes, Connection, Store},
};

/// Has the example of the README compiled.
#[cfg(all(doctest, feature = "etcd", feature = "toml"))]
#[doc = include_str!("../README.md")]
struct Readme;

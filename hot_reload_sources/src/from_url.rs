//! A place in a store, by its URL.

use std::time::Duration;

use async_trait::async_trait;

use crate::{
    access::Access,
    error::StoreError,
    store::{Connection, Store},
};

/// Returns the place that `url` names; nothing is connected yet.
///
/// | URL | is | feature |
/// |---|---|---|
/// | `https://host/path`, with `#watch=sse` or `#watch=long-poll` | what is there | `http` |
/// | `redis://host:6379/0/key` (`rediss://` for TLS) | a string, in database 0 | `redis` |
/// | `redis+sentinel://host:26379/primary/0/key` (`rediss+sentinel://`) | the same, where a sentinel says | `redis` |
/// | `redis+unix:///run/redis.sock?db=0&key=key` | the same, by a Unix socket | `redis` |
/// | `nats://host:4222/bucket/key` (`natss://`) | an entry of a bucket | `nats` |
/// | `etcd://host:2379/key` (`etcds://`) | a key | `etcd` |
/// | `postgres://host:5432/database/key` | a row of the table of this crate | `postgres` |
///
/// `#set` behind it, save of HTTP, makes it a set: all keys that begin with this one, or what a hash of Redis holds.
///
/// # Errors
///
/// When `url` is of no such form, or of a store whose feature is not built in.
///
/// # Examples
///
/// ```
/// # #[cfg(all(feature = "redis", feature = "toml"))] {
/// use hot_reload_sources::{Access, Store, from_url};
///
/// let url = "redis://127.0.0.1/0/prod/limits.toml";
/// let limits = from_url(url, Access::new()).unwrap().toml::<toml::Table>();
/// assert_eq!(limits.name(), "redis://127.0.0.1:6379/0/prod/limits.toml");
/// # }
/// ```
///
/// ```
/// use hot_reload_sources::{Access, from_url};
///
/// let told = from_url("ftp://host/config.toml", Access::new()).err().unwrap().to_string();
/// assert!(told.contains("ftp"), "{told}");
/// ```
pub fn from_url(url: &str, access: Access) -> Result<Box<dyn Store>, StoreError> {
    let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
    match scheme {
        "http" | "https" => {
            built_in!("http", crate::http::HttpPlace::from_url(url, access), access)
        }
        "redis" | "rediss" | "redis+unix" | "redis+sentinel" | "rediss+sentinel" | "valkey"
        | "valkeys" | "valkey+unix" => {
            built_in!("redis", crate::redis::RedisPlace::from_url(url, access), access)
        }
        "nats" | "natss" | "tls" => {
            built_in!("nats", crate::nats::NatsPlace::from_url(url, access), access)
        }
        "etcd" | "etcds" => {
            built_in!("etcd", crate::etcd::EtcdPlace::from_url(url, access), access)
        }
        "postgres" | "postgresql" => {
            built_in!("postgres", crate::postgres::PostgresPlace::from_url(url, access), access)
        }
        _ => Err(StoreError::refused(format!(
            "{scheme}:// is no store that is known; known are http, redis, nats, etcd and postgres, \
             and https, rediss, natss and etcds"
        ))),
    }
}

/// The place, where its store is built in.
macro_rules! built_in {
    ($feature:literal, $place:expr, $access:ident) => {{
        #[cfg(feature = $feature)]
        let place = $place.map(|place| Box::new(place) as Box<dyn Store>);
        #[cfg(not(feature = $feature))]
        let place = {
            drop($access);
            Err(StoreError::refused(concat!(
                "this program is built without ",
                $feature,
                "; build it with the feature of that name"
            )))
        };
        place
    }};
}
use built_in;

#[async_trait]
impl Store for Box<dyn Store> {
    fn name(&self) -> String {
        (**self).name()
    }

    fn read_deadline(&self) -> Duration {
        (**self).read_deadline()
    }

    fn max_size(&self) -> usize {
        (**self).max_size()
    }

    async fn connect(&self) -> Result<Box<dyn Connection>, StoreError> {
        (**self).connect().await
    }
}

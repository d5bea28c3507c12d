//! A place in a store, by its URL.

use std::time::Duration;

use async_trait::async_trait;

use crate::{
    access::Access,
    error::StoreError,
    store::{Connection, Store},
};

/// A store, and the URLs of its places.
struct Known {
    /// What it is built in by.
    feature: &'static str,
    schemes: &'static [&'static str],
    /// Makes a place of a URL, where it is built in.
    place: Option<FromUrl>,
}

type FromUrl = fn(&str, Access) -> Result<Box<dyn Store>, StoreError>;

macro_rules! known {
    ($feature:literal, $place:ty, $schemes:expr) => {
        Known {
            feature: $feature,
            schemes: &$schemes,
            #[cfg(feature = $feature)]
            place: Some(|url, access| Ok(Box::new(<$place>::from_url(url, access)?))),
            #[cfg(not(feature = $feature))]
            place: None,
        }
    };
}

const KNOWN: [Known; 5] = [
    known!("http", crate::http::HttpPlace, ["https", "http"]),
    known!("nats", crate::nats::NatsPlace, ["nats", "natss", "tls"]),
    known!(
        "redis",
        crate::redis::RedisPlace,
        [
            "redis",
            "rediss",
            "redis+unix",
            "redis+sentinel",
            "rediss+sentinel",
            "valkey",
            "valkeys",
            "valkey+unix"
        ]
    ),
    known!("etcd", crate::etcd::EtcdPlace, ["etcd", "etcds"]),
    known!("postgres", crate::postgres::PostgresPlace, ["postgres", "postgresql"]),
];

/// Makes the place that `url` names; nothing is connected yet.
///
/// | URL | is | feature |
/// |---|---|---|
/// | `https://host/path`, with `#watch=sse` or `#watch=long-poll` | what is there | `http` |
/// | `nats://host:4222/bucket/key` (`natss://` for TLS) | an entry of a bucket | `nats` |
/// | `redis://host:6379/0/key` (`rediss://` for TLS) | a string, in database 0 | `redis` |
/// | `redis+sentinel://host:26379/primary/0/key` (`rediss+sentinel://`) | the same, where a sentinel says | `redis` |
/// | `redis+unix:///run/redis.sock?db=0&key=key` | the same, by a Unix socket | `redis` |
/// | `etcd://host:2379/key` (`etcds://` for TLS) | a key | `etcd` |
/// | `postgres://host:5432/database/key` (`?sslmode=`; `verify-full` by default, save on this machine) | a row of the table of this crate | `postgres` |
///
/// `#set` behind it, save of HTTP, makes it a set: all keys that begin with this one, or what a hash of Redis
/// holds. Each store's page has the other forms of its URL.
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
/// assert!(told.starts_with("ftp:// is no store that is known"), "{told}");
/// ```
pub fn from_url(url: &str, access: Access) -> Result<Box<dyn Store>, StoreError> {
    let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
    let Some(known) = KNOWN.iter().find(|known| known.schemes.contains(&scheme)) else {
        let schemes: Vec<_> = KNOWN.iter().flat_map(|known| known.schemes).copied().collect();
        return Err(StoreError::refused(format!(
            "{scheme}:// is no store that is known; known are {}",
            schemes.join(", ")
        )));
    };
    let Some(place) = known.place else {
        return Err(StoreError::refused(format!(
            "this program is built without {}; build it with the feature of that name",
            known.feature
        )));
    };
    place(url, access)
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scheme_is_that_of_one_store() {
        for known in &KNOWN {
            for scheme in known.schemes {
                let told = from_url(&format!("{scheme}://"), Access::new()).err().unwrap();
                assert!(told.is_refused() && !told.to_string().contains("is no store"), "{told}");
                assert_eq!(KNOWN.iter().filter(|one| one.schemes.contains(scheme)).count(), 1);
            }
        }
    }

    #[test]
    fn an_unknown_scheme_is_told_with_those_that_are_known() {
        let told = from_url("ftp://host/key", Access::new()).err().unwrap().to_string();
        for scheme in KNOWN.iter().flat_map(|known| known.schemes) {
            assert!(told.contains(scheme), "{scheme}: {told}");
        }
    }

    #[test]
    fn the_read_deadline_is_that_of_the_access() {
        for url in [
            "https://host/config.toml",
            "nats://host/bucket/key",
            "redis://host/0/key",
            "redis+unix:///s?key=key",
            "etcd://host/key",
            "postgres://host/database/key",
        ] {
            let scheme = url.split_once(':').unwrap().0;
            if KNOWN.iter().any(|known| known.schemes.contains(&scheme) && known.place.is_none()) {
                continue;
            }
            let deadline = |access| from_url(url, access).unwrap().read_deadline();
            let minute = Duration::from_secs(60);
            assert_eq!(deadline(Access::new()), Duration::from_secs(5), "{url}");
            assert_eq!(deadline(Access::new().read_deadline(minute)), minute, "{url}");
        }
    }
}

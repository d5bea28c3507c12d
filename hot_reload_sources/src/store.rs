//! The two traits that a store implements.

use std::{collections::BTreeMap, pin::Pin, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures_core::Stream;
#[cfg(feature = "json")]
use hot_reload::file_reloader::Json;
#[cfg(feature = "toml")]
use hot_reload::file_reloader::Toml;
#[cfg(feature = "yaml")]
use hot_reload::file_reloader::Yaml;
#[cfg(any(feature = "toml", feature = "json", feature = "yaml"))]
use serde::de::DeserializeOwned;

use crate::{
    content::{Content, Entry},
    decode,
    error::StoreError,
    from_store::FromStore,
};

/// Longer than a connection to another continent takes, short enough for whoever waits for it.
pub(crate) const READ_DEADLINE: Duration = Duration::from_secs(5);
/// As much as a configuration has; more is an accident, or an attack.
pub(crate) const MAX_SIZE: usize = 16 * 1024 * 1024;

/// What a store holds now, and then every change of it, of which the last of several is enough; ends with the
/// connection.
pub type Changes = Pin<Box<dyn Stream<Item = Result<Entry, StoreError>> + Send>>;

/// A place in a store: knows how to get there, and holds no connection itself.
///
/// Implement it, and [`Connection`], for a store of your own; [`FromStore`] does the rest. Then put it to
/// the suite in `hot_reload::testing`: `type Source = FromStore<Sample>` in the rig, and its `source` is
/// `MyStore::at(address).toml()`.
///
/// # Examples
///
/// A store whose client is a `watch` channel of tokio, as the whole of its source:
///
/// ```
/// use async_trait::async_trait;
/// use futures_util::{StreamExt, stream};
/// use hot_reload_sources::{Changes, Connection, Entry, Revision, Store, StoreError};
/// use tokio::sync::watch;
///
/// /// The number of a change, and the text.
/// type Held = (u64, Option<String>);
///
/// struct InMemory(watch::Receiver<Held>);
///
/// fn entry((number, text): &Held) -> Entry {
///     let entry = text.clone().map_or_else(Entry::gone, Entry::one);
///     entry.at(Revision::new("in memory", *number))
/// }
///
/// #[async_trait]
/// impl Store for InMemory {
///     fn name(&self) -> String {
///         "memory://greeting".into()
///     }
///
///     async fn connect(&self) -> Result<Box<dyn Connection>, StoreError> {
///         self.0.has_changed().map_err(|_| StoreError::unreachable("its sender is gone"))?;
///         Ok(Box::new(InMemory(self.0.clone())))
///     }
/// }
///
/// #[async_trait]
/// impl Connection for InMemory {
///     async fn read(&mut self) -> Result<Entry, StoreError> {
///         Ok(entry(&self.0.borrow()))
///     }
///
///     async fn watch(&mut self) -> Result<Option<Changes>, StoreError> {
///         let mut held = self.0.clone();
///         // What is there comes first.
///         held.mark_changed();
///         let changes = stream::unfold(held, |mut held| async {
///             held.changed().await.ok()?;
///             let now = entry(&held.borrow_and_update());
///             Some((Ok(now), held))
///         });
///         Ok(Some(changes.boxed()))
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (store, held) = watch::channel((1, Some("hello".to_owned())));
/// let mut greeting = InMemory(held).text().watch().await?;
/// greeting.changed().await?;
/// assert_eq!(greeting.get().as_deref(), Some("hello"));
///
/// store.send_replace((2, Some("good day".to_owned())));
/// greeting.changed().await?;
/// assert_eq!(greeting.get().as_deref(), Some("good day"));
///
/// store.send_replace((3, None));
/// let mut status = greeting.watch_status();
/// let told = status.wait_for(|status| status.failures > 0).await?.last_error.unwrap();
/// assert_eq!(&*told, "memory://greeting: nothing there; put a value");
/// assert_eq!(greeting.get().as_deref(), Some("good day"));
/// # Ok(())
/// # }
/// ```
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Returns what logs, errors and the status call it: a URL without secrets. It is asked once, and what is
    /// appended to it names an entry of a set.
    fn name(&self) -> String;

    /// Returns how long connecting, a read and silence may take; 5 s unless a store says otherwise. That a
    /// watch is silent is for the store to find, at [`Connection::watch`].
    fn read_deadline(&self) -> Duration {
        READ_DEADLINE
    }

    /// Returns the size in bytes up to which its content is taken, unless
    /// [`FromStore::max_size`] says otherwise; 16 MiB unless a store does. It is asked once.
    fn max_size(&self) -> usize {
        MAX_SIZE
    }

    /// Connects; credentials are read anew, since they may have been replaced.
    ///
    /// # Errors
    ///
    /// When there is no connection to be had now. It is tried again.
    ///
    /// # Cancel safety
    ///
    /// The future is dropped at its deadline, and when the service is stopped.
    async fn connect(&self) -> Result<Box<dyn Connection>, StoreError>;

    /// Makes it a source of values that `decode` makes of its content; its errors must name the place
    /// and may quote the content, since the log masks quotes.
    fn with<V>(
        self,
        decode: impl Fn(&str, &Content) -> anyhow::Result<V> + Send + Sync + 'static,
    ) -> FromStore<V>
    where
        Self: Sized,
    {
        FromStore::new(self, decode)
    }

    /// Makes it a source of whatever its TOML says.
    #[cfg(feature = "toml")]
    fn toml<V: DeserializeOwned + 'static>(self) -> FromStore<V>
    where
        Self: Sized,
    {
        self.with(decode::one::<V, Toml>)
    }

    /// Makes it a source of whatever its JSON says.
    #[cfg(feature = "json")]
    fn json<V: DeserializeOwned + 'static>(self) -> FromStore<V>
    where
        Self: Sized,
    {
        self.with(decode::one::<V, Json>)
    }

    /// Makes it a source of whatever its YAML says.
    #[cfg(feature = "yaml")]
    fn yaml<V: DeserializeOwned + 'static>(self) -> FromStore<V>
    where
        Self: Sized,
    {
        self.with(decode::one::<V, Yaml>)
    }

    /// Makes a set a source of what the TOML of each of its keys says.
    #[cfg(feature = "toml")]
    fn each_toml<V: DeserializeOwned + 'static>(self) -> FromStore<BTreeMap<String, V>>
    where
        Self: Sized,
    {
        self.with(decode::each::<V, Toml>)
    }

    /// Makes a set a source of what the JSON of each of its keys says.
    #[cfg(feature = "json")]
    fn each_json<V: DeserializeOwned + 'static>(self) -> FromStore<BTreeMap<String, V>>
    where
        Self: Sized,
    {
        self.with(decode::each::<V, Json>)
    }

    /// Makes a set a source of what the YAML of each of its keys says.
    #[cfg(feature = "yaml")]
    fn each_yaml<V: DeserializeOwned + 'static>(self) -> FromStore<BTreeMap<String, V>>
    where
        Self: Sized,
    {
        self.with(decode::each::<V, Yaml>)
    }

    /// Makes it a source of text.
    fn text(self) -> FromStore<String>
    where
        Self: Sized,
    {
        self.with(decode::text)
    }

    /// Makes it a source of bytes.
    fn bytes(self) -> FromStore<Bytes>
    where
        Self: Sized,
    {
        self.with(|name, content| Ok(decode::bytes(name, content)?.clone()))
    }

    /// Makes a set a source of the bytes of each of its keys.
    fn each_bytes(self) -> FromStore<BTreeMap<String, Bytes>>
    where
        Self: Sized,
    {
        self.with(|name, content| Ok(decode::set(name, content)?.clone()))
    }
}

/// A connection to a store, for one place in it.
///
/// While what [`watch`](Self::watch) has returned stands, [`read`](Self::read) is called as well, by the audit
/// of the hybrid strategy and where order is unclear: neither may disturb the other. A client that many
/// places share is kept in a [`Shared`](crate::Shared). Dropped, nothing remains of a connection.
///
/// # Cancel safety
///
/// Both futures are dropped at the read deadline and when the service is stopped, and the connection with
/// them.
#[async_trait]
pub trait Connection: Send + Sync {
    /// Reads what is there now.
    ///
    /// # Errors
    ///
    /// When it can't be read. The connection is given up then, save where the error is
    /// [throttled](StoreError::throttled) or [missing](StoreError::missing).
    async fn read(&mut self) -> Result<Entry, StoreError>;

    /// Starts to watch: the first item is what is there once the watch stands, so that no change falls
    /// in between; `None` where the store has no channel of its own and is to be polled.
    ///
    /// The stream must end, or have an error, when the store has not been heard of for its
    /// [read deadline](Store::read_deadline), even where the system still takes it for connected.
    ///
    /// # Errors
    ///
    /// When it can't be watched. After one that is [missing](StoreError::missing) it is tried again over this
    /// connection; after any other what is there is read, and polled until an attempt by another connection
    /// succeeds, at the pace of the error.
    async fn watch(&mut self) -> Result<Option<Changes>, StoreError> {
        Ok(None)
    }
}

//! Redis: a string, or a hash, kept live by client tracking.
//!
//! # Examples
//!
//! ```no_run
//! use hot_reload_sources::{Access, Store, redis::Redis};
//! use serde::Deserialize;
//!
//! #[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
//! struct Limits {
//!     requests_per_second: u32,
//! }
//!
//! # #[cfg(feature = "toml")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let redis = Redis::from_url("redis://127.0.0.1:6379/0", Access::new())?;
//! let mut limits = redis.key("prod/limits.toml").toml::<Limits>().watch().await?;
//! while limits.changed().await.is_ok() {
//!     println!("{:?}", limits.get());
//! }
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "toml"))]
//! # fn main() {}
//! ```
//!
//! # URLs
//!
//! | URL | is |
//! |---|---|
//! | `redis://host:6379/0/prod/server.toml` | `prod/server.toml` of database 0 |
//! | `redis://host:6379/0/prod/limits#set` | the fields of the hash `prod/limits` |
//! | `rediss://host:6379/0/prod/server.toml` | the first, by TLS |
//! | `redis+unix:///run/redis.sock?db=0&key=prod/server.toml` | the first, by a Unix socket |
//! | `redis+sentinel://host:26379/primary/0/prod/server.toml` | the first, where a sentinel says |
//!
//! `rediss+sentinel` has both by TLS, and `?sentinel=host:26379&sentinel=host:26379` names more of them;
//! `valkey`, `valkeys` and `valkey+unix` stand for `redis`, `rediss`
//! and `redis+unix`. An `@` in a key is written `%40`, so that what follows a password with a
//! slash in it is not taken for one. Logs and errors name places by URLs like these, without a user and a
//! password, and a field of a hash by `redis://host:6379/0/prod/limits#set/field`.
//!
//! # How it works
//!
//! All keys of a [`Redis`] share one connection, which speaks RESP3 and has [client tracking] on, in its
//! default mode: the server remembers what was read here, and pushes an invalidation when it changes, is
//! deleted, expires, is evicted or flushed. The key is then read again on the same connection, which has
//! the server remember it anew. So a burst of changes comes to as many reads as there is time for, and
//! the last of them sees the last change; and the server spends memory on these keys alone, where its
//! broadcasting mode would send whatever is written under a prefix. One round trip follows each push,
//! since an invalidation carries no value.
//!
//! Redis counts no revisions. Whatever is read comes by the one connection, in the order in which the
//! server has answered; a new connection begins with a read.
//!
//! A server that is silent for [`read_deadline`](Redis::read_deadline) is taken for lost: the connection
//! is asked for a sign of life twice in that time.
//!
//! # Servers without client tracking
//!
//! Redis before 6, and some proxies, know no RESP3 or no tracking: there the key is polled.
//! [`keyspace_events`](Redis::keyspace_events) uses [keyspace notifications] in place of it.
//!
//! # What a reader must be allowed
//!
//! A user of an access control list needs these rights:
//!
//! | for | rights |
//! |---|---|
//! | a key | `+get`, and `+getrange +eval_ro +strlen` |
//! | a hash | `+hgetall`, and `+eval_ro +hlen +hkeys +hstrlen` |
//! | changes | `+client` or `+client\|tracking`, `+ping` |
//! | keyspace events in their place | `+subscribe` and `&__keyspace@0__:KEY`, `+ping` |
//! | a database that is not 0 | `+select` |
//! | a cluster | `+asking` |
//! | sentinels | `+role` |
//!
//! It may be one who can only read, as by `%R~prod/*`. Without the right to `CLIENT TRACKING` the key is
//! polled, and the status says so. The rights from `+eval_ro` on (`+eval` before Redis 7) have the server
//! measure a value before it sends it; without them it is read as it is. Without `+role`, a server that a
//! sentinel names is taken for the primary; without `+config|get`, one that sends no keyspace events for
//! one where nothing changes.
//!
//! # Known problems
//!
//! - A value holds up the others of its connection while it arrives: what is large needs a [`Redis`] of
//!   its own. It is in memory before its size is looked at where the server may run no script.
//! - A hash is measured field by field before it is sent: of 1,000 fields a server was busy for 0.6 ms, where
//!   it had been for 0.07 ms. What has tens of thousands is better one string.
//! - Keyspace channels are left once the last key of a [`Redis`] is let go, not each with its key.
//! - A key that expires is told when the server removes it, usually within a tenth of a second, but
//!   later on a server with many keys that expire.
//! - `SWAPDB` tells nobody what it has changed; the next audit finds it.
//! - A replica may lag behind, so one that takes over, or a name that stands for several, may tell an
//!   older value after a newer one.
//! - The server does not tell databases apart when it invalidates: a key of the same name in another
//!   causes a read.
//! - Of a cluster, the node that is named has to be there: it is asked which node has a key, on which the
//!   key is then followed, also while its slot moves. A key that was nowhere when its slot went to another
//!   node is found there by the next audit.
//!
//! [client tracking]: https://redis.io/docs/latest/develop/reference/client-side-caching/
//! [keyspace notifications]: https://redis.io/docs/latest/develop/pubsub/keyspace-notifications/

mod address;
mod cluster;
mod dial;
mod fault;
mod keyspace;
mod link;
mod name;
mod news;
mod place;
mod query;
mod reach;
mod sentinel;
mod watch;

use std::{fmt, sync::Arc, time::Duration};

pub use self::place::RedisPlace;
use self::{address::Address, cluster::Nodes, dial::Server, link::Link, query::Shape};
use crate::{access::Access, error::StoreError, shared::Shared};

/// A Redis server, or one that speaks its protocol, such as Valkey.
///
/// Its clones, and the places in it, share one connection, which is open while any of them is followed; of
/// a cluster, one a node.
#[derive(Clone)]
#[must_use]
pub struct Redis {
    server: Arc<Server>,
    shared: Shared<Link>,
    settings: Settings,
    nodes: Nodes,
}

#[derive(Debug, Clone, Copy)]
struct Settings {
    read_deadline: Duration,
    keyspace_events: bool,
}

impl Redis {
    /// Reaches the server, and the database in it, that `url` names:
    /// `redis://host:6379/0`, `rediss://host:6379/0` by TLS, `redis+unix:///run/redis.sock?db=0` by a
    /// Unix socket, `redis+sentinel://host:26379/primary/0` by what a sentinel says, or one of more,
    /// which follow as `?sentinel=host:26379&sentinel=host:26379`; `rediss+sentinel` has both by TLS.
    ///
    /// A user and a password in it are taken, unless `access` has its own.
    ///
    /// # Errors
    ///
    /// When it is no such URL. The server need not be there yet.
    pub fn from_url(url: &str, access: Access) -> Result<Self, StoreError> {
        let address = Address::parse(url, access)?;
        match address.key {
            None => Ok(Self::new(address.server)),
            Some(_) => Err(StoreError::refused(
                "the URL of a server ends with the number of a database; name the key by key, or use \
                 RedisPlace::from_url",
            )),
        }
    }

    /// Creates what reaches the server by the settings of `client`: its address, user, password,
    /// database and TLS.
    pub fn from_client(client: ::redis::Client) -> Self {
        Self::new(Server::from_client(client))
    }

    /// Sets for how long the server may be silent until the connection is given up; 5 s by default.
    ///
    /// The connection is that of all keys, and what is asked first is answered first: a value that takes
    /// longer to arrive needs more.
    pub fn read_deadline(mut self, deadline: Duration) -> Self {
        self.settings.read_deadline = deadline;
        self.apart()
    }

    /// Has changes told by keyspace notifications, over a second connection, in place of client tracking.
    ///
    /// The server has to send them: `notify-keyspace-events` must have `K` and `A`. It sends none for
    /// `FLUSHALL` and `FLUSHDB`, which the next audit finds.
    pub fn keyspace_events(mut self, is_used: bool) -> Self {
        self.settings.keyspace_events = is_used;
        self.apart()
    }

    /// Returns the string that is stored at `key`.
    pub fn key(&self, key: impl Into<String>) -> RedisPlace {
        RedisPlace::new(self.clone(), key, Shape::Text)
    }

    /// Returns the hash that is stored at `key`, as a set of its fields.
    pub fn hash(&self, key: impl Into<String>) -> RedisPlace {
        RedisPlace::new(self.clone(), key, Shape::Hash)
    }

    fn new(server: Server) -> Self {
        let read_deadline = server.access().deadline();
        Self {
            settings: Settings { read_deadline, keyspace_events: false },
            server: Arc::new(server),
            shared: Shared::new(read_deadline),
            nodes: Nodes::default(),
        }
    }

    /// Shares nothing with those of other settings.
    fn apart(self) -> Self {
        let shared = Shared::new(self.settings.read_deadline);
        Self { shared, nodes: Nodes::default(), ..self }
    }

    /// Returns the connection that all share, or makes it.
    async fn link(&self) -> Result<Arc<Link>, StoreError> {
        let connect = || Link::connect(Arc::clone(&self.server), self.settings);
        self.shared.get(Link::is_alive, connect).await
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Redis").field(&self.server.name()).finish()
    }
}

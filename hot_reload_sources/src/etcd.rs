//! etcd: a key, or all keys that begin alike.
//!
//! # Examples
//!
//! ```no_run
//! use hot_reload_sources::{Access, Secret, Store, etcd::Etcd};
//! use serde::Deserialize;
//!
//! #[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
//! struct Limits {
//!     connections: u32,
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let access = Access::new().user("app").password(Secret::file("/run/secrets/etcd"));
//! let etcd = Etcd::from_url("etcd://a:2379,b:2379,c:2379", access)?;
//!
//! let mut motd = etcd.key("prod/motd").text().watch().await?;
//! # #[cfg(feature = "toml")]
//! let limits = etcd.prefix("prod/limits/").each_toml::<Limits>().watch().await?;
//!
//! motd.changed().await?;
//! println!("{:?}", motd.get());
//! # Ok(()) }
//! ```
//!
//! # URLs
//!
//! | URL | is |
//! |---|---|
//! | `etcd://a:2379,b:2379,c:2379` | a cluster, for [`Etcd::from_url`] |
//! | `etcd://host:2379/prod/server.toml` | the key `prod/server.toml`, for [`EtcdPlace::from_url`] |
//! | `etcd://host:2379//prod/server.toml` | the key `/prod/server.toml` |
//! | `etcd://host:2379/prod/limits/#set` | all keys that begin with `prod/limits/` |
//! | `etcds://user:password@host/key` | the same by TLS, for who comes with a password |
//!
//! The port is 2379 where none is said. What stands for something in a URL is percent-encoded in a key: `?`,
//! `#`, `%` and `@`; in a password `/` as well.
//!
//! # How it works
//!
//! A place is read at one revision of the store and
//! [watched](https://etcd.io/docs/v3.6/learning/api/#watch-api) from the next on, so nothing falls in
//! between. The value comes with the event. Of a prefix, the set is kept in memory; whatever changes in one
//! transaction changes in it at once.
//!
//! All places of an [`Etcd`] and of its clones share one connection to one member, drawn by lot; a member
//! that is cut off from its leader ends its watches, and another is asked. Credentials and certificates
//! are read anew at each connection. Twice within the [read deadline](Etcd::read_deadline) the member is
//! asked for its state, since a connection that is dead says nothing: it is found before that is over. A
//! watch that a proxy ends is begun again over the same connection.
//!
//! | | |
//! |---|---|
//! | reads | linearizable: by a majority of the members |
//! | revision | that of the store; a new count begins where a cluster is restored from a snapshot, although it has the id of the old one |
//! | compacted while it was slow | read again, at once |
//! | refused | wrong password, no right to read, no trust in the certificate; asked again, ever more seldom |
//!
//! A process with a thousand places has a thousand streams in one connection and one heartbeat. Many
//! processes may share the watches of a cluster by `etcd grpc-proxy start`, which is a member to them.
//!
//! # What a reader must be allowed
//!
//! To read the key, or the prefix: a role with `--prefix` of that very prefix or of a shorter one. Nothing else,
//! as everybody may ask a member for its state.
//!
//! # Known problems
//!
//! - A token is not checked again once a watch stands: who loses the right to read is told so by the next
//!   audit.
//! - A server or a proxy with a low limit of streams in one connection (`--max-concurrent-streams`) has none
//!   for all of many places, nor for what finds out whether it is alive: the connection is then made anew,
//!   over and over. Give each [`Etcd`] fewer places.
//! - To build it takes `protoc` and the files of `libprotobuf-dev`.
//! - A server with TLS that hangs up says nothing of why; see its log.

mod address;
mod connect;
mod fault;
mod keys;
mod link;
mod place;
mod watch;

use std::{fmt, sync::Arc, time::Duration};

use etcd_client::Client;

pub use self::place::EtcdPlace;
use self::{
    address::{Members, Parts},
    keys::Keys,
    link::Link,
};
use crate::{access::Access, error::StoreError, history, shared::Shared, store::READ_DEADLINE};

/// What part of the read deadline there is for a member to answer, so that what another has said is told.
const ENTRANCE: f64 = 0.8;

/// The order of what a cluster says.
type History = history::History<u64>;

/// A cluster; its clones, and all places in it, share one connection.
///
/// Nothing is connected until a place is followed, and nothing once none is any more.
#[derive(Clone)]
#[must_use]
pub struct Etcd {
    way: Arc<Way>,
    shared: Shared<Link>,
    history: Arc<History>,
    read_deadline: Duration,
}

enum Way {
    Members(Members, Access),
    Client(Box<Client>),
}

impl Etcd {
    /// Takes the members from a URL: `etcd://a:2379,b:2379`, or `etcds://` for TLS. A user and a
    /// password may be in it, `etcd://user:password@a:2379`; those of `access` go before them.
    ///
    /// It connects to one member when the first place is followed, and to another when that is lost.
    ///
    /// # Errors
    ///
    /// When it is no such URL, or has a key, and when `access` has what etcd does not know, or no TLS
    /// would use.
    pub fn from_url(url: &str, access: Access) -> Result<Self, StoreError> {
        let Parts { members, access, keys } = address::parse(url, access)?;
        match keys {
            None => Ok(Self::to(members, access)),
            Some(_) => Err(StoreError::refused(
                "the URL of a cluster has no key; name it by `key`, or take EtcdPlace::from_url",
            )),
        }
    }

    /// Takes a client, as it is configured.
    ///
    /// Connecting again is left to it: build it with
    /// [`with_keep_alive`](etcd_client::ConnectOptions::with_keep_alive), or it goes on to use a connection
    /// that is dead; with
    /// [`with_require_leader`](etcd_client::ConnectOptions::with_require_leader); and where it logs in,
    /// with [`with_auto_token_refresh`](etcd_client::ConnectOptions::with_auto_token_refresh).
    pub fn from_client(client: Client) -> Self {
        Self::by(Way::Client(Box::new(client)))
    }

    /// Sets how long the member may be silent before the connection to it is given up; 5 s by default.
    ///
    /// Two or three times in that time it is asked for its state. What was made of it before keeps what
    /// it had.
    pub fn read_deadline(mut self, deadline: Duration) -> Self {
        self.read_deadline = deadline;
        self.shared = Shared::new(deadline);
        self
    }

    /// Returns the key `key`.
    pub fn key(&self, key: impl Into<String>) -> EtcdPlace {
        self.place(Keys::Key(key.into()))
    }

    /// Returns all keys that begin with `prefix`, as a set of what follows it; an empty one has all keys.
    pub fn prefix(&self, prefix: impl Into<String>) -> EtcdPlace {
        self.place(Keys::Prefix(prefix.into()))
    }

    fn to(members: Members, access: Access) -> Self {
        Self::by(Way::Members(members, access))
    }

    fn by(way: Way) -> Self {
        Self {
            way: Arc::new(way),
            shared: Shared::default(),
            history: Arc::default(),
            read_deadline: READ_DEADLINE,
        }
    }

    fn place(&self, keys: Keys) -> EtcdPlace {
        EtcdPlace::new(self.clone(), keys)
    }

    fn url(&self, key: &str) -> String {
        match &*self.way {
            Way::Members(members, _) => members.url(key),
            Way::Client(_) => format!("etcd:///{}", address::encode(key)),
        }
    }

    async fn link(&self) -> Result<Arc<Link>, StoreError> {
        let (way, deadline) = (Arc::clone(&self.way), self.read_deadline);
        let connect = || async move {
            let client = match &*way {
                Way::Members(members, access) => {
                    let limit = deadline.mul_f64(ENTRANCE);
                    connect::connect(members, access, limit).await?
                }
                Way::Client(client) => Client::clone(client),
            };
            Ok(Link::over(client, deadline))
        };
        self.shared.get(Link::is_alive, connect).await
    }
}

impl fmt::Debug for Etcd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Etcd").field(&self.url("")).finish()
    }
}

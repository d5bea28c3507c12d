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
//! are read anew at each connection. Every two fifths of the [read deadline](Etcd::read_deadline) the member
//! is asked for its state, since a connection that is dead says nothing: it is found before that is over.
//! Once in the deadline it is asked for what takes a majority of the members: one whose disk hangs still tells
//! its state, and is left within two of them. A watch that a proxy ends is begun again over the same connection.
//!
//! A user logs in once for a connection. What a password costs a member is dear (bcrypt), so none is shown to one
//! that takes half a second to answer, and a login that is slow is waited for by one attempt after the other,
//! rather than begun anew: a fleet that comes back at once is let in as fast as that can be done.
//!
//! | | |
//! |---|---|
//! | reads | linearizable: by a majority of the members |
//! | revision | that of the store; a new count begins where a cluster is restored from a snapshot, although it has the id of the old one |
//! | compacted while it was slow | read again, at once |
//! | forgotten by a server before 3.4.31 or 3.5.13, while it was slow ([etcd 17529](https://github.com/etcd-io/etcd/issues/17529)) | read again, a second after a flood of changes |
//! | refused | wrong password, no right to read, no trust in the certificate; asked again, ever more seldom |
//!
//! A process with a thousand places has a thousand streams in one connection and one heartbeat. Many
//! processes may share the watches of a cluster by `etcd grpc-proxy start`, which is a member to them; reads and
//! signs of life it passes on, one by one.
//!
//! # What a reader must be allowed
//!
//! To read the key, or the prefix: a role with `--prefix` of that very prefix or of a shorter one. Nothing else:
//! everybody may ask a member for its state, and whether it agrees with the others is seen from a refusal too.
//!
//! # Known problems
//!
//! - A token is not checked again once a watch stands: who loses the right to read is told so by the next
//!   audit.
//! - Each core of a member checks some twenty passwords a second: after a restart 5,000 processes take
//!   minutes. By client certificate (`--client-cert-auth`) nobody logs in. A login that nobody waits for any
//!   more, as that of a service that was stopped meanwhile, goes on for up to 15 s.
//! - A server or a proxy with a low limit of streams in one connection (`--max-concurrent-streams`) has none
//!   for all of many places, nor for what finds out whether it is alive: the connection is then made anew,
//!   over and over. Give each [`Etcd`] fewer places.
//! - To build it takes `protoc` and the files of `libprotobuf-dev`.
//! - A server with TLS that hangs up says nothing of why; see its log.

mod address;
mod connect;
mod fault;
mod heart;
mod keys;
mod link;
mod login;
mod place;
mod token;
mod watch;

use std::{fmt, sync::Arc, time::Duration};

use etcd_client::Client;

pub use self::place::EtcdPlace;
use self::{
    address::{Members, Parts},
    keys::Keys,
    link::Link,
    login::Entrance,
};
use crate::{access::Access, error::StoreError, history, shared::Shared, store::READ_DEADLINE};

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
    entrance: Entrance,
    /// One for all places: a cluster has one count for all of its keys.
    history: Arc<History>,
    read_deadline: Duration,
}

enum Way {
    Members(Members, Access),
    Client(Box<Client>),
}

impl Etcd {
    /// Reaches the members that `url` names: `etcd://a:2379,b:2379`, or `etcds://` for TLS. A user and a
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
            None => Ok(Self::new(Way::Members(members, access))),
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
        Self::new(Way::Client(Box::new(client)))
    }

    /// Sets how long the member may be silent before the connection to it is given up; 5 s by default.
    ///
    /// Every two fifths of it the member is asked for its state, and once in it for what takes a majority. What
    /// was made of it before keeps what it had.
    pub fn read_deadline(mut self, deadline: Duration) -> Self {
        self.read_deadline = deadline;
        self.shared = Shared::new(deadline);
        self.entrance = Entrance::default();
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

    fn new(way: Way) -> Self {
        let read_deadline = match &way {
            Way::Members(_, access) => access.deadline(),
            Way::Client(_) => READ_DEADLINE,
        };
        Self {
            way: Arc::new(way),
            shared: Shared::new(read_deadline),
            entrance: Entrance::default(),
            history: Arc::default(),
            read_deadline,
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
        let (way, entrance) = (Arc::clone(&self.way), self.entrance.clone());
        let deadline = self.read_deadline;
        let connect = || async move {
            let client = match &*way {
                Way::Members(members, access) => entrance.enter(members, access, deadline).await?,
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

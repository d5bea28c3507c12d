//! etcd: a key, or all keys that begin alike.
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
//! # How it works
//!
//! A place is read at one revision of the store and
//! [watched](https://etcd.io/docs/v3.6/learning/api/#watch-api) from the next on, so nothing falls in
//! between. The value comes with the event. Of a prefix, the set is kept in memory; whatever changes in one
//! transaction changes in it at once.
//!
//! All places of an [`Etcd`] and of its clones share one connection to one member, drawn by lot; a member
//! that is cut off from its leader ends its watches, and another is asked. Credentials and certificates
//! are read anew at each connection. Every two seconds the member is asked for its state, since a
//! connection that is dead says nothing: it is found within the
//! [read deadline](Etcd::read_deadline).
//!
//! | | |
//! |---|---|
//! | reads | linearizable: by a majority of the members |
//! | revision | that of the store; a new count begins where a cluster is restored from a snapshot, although it has the id of the old one |
//! | compacted while it was slow | read again, at once |
//! | refused | wrong password, no right to read, no trust in the certificate; asked again, ever more seldom |
//!
//! A process with a thousand places has a thousand streams in one connection and one heartbeat.
//!
//! # Known problems
//!
//! - A token is not checked again once a watch stands: who loses the right to read is told so by the next
//!   audit.
//! - A server that was started with a low `--max-concurrent-streams` has no stream for all of many places.
//! - To build it takes `protoc` and the files of `libprotobuf-dev`.
//! - A server with TLS that hangs up says nothing of why; see its log.

mod connect;
mod error;
mod history;
mod link;
mod range;
mod url;
mod watch;

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use etcd_client::Client;

use self::{
    history::History,
    link::{Link, Reading},
    range::Range,
    url::Members,
    watch::Watch,
};
use crate::{
    access::Access,
    content::Entry,
    error::StoreError,
    shared::Shared,
    store::{Changes, Connection, Store},
};

/// As long as the engine waits for an answer.
const READ_DEADLINE: Duration = Duration::from_secs(5);

/// A cluster; its clones, and all places in it, share one connection.
///
/// Nothing is connected until a place is followed, and nothing once none is any more.
#[derive(Clone)]
pub struct Etcd {
    way: Arc<Way>,
    link: Shared<Link>,
    history: Arc<History>,
    read_deadline: Duration,
}

enum Way {
    Members(Members, Access),
    Client(Box<Client>),
}

impl Etcd {
    /// Takes the members from a URL: `etcd://a:2379,b:2379`, or `etcds://` for TLS. A user and a
    /// password may be in it, `etcd://user:password@a:2379`, if there are none in `access`.
    ///
    /// It connects to one member when the first place is followed, and to another when that is lost.
    ///
    /// # Errors
    ///
    /// When it is no such URL, or has a key.
    pub fn from_url(url: &str, access: Access) -> Result<Self, StoreError> {
        let (members, access, key) = url::parse(url, access)?;
        if key.is_empty() {
            Ok(Self::to(members, access))
        } else {
            Err(StoreError::refused("the URL of a cluster has no key; name it by `key`"))
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
    #[must_use]
    pub fn read_deadline(mut self, deadline: Duration) -> Self {
        self.read_deadline = deadline;
        self.link = Shared::default();
        self
    }

    /// Returns the key `key`.
    pub fn key(&self, key: impl Into<String>) -> EtcdPlace {
        self.place(Range::Key(key.into()))
    }

    /// Returns all keys that begin with `prefix`, as a set of what follows it; an empty one has all keys.
    pub fn prefix(&self, prefix: impl Into<String>) -> EtcdPlace {
        self.place(Range::Prefix(prefix.into()))
    }

    fn to(members: Members, access: Access) -> Self {
        Self::by(Way::Members(members, access))
    }

    fn by(way: Way) -> Self {
        Self {
            way: Arc::new(way),
            link: Shared::default(),
            history: Arc::default(),
            read_deadline: READ_DEADLINE,
        }
    }

    fn place(&self, range: Range) -> EtcdPlace {
        EtcdPlace { etcd: self.clone(), range: Arc::new(range) }
    }

    fn url(&self, key: &str) -> String {
        match &*self.way {
            Way::Members(members, _) => members.url(key),
            Way::Client(_) => format!("etcd:///{}", url::encode(key)),
        }
    }

    async fn connect(&self) -> Result<Arc<Link>, StoreError> {
        let connect = async || {
            let client = match &*self.way {
                Way::Members(members, access) => connect::connect(members, access).await?,
                Way::Client(client) => Client::clone(client),
            };
            Ok(Link::over(client, self.read_deadline))
        };
        self.link.get(Link::is_alive, connect).await
    }
}

impl fmt::Debug for Etcd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Etcd").field(&self.url("")).finish()
    }
}

/// A place in a cluster: a key, or all keys that begin alike.
#[derive(Debug, Clone)]
pub struct EtcdPlace {
    etcd: Etcd,
    range: Arc<Range>,
}

impl EtcdPlace {
    /// Takes cluster and key from one URL: `etcd://a:2379,b:2379/prod/server.toml` is the key
    /// `prod/server.toml`, and with two slashes in front of it, `/prod/server.toml`.
    ///
    /// # Errors
    ///
    /// When it is no such URL, or has no key.
    pub fn from_url(url: &str, access: Access) -> Result<Self, StoreError> {
        let (members, access, key) = url::parse(url, access)?;
        if key.is_empty() {
            return Err(StoreError::refused("the URL names no key; put it after the members"));
        }
        Ok(Etcd::to(members, access).key(key))
    }
}

#[async_trait]
impl Store for EtcdPlace {
    fn name(&self) -> String {
        self.etcd.url(self.range.start())
    }

    async fn connect(&self) -> Result<Box<dyn Connection>, StoreError> {
        let link = self.etcd.connect().await?;
        Ok(Box::new(EtcdConnection { link, place: self.clone() }))
    }
}

struct EtcdConnection {
    link: Arc<Link>,
    place: EtcdPlace,
}

#[async_trait]
impl Connection for EtcdConnection {
    async fn read(&mut self) -> Result<Entry, StoreError> {
        let Reading { held, era, revision } =
            self.link.read(&self.place.range, &self.place.etcd.history).await?;
        Ok(held.entry(era.at(revision)))
    }

    async fn watch(&mut self) -> Result<Option<Changes>, StoreError> {
        let watch = Watch {
            link: Arc::clone(&self.link),
            range: Arc::clone(&self.place.range),
            history: Arc::clone(&self.place.etcd.history),
        };
        Ok(Some(watch.begin().await?))
    }
}

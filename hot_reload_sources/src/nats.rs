//! [`Nats`]: a key of a JetStream key-value bucket, or a set of them.
//!
//! # Examples
//!
//! ```no_run
//! use hot_reload_sources::{Access, Secret, Store, nats::Nats};
//! # #[cfg(feature = "toml")]
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # #[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
//! # struct Limits { requests: u32 }
//!
//! let access = Access::new().user("app").password(Secret::file("/run/secrets/nats"));
//! let nats = Nats::from_url("natss://a:4222,b:4222", access)?;
//! let config = nats.bucket("config");
//!
//! let mut limits = config.key("limits.toml").toml::<Limits>().watch().await?;
//! let flags = config.prefix("flags.").each_toml::<bool>().watch().await?;
//!
//! limits.changed().await?;
//! println!("{:?}, {:?}", limits.get(), flags.get());
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
//! | `nats://a:4222,b:4222` | servers of one cluster, for [`Nats::from_url`] |
//! | `nats://host:4222/config/server.toml` | the key `server.toml` of the bucket `config`, for [`NatsPlace::from_url`] |
//! | `nats://host:4222/config/flags.#set` | all keys that begin with `flags.` |
//! | `natss://user:password@host/config/key` | the same by TLS, for who comes with a password |
//! | `nats://token@host/config/key` | for who comes with a token |
//!
//! The port is 4222 where none is said. `tls://` is `natss://`, as other clients call it.
//!
//! # How it works
//!
//! A bucket is a stream of its changes ([ADR-8]). Each place has a push consumer of its own, which first
//! sends the last message of each key, and then every one that comes: the value is in what is pushed, so
//! that nothing is asked for afterwards. The consumer is what the clients call an ordered one ([ADR-17]):
//! in memory, without acknowledgements, with flow control, and with a heartbeat four times within the read
//! deadline. A message that is lost on the way, as to a reader that is too slow, leaves a gap in its
//! numbers, and one that is lost at the end is told by the next heartbeat; then the place is read anew, as
//! it is when nothing at all was heard for the read deadline.
//!
//! A mirror is read as the bucket that it mirrors, also that of another domain: a
//! [leaf node](https://docs.nats.io/running-a-nats-service/configuration/leafnodes/jetstream_leafnodes) serves
//! what it has while the hub is away.
//!
//! All places made of one [`Nats`] share one connection. It is never mended by the client, but given up
//! and replaced, with a pause that differs from one process to the next.
//!
//! The revision of an entry is the number that the stream gave the message, in the life of that stream: one
//! that was created anew, or restored from a backup, counts for itself.
//!
//! A look by the clock is one request, `STREAM.INFO`, which tells whether a key is gone of which no
//! message said so. Where nothing is watched it is another one for the value of a key, `DIRECT.GET`, and a
//! consumer of that moment for a set.
//!
//! # What a reader must be allowed
//!
//! To publish to `$JS.API.STREAM.INFO.KV_bucket`, to
//! `$JS.API.CONSUMER.CREATE.KV_bucket.*.$KV.bucket.key` and to `$JS.FC.KV_bucket.>`; and to subscribe to
//! `_INBOX.>`. Where it may not make consumers a key is polled, which takes
//! `$JS.API.DIRECT.GET.KV_bucket.$KV.bucket.key`.
//!
//! # Known problems
//!
//! - A value that expires by the age that the bucket allows, or that an administrator removes by its number,
//!   leaves no message before NATS 2.11, nor after unless the bucket has markers: the next look by the clock
//!   finds out, or else the next connection. From 2.11 on let the bucket have them ([ADR-43]).
//! - A bucket that is deleted, and created anew, is found after the read deadline, as servers do not tell
//!   whoever is sent its messages.
//! - After the loss of the machine, not of the process, a server may have forgotten the last two minutes, as
//!   that is how often it writes through by default (`sync_interval`). What it still has counts as newest.
//! - A cluster makes no consumers while it elects the leader of JetStream itself, as after the loss of the
//!   member that was it: whoever was connected there has the changes of those seconds (about ten, with NATS
//!   2.9) when they are over.
//! - A request that a cluster has given no answer to is asked again, up to four times within the read deadline;
//!   what was made by one of them and is not needed goes after five seconds.
//! - Members of a cluster that are not in the URL are not asked: name several.
//!
//! [ADR-8]: https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-8.md
//! [ADR-17]: https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-17.md
//! [ADR-43]: https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-43.md

mod address;
mod bucket;
mod changes;
mod fault;
mod known;
mod link;
mod place;

use std::{fmt, sync::Arc, time::Duration};

use async_nats::Client;

pub use self::place::NatsPlace;
use self::{address::Servers, link::Link, place::Keys};
use crate::{access::Access, error::StoreError, shared::Shared, store::READ_DEADLINE};

/// A NATS server with JetStream, or a cluster of them.
///
/// Its places, and its clones, share one connection, which is there while one of them needs it.
#[derive(Clone)]
#[must_use]
pub struct Nats {
    way: Arc<Way>,
    shared: Shared<Link>,
    read_deadline: Duration,
}

enum Way {
    Servers(Servers, Access),
    Client(Client),
}

/// A bucket of a NATS server.
#[derive(Debug, Clone)]
#[must_use]
pub struct NatsBucket {
    nats: Nats,
    name: String,
}

impl Nats {
    /// Takes the servers from a URL: `nats://a:4222,b:4222`, or `natss://` for TLS with all of them; they are
    /// of one cluster. Nothing is connected yet.
    ///
    /// Who asks is said by `access`, or else by the URL, of which it is taken out:
    /// - a user and a password;
    /// - a token, which may also be the seed of an nkey, or all that a `.creds` file holds;
    /// - a client certificate.
    ///
    /// # Errors
    ///
    /// When it is no such URL, or has a bucket, and when `access` says whom to trust and no TLS is spoken.
    pub fn from_url(url: &str, access: Access) -> Result<Self, StoreError> {
        let (servers, access) = Servers::parse(url, access)?;
        Ok(Self::new(Way::Servers(servers, access)))
    }

    /// Takes a client that is connected, or will be.
    ///
    /// The client goes on to connect again by itself, with its own pauses, and its own pings find out
    /// whether a connection is dead; a [`ping_interval`](async_nats::ConnectOptions::ping_interval) of a
    /// fourth of the read deadline is a good one.
    pub fn from_client(client: Client) -> Self {
        Self::new(Way::Client(client))
    }

    fn new(way: Way) -> Self {
        Self { way: Arc::new(way), shared: Shared::default(), read_deadline: READ_DEADLINE }
    }

    /// Sets how long a connection may be silent before it is given up, and how long an answer may take;
    /// 5 s by default, and 300 ms at least where changes are pushed.
    ///
    /// What was made of it before keeps what it had.
    pub fn read_deadline(mut self, deadline: Duration) -> Self {
        self.read_deadline = deadline;
        self.shared = Shared::new(deadline);
        self
    }

    /// Returns the bucket `name`, which need not exist yet.
    pub fn bucket(&self, name: impl Into<String>) -> NatsBucket {
        NatsBucket { nats: self.clone(), name: name.into() }
    }

    fn name(&self) -> String {
        match &*self.way {
            Way::Servers(servers, _) => servers.name(),
            Way::Client(_) => "nats:".to_owned(),
        }
    }

    async fn link(&self) -> Result<Arc<Link>, StoreError> {
        let (way, deadline) = (Arc::clone(&self.way), self.read_deadline);
        let connect = || async move {
            match &*way {
                Way::Servers(servers, access) => Link::connect(servers, access, deadline).await,
                Way::Client(client) => Link::of_client(client.clone(), deadline),
            }
        };
        self.shared.get(Link::is_alive, connect).await
    }
}

impl NatsBucket {
    /// Returns the key `key`.
    pub fn key(&self, key: impl Into<String>) -> NatsPlace {
        self.place(Keys::One(key.into()))
    }

    /// Returns all keys that begin with `prefix`, as a set of what follows it; an empty one has all keys.
    pub fn prefix(&self, prefix: impl Into<String>) -> NatsPlace {
        self.place(Keys::Prefix(prefix.into()))
    }

    fn place(&self, keys: Keys) -> NatsPlace {
        NatsPlace::new(self.nats.clone(), self.name.clone(), keys)
    }
}

/// Tells where it is, and nothing of who asks.
impl fmt::Debug for Nats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Nats").field(&self.name()).finish()
    }
}

//! [`Nats`]: a key of a JetStream key-value bucket, or a set of them.

mod address;
mod bucket;
mod changes;
mod history;
mod known;
mod place;
mod session;
mod told;

use std::{fmt, sync::Arc, time::Duration};

use async_nats::Client;

pub use self::place::NatsPlace;
use self::{address::Servers, place::Keys, session::Session};
use crate::{access::Access, error::StoreError, shared::Shared};

/// How long a connection may be silent; as long as a read may take, by default.
const READ_DEADLINE: Duration = Duration::from_secs(5);

/// A NATS server with JetStream, or a cluster of them.
///
/// Its places, and its clones, share one connection, which is there while one of them needs it.
#[derive(Clone)]
pub struct Nats {
    reached: Arc<Reached>,
    read_deadline: Duration,
    open: Shared<Session>,
}

/// How there is a connection to be had.
enum Reached {
    Servers(Servers, Access),
    Client(Client),
}

/// A bucket of a NATS server.
#[derive(Debug, Clone)]
pub struct NatsBucket {
    nats: Nats,
    name: String,
}

impl Nats {
    /// Creates it from a URL: `nats://host:4222`, or `tls://host:4222` for TLS; several servers of one
    /// cluster are divided by commas. Nothing is connected yet.
    ///
    /// Who asks is said by `access`, or by the URL, of which it is taken out:
    /// - a user and a password;
    /// - a token, which may also be the seed of an nkey, or all that a `.creds` file holds;
    /// - a client certificate.
    ///
    /// # Errors
    ///
    /// When it is no such URL.
    pub fn from_url(url: &str, mut access: Access) -> Result<Self, StoreError> {
        let servers = Servers::parse(url, &mut access)?;
        Ok(Self::new(Reached::Servers(servers, access)))
    }

    /// Creates it from a client that is connected, or will be.
    ///
    /// The client goes on to connect again by itself, with its own pauses, and its own pings find out
    /// whether a connection is dead; a [`ping_interval`](async_nats::ConnectOptions::ping_interval) of a
    /// fourth of the read deadline is a good one.
    pub fn from_client(client: Client) -> Self {
        Self::new(Reached::Client(client))
    }

    fn new(reached: Reached) -> Self {
        Self { reached: Arc::new(reached), read_deadline: READ_DEADLINE, open: Shared::default() }
    }

    /// Sets how long a connection may be silent before it is given up, and how long an answer may take;
    /// 5 s by default, and 300 ms at least where changes are pushed.
    ///
    /// What was made of it before keeps what it had.
    #[must_use]
    pub fn read_deadline(mut self, deadline: Duration) -> Self {
        self.read_deadline = deadline;
        self.open = Shared::default();
        self
    }

    /// Names a bucket of it, which need not exist yet.
    pub fn bucket(&self, name: impl Into<String>) -> NatsBucket {
        NatsBucket { nats: self.clone(), name: name.into() }
    }

    fn name(&self) -> String {
        match &*self.reached {
            Reached::Servers(servers, _) => servers.name(),
            Reached::Client(_) => "nats:".to_owned(),
        }
    }

    async fn session(&self) -> Result<Arc<Session>, StoreError> {
        self.open
            .get(Session::is_alive, async || match &*self.reached {
                Reached::Servers(servers, access) => {
                    Session::connect(servers, access, self.read_deadline).await
                }
                Reached::Client(client) => Session::of_client(client.clone(), self.read_deadline),
            })
            .await
    }
}

impl NatsBucket {
    /// Names a key.
    pub fn key(&self, key: impl Into<String>) -> NatsPlace {
        self.place(Keys::One(key.into()))
    }

    /// Names all keys that begin with `prefix`; none of their names in the set begins with it.
    pub fn prefix(&self, prefix: impl Into<String>) -> NatsPlace {
        self.place(Keys::Prefix(prefix.into()))
    }

    /// Names all keys of the bucket.
    pub fn keys(&self) -> NatsPlace {
        self.prefix("")
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

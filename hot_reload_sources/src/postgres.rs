//! PostgreSQL: a key of a table, or whatever a query returns, by `LISTEN` and `NOTIFY`.
//!
//! # Examples
//!
//! ```no_run
//! use hot_reload_sources::{Access, Secret, Store, postgres::Postgres};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! let access = Access::new().user("app").password(Secret::file("/run/secrets/postgres"));
//! let fleet = Postgres::from_url("postgres://db.example.com/fleet", access)?;
//!
//! // A key of the table that `TABLE_SQL` creates; a write is told to whoever follows it.
//! let mut banner = fleet.key("banner").text().watch().await?;
//!
//! // A table of one's own; whoever writes to it, or a trigger, says `NOTIFY limits`.
//! let limits = fleet.query("SELECT tenant, rules FROM limits").channel("limits");
//! let limits = limits.each_bytes().watch().await?;
//!
//! println!("{} tenants have limits", limits.snapshot().map_or(0, |limits| limits.len()));
//! banner.changed().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # URLs
//!
//! `postgres://user:password@host:5432/database/key?sslmode=verify-full` as libpq has it, but for the
//! key, and for TLS: without `sslmode` it is `verify-full`, save on this machine, where it is `prefer`; and
//! certificates are named by [`Access`], not by `sslrootcert` and the like. With `#set` behind it, it is all
//! keys that begin with that. Several hosts have commas between
//! them, and a directory of Unix sockets is `%2Frun%2Fpostgresql`.
//!
//! # The table
//!
//! [`TABLE_SQL`] (`src/postgres/hot_reload.sql`) creates the table `hot_reload (key, value)`, and
//! triggers that tell of every change on the channel `hot_reload` when it is committed: which key, and
//! never the value, as anybody may `LISTEN`. Whoever follows it reads it then. `TRUNCATE`, renamed keys
//! and several writes of one transaction are told too, these as the one change that they are.
//!
//! # How it works
//!
//! One connection serves all that is made of a [`Postgres`] and its clones. `LISTEN` and the first read
//! are sent together, in that order, so no change falls in between. A server that was silent for half of
//! the [read deadline](Postgres::read_deadline) is asked for a sign of life; with none in the other half
//! the connection is given up, whatever TCP thinks of it. Statements are not prepared, so `DISCARD`
//! can't take them away. Where one of several hosts was of no use, the next attempt is at any of them.
//!
//! Keys of the table have the revision that the table counts: its order is that of commits, since a
//! writer holds the counter until it commits. It counts anew in another cluster, database or timeline,
//! and where a primary comes back with less than it had, so neither a promoted standby nor a restored
//! backup is taken for older than what it has lost. What a query returns has none, and is ordered by when
//! it is read.
//!
//! # What a reader must be allowed
//!
//! `SELECT` on `hot_reload` and `hot_reload_state`, or what its query reads. `LISTEN` and `NOTIFY` take no
//! right: any role of the database learns the names of keys that change, and may have them read once
//! more, at most four times a second if there was no change.
//!
//! # Known problems
//!
//! - `LISTEN` needs a session of its own: a pooler in between has to pool sessions, not transactions.
//! - A standby can't `LISTEN`: it is polled, and the status says so.
//! - Writers of the table wait for each other's transactions, and a `SERIALIZABLE` one may have to be
//!   retried. All transactions that notify commit one after the other, in the whole cluster.
//! - Triggers don't fire for what logical replication writes: there, the audit finds it. `ALTER TABLE
//!   hot_reload ENABLE ALWAYS TRIGGER` for both of them has it told.
//! - Every change costs one read for each connection that follows it.
//! - What a query returns is in memory before its size is looked at.
//! - Columns are text, `bytea`, `json`, `jsonb`, `xml`, `citext` or an enumeration; cast others to text.

mod address;
mod asked;
mod connected;
mod fault;
mod history;
mod link;
mod place;
mod subscribers;
mod tls;
mod value;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio_postgres::{
    Client, Config, Connection, NoTls, Socket,
    config::{Host, LoadBalanceHosts, SslMode},
    tls::TlsStream,
};
use tokio_postgres_rustls::MakeRustlsConnect;

use self::{
    address::{Address, Named},
    history::History,
    link::Link,
};
pub use self::{
    place::{PostgresPlace, PostgresQuery},
    tls::Tls,
};
use crate::{access::Access, error::StoreError, shared::Shared, store::READ_DEADLINE};

/// Creates the table that [`Postgres::key`] follows; run again, it keeps what is there.
///
/// The statements belong into one transaction, which a single simple query is.
pub const TABLE_SQL: &str = include_str!("postgres/hot_reload.sql");

/// The channel of the table.
const CHANNEL: &str = "hot_reload";
const STORE: &str = "PostgreSQL";

/// A server and a database in it.
///
/// Its clones, and the places made of it, share one connection, which is open while any of them is
/// followed.
#[derive(Clone)]
#[must_use]
pub struct Postgres {
    config: Config,
    tls: Tls,
    access: Access,
    deadline: Duration,
    shared: Shared<Link>,
    history: Arc<History>,
    /// Whether the attempt before came to nothing.
    has_failed: Arc<AtomicBool>,
}

impl Postgres {
    /// Creates it from `postgres://host:5432/database`; see [URLs](self#urls).
    ///
    /// Without `sslmode` it is [`Tls::VerifyFull`], save where all hosts are the loopback interface or
    /// Unix sockets and `access` has no CA file: there it is [`Tls::Prefer`]. What `access` says goes
    /// before what the URL says.
    ///
    /// # Errors
    ///
    /// When the URL can't be read, which is not quoted, as it may hold a password; when `access` has a
    /// token, or certificates where nothing is encrypted.
    pub fn from_url(url: &str, access: Access) -> Result<Self, StoreError> {
        match Self::from_address(url, access)? {
            (server, None) => Ok(server),
            (server, Some(Named { key, .. })) => Err(StoreError::refused(format!(
                "{} is a database, and {key} would be a key in it; use PostgresPlace::from_url",
                server.name()
            ))),
        }
    }

    /// Takes the client's own configuration, since a client can't reconnect. What `access` says goes
    /// before that.
    ///
    /// [`SslMode::Require`] is [`Tls::VerifyFull`] here, and so is [`SslMode::Prefer`], which it has by
    /// default, where a host is beyond this machine or `access` has a CA file; [`tls`](Self::tls) says
    /// otherwise.
    ///
    /// # Errors
    ///
    /// When `access` has a token.
    pub fn from_config(config: Config, access: Access) -> Result<Self, StoreError> {
        let access = access.without_token(STORE)?;
        let tls = address::default_tls(&config, &access);
        Ok(Self::new(config, tls, access))
    }

    /// Sets whether a connection is encrypted, and what the server has to prove.
    pub fn tls(self, tls: Tls) -> Self {
        Self::new(self.config, tls, self.access).read_deadline(self.deadline)
    }

    /// Sets how long the server may be silent before the connection is given up; 5 s by default. A
    /// statement is cancelled after two fifths of it, unless `options` has a `statement_timeout`.
    pub fn read_deadline(self, deadline: Duration) -> Self {
        let shared = Shared::new(deadline);
        Self { deadline, shared, ..Self::new(self.config, self.tls, self.access) }
    }

    /// Returns what `key` has in the [table](self#the-table).
    pub fn key(&self, key: impl Into<String>) -> PostgresPlace {
        PostgresPlace::new(self.clone(), key.into(), false)
    }

    /// Returns all keys of the [table](self#the-table) that begin with `prefix`, as a set that is read at
    /// one moment.
    pub fn prefix(&self, prefix: impl Into<String>) -> PostgresPlace {
        PostgresPlace::new(self.clone(), prefix.into(), true)
    }

    /// Returns what `sql` selects: the one row of one column is a value, and two columns are the keys and
    /// values of a set. No row, and `NULL`, mean that there is nothing.
    ///
    /// Without a [channel](PostgresQuery::channel) it is polled.
    pub fn query(&self, sql: impl Into<String>) -> PostgresQuery {
        PostgresQuery::new(self.clone(), sql.into())
    }

    fn new(config: Config, tls: Tls, access: Access) -> Self {
        Self {
            config,
            tls,
            access,
            deadline: READ_DEADLINE,
            shared: Shared::default(),
            history: Arc::default(),
            has_failed: Arc::default(),
        }
    }

    fn from_address(url: &str, access: Access) -> Result<(Self, Option<Named>), StoreError> {
        let Address { config, tls, access, named } = Address::parse(url, access)?;
        Ok((Self::new(config, tls, access), named))
    }

    fn name(&self) -> String {
        address::name(&self.config)
    }

    async fn link(&self) -> Result<Arc<Link>, StoreError> {
        let server = self.clone();
        self.shared.get(Link::is_alive, || async move { server.connect().await }).await
    }

    async fn connect(&self) -> Result<Link, StoreError> {
        let mut config = self.with_credentials().await?;
        // No more than a hint to other attempts, in whatever order they see it.
        if self.has_failed.swap(true, Relaxed) {
            // The first may take connections, and say nothing.
            config.load_balance_hosts(LoadBalanceHosts::Random);
        }
        let connected = if self.is_plain() {
            config.connect(NoTls).await.map(|connected| self.linked(connected))
        } else {
            let tls = MakeRustlsConnect::new(tls::config(self.tls, &self.access).await?);
            config.connect(tls).await.map(|connected| self.linked(connected))
        };
        let link = connected.map_err(|error| fault::of(&error))?;
        self.has_failed.store(false, Relaxed);
        Ok(link)
    }

    fn linked<T>(&self, (client, connection): (Client, Connection<Socket, T>)) -> Link
    where
        T: TlsStream + Unpin + Send + 'static,
    {
        let options = self.config.get_options();
        let limits_statements =
            !options.is_some_and(|options| options.contains("statement_timeout"));
        let history = Arc::clone(&self.history);
        Link::new(client, connection, self.deadline, limits_statements, history)
    }

    /// As with libpq, there is no TLS on Unix sockets.
    fn is_plain(&self) -> bool {
        let hosts = self.config.get_hosts();
        let is_unix = |host: &Host| matches!(host, Host::Unix(_));
        self.tls == Tls::Disable || (!hosts.is_empty() && hosts.iter().all(is_unix))
    }

    async fn with_credentials(&self) -> Result<Config, StoreError> {
        let mut config = self.config.clone();
        if let Some(user) = &self.access.user {
            config.user(user);
        }
        if let Some(password) = &self.access.password {
            config.password(password.read().await?.as_bytes());
        }
        if config.get_application_name().is_none() {
            config.application_name("hot_reload");
        }
        let hosts = config.get_hosts().len().max(config.get_hostaddrs().len()).max(1);
        if config.get_connect_timeout().is_none() {
            // So that one that is not there leaves time for the next.
            let hosts = u32::try_from(hosts).unwrap_or(u32::MAX);
            config.connect_timeout(self.deadline / hosts);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(self.deadline);
        }
        config.ssl_mode(match self.tls {
            _ if self.is_plain() => SslMode::Disable,
            Tls::Disable | Tls::Prefer => SslMode::Prefer,
            Tls::Require | Tls::VerifyCa | Tls::VerifyFull => SslMode::Require,
        });
        Ok(config)
    }
}

/// Tells where it is, and never how one gets in.
impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Postgres").field(&self.name()).finish()
    }
}

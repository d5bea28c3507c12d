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
//! // A key of the table that `TABLE_SQL` creates; a write carries the value to whoever follows it.
//! let mut banner = fleet.table_key("banner").text().watch().await?;
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
//! # The table
//!
//! [`TABLE_SQL`] (`src/postgres/hot_reload.sql`) creates the table `hot_reload (key, value)`, and
//! triggers that tell of every change on the channel `hot_reload` when it is committed. A payload carries
//! the value itself where it fits into the
//! [less than 8000 bytes](https://www.postgresql.org/docs/current/sql-notify.html) that it may have; a
//! larger one is read by those who follow it. `TRUNCATE`, renamed keys and several writes of one
//! transaction are told too, these as the one change that they are.
//!
//! # How it works
//!
//! One connection serves all that is made of a [`Postgres`] and its clones. `LISTEN` and the first read
//! are sent together, in that order, so no change falls in between. A server that was silent for half of
//! the [read deadline](Postgres::read_deadline) is asked for a sign of life; with none in the other half
//! the connection is given up, whatever TCP thinks of it. Statements are not prepared, so `DISCARD`
//! can't take them away.
//!
//! Keys of the table have the revision that the table counts: its order is that of commits, since a
//! writer holds the counter until it commits. It counts anew in another cluster, database or timeline,
//! and where a primary comes back with less than it had, so neither a promoted standby nor a restored
//! backup is taken for older than what it has lost. What a query returns has none, and is ordered by when
//! it is read.
//!
//! # Known problems
//!
//! - `LISTEN` needs a session of its own: a pooler in between has to pool sessions, not transactions.
//! - A standby can't `LISTEN`: it is polled, and the status says so.
//! - Writers of the table wait for each other's transactions, and a `SERIALIZABLE` one may have to be
//!   retried. All transactions that notify commit one after the other, in the whole cluster.
//! - Triggers don't fire for what logical replication writes: there, the audit finds it. `ALTER TABLE
//!   hot_reload ENABLE ALWAYS TRIGGER` for both of them has it told.
//! - Columns are text, `bytea`, `json`, `jsonb`, `xml`, `citext` or an enumeration; cast others to text.

mod address;
mod fault;
mod history;
mod link;
mod place;
mod push;
mod tls;
mod value;

use std::{fmt, sync::Arc, time::Duration};

use tokio_postgres::{
    Client, Config, Connection, NoTls, Socket,
    config::{Host, SslMode},
    tls::TlsStream,
};
use tokio_postgres_rustls::MakeRustlsConnect;

use self::{address::Address, history::History, link::Link};
pub use self::{place::PostgresPlace, tls::Tls};
use crate::{access::Access, error::StoreError, shared::Shared};

/// Creates the table that [`Postgres::table_key`] follows; run again, it keeps what is there.
///
/// The statements belong into one transaction, which a single simple query is.
pub const TABLE_SQL: &str = include_str!("postgres/hot_reload.sql");

/// The channel of the table.
const CHANNEL: &str = "hot_reload";
/// That of [`FromStore`](crate::FromStore).
const READ_DEADLINE: Duration = Duration::from_secs(5);

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
    link: Shared<Link>,
    history: Arc<History>,
}

impl Postgres {
    /// Takes a URL as libpq does: `postgres://user:password@host:5432/database?sslmode=verify-full`,
    /// several hosts with commas between them, a directory of Unix sockets as `%2Frun%2Fpostgresql`.
    ///
    /// Without `sslmode` it is [`Tls::VerifyFull`], save where all hosts are the loopback interface or
    /// Unix sockets: there it is [`Tls::Prefer`]. What `access` says goes before what the URL says.
    ///
    /// # Errors
    ///
    /// When the URL can't be read; it is not quoted, as it may hold a password.
    pub fn from_url(url: &str, access: Access) -> Result<Self, StoreError> {
        match Self::from_address(url, access)? {
            (server, None) => Ok(server),
            (server, Some(key)) => Err(StoreError::refused(format!(
                "{} is a database, and {key} would be a key in it; use PostgresPlace::from_url",
                server.name()
            ))),
        }
    }

    /// Takes the client's own configuration.
    ///
    /// [`SslMode::Require`] is [`Tls::VerifyFull`] here, and so is [`SslMode::Prefer`], which it has by
    /// default, where a host is beyond this machine; [`tls`](Self::tls) says otherwise.
    pub fn from_config(config: Config) -> Self {
        let tls = address::default_tls(&config);
        Self::new(config, tls, Access::new())
    }

    /// Sets the credentials, which go before those of the configuration; a token is a password.
    pub fn access(self, access: Access) -> Self {
        Self::new(self.config, self.tls, access).read_deadline(self.deadline)
    }

    /// Sets whether a connection is encrypted, and what the server has to prove.
    pub fn tls(self, tls: Tls) -> Self {
        Self::new(self.config, tls, self.access).read_deadline(self.deadline)
    }

    /// Sets how long the server may be silent before the connection is given up; 5 s by default. A
    /// statement is cancelled after four fifths of it, unless `options` has a `statement_timeout`.
    pub fn read_deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..Self::new(self.config, self.tls, self.access) }
    }

    /// Names what `key` has in the [table](self#the-table).
    pub fn table_key(&self, key: impl Into<String>) -> PostgresPlace {
        PostgresPlace::key(self.clone(), key.into())
    }

    /// Names all keys of the [table](self#the-table) that begin with `prefix`, as a set that is read at
    /// one moment.
    pub fn table_prefix(&self, prefix: impl Into<String>) -> PostgresPlace {
        PostgresPlace::prefix(self.clone(), prefix.into())
    }

    /// Names what `sql` returns: the one row of one column is a value, and two columns are the keys and
    /// values of a set. No row, and `NULL`, mean that there is nothing.
    ///
    /// Without a [channel](PostgresPlace::channel) it is polled.
    pub fn query(&self, sql: impl Into<String>) -> PostgresPlace {
        PostgresPlace::query(self.clone(), sql.into())
    }

    fn new(config: Config, tls: Tls, access: Access) -> Self {
        Self {
            config,
            tls,
            access,
            deadline: READ_DEADLINE,
            link: Shared::default(),
            history: Arc::default(),
        }
    }

    fn from_address(url: &str, access: Access) -> Result<(Self, Option<String>), StoreError> {
        let Address { config, tls, access, key } = Address::parse(url, access)?;
        Ok((Self::new(config, tls, access), key))
    }

    fn name(&self) -> String {
        address::name(&self.config)
    }

    async fn link(&self) -> Result<Arc<Link>, StoreError> {
        self.link.get(Link::is_alive, || self.connect()).await
    }

    async fn connect(&self) -> Result<Link, StoreError> {
        let config = self.with_credentials().await?;
        if self.is_plain() {
            let connected = config.connect(NoTls).await;
            return Ok(self.linked(connected.map_err(|error| fault::of(&error))?));
        }
        let tls = MakeRustlsConnect::new(tls::config(self.tls, &self.access).await?);
        let connected = config.connect(tls).await;
        Ok(self.linked(connected.map_err(|error| fault::of(&error))?))
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
        if let Some(secret) = self.access.password.as_ref().or(self.access.token.as_ref()) {
            config.password(secret.read().await?.as_bytes());
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

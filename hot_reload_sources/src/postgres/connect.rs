//! From a configuration to a connection that is driven.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use tokio_postgres::{
    Client, Config, Connection, NoTls, Socket,
    config::{Host, LoadBalanceHosts, SslMode},
    tls::TlsStream,
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{Postgres, Tls, asked::Asked, connected::Connected, fault, link::Link, tls};
use crate::{error::StoreError, store};

/// How much of the read deadline a statement may take. The sign of life that is asked for after half of
/// it comes behind the statement, and has the other half to arrive.
const STATEMENT_PART: f64 = 0.4;

impl Postgres {
    pub(super) async fn connected(
        &self,
        asked: Asked,
    ) -> Result<Box<dyn store::Connection>, StoreError> {
        Ok(Box::new(Connected::new(self.link().await?, asked)))
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
        Link::new(client, connection, self.read_deadline, Arc::clone(&self.history))
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
            config.connect_timeout(self.read_deadline / hosts);
        }
        if let Some(options) = self.limiting(config.get_options().unwrap_or_default()) {
            config.options(options);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(self.read_deadline);
        }
        config.ssl_mode(match self.tls {
            _ if self.is_plain() => SslMode::Disable,
            Tls::Disable | Tls::Prefer => SslMode::Prefer,
            Tls::Require | Tls::VerifyCa | Tls::VerifyFull => SslMode::Require,
        });
        Ok(config)
    }

    /// Has one place's slow query not pass for a dead server to the others; `None` if `options` do already.
    ///
    /// `SET` would leave the limit behind in a pooler of transactions, to whoever has that session next.
    fn limiting(&self, options: &str) -> Option<String> {
        let limit = self.read_deadline.mul_f64(STATEMENT_PART).as_millis();
        let limiting = || format!("{options} -c statement_timeout={limit}").trim().to_owned();
        (!options.contains("statement_timeout")).then(limiting)
    }
}

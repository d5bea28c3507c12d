//! Connections to a server.

use std::{io, path::PathBuf, sync::Arc};

use ::redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ProtocolVersion, PushInfo, RedisConnectionInfo,
    RedisError,
    aio::{MultiplexedConnection, PubSub},
};
use futures_util::future::BoxFuture;
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};
use tokio_rustls::TlsConnector;

use super::{answer, sentinel::Sentinels};
use crate::{
    access::Access,
    error::StoreError,
    tls::{self, client_config},
};

/// Where a server is, and how to get in.
pub(super) struct Server {
    endpoint: Endpoint,
    pub(super) db: i64,
    access: Access,
}

pub(super) enum Endpoint {
    Tcp {
        host: String,
        port: u16,
    },
    Tls {
        host: String,
        port: u16,
    },
    Unix(PathBuf),
    /// Whichever server they say.
    Sentinels(Sentinels),
    /// A client that somebody else has set up.
    Client(Client),
}

/// A connection, and what has to run for it.
pub(super) struct Open {
    pub(super) connection: MultiplexedConnection,
    pub(super) driver: BoxFuture<'static, ()>,
    pub(super) protocol: ProtocolVersion,
}

/// What a connection is made over.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Duplex for T {}

impl Server {
    pub(super) fn new(endpoint: Endpoint, db: i64, access: Access) -> Self {
        Self { endpoint, db, access }
    }

    pub(super) fn from_client(client: Client) -> Self {
        let db = client.get_connection_info().redis_settings().db();
        Self::new(Endpoint::Client(client), db, Access::new())
    }

    /// Another of its cluster, reached in the same way, if that is by an address.
    pub(super) fn node(&self, host: &str, port: u16) -> Option<Self> {
        let host = host.to_owned();
        let endpoint = match self.endpoint {
            Endpoint::Tcp { .. } => Endpoint::Tcp { host, port },
            Endpoint::Tls { .. } => Endpoint::Tls { host, port },
            _ => return None,
        };
        Some(Self::new(endpoint, self.db, self.access.clone()))
    }

    pub(super) fn access(&self) -> &Access {
        &self.access
    }

    /// Its URL, without a user and a password.
    pub(super) fn name(&self) -> String {
        let db = self.db;
        let at = |scheme: &str, host: &str, port: u16| {
            format!("{scheme}://{}/{db}", authority(host, port))
        };
        match &self.endpoint {
            Endpoint::Tcp { host, port } => at("redis", host, *port),
            Endpoint::Tls { host, port } => at("rediss", host, *port),
            Endpoint::Unix(path) => format!("redis+unix://{}?db={db}", path.display()),
            Endpoint::Sentinels(Sentinels { hosts, primary, is_tls }) => {
                let scheme = if *is_tls { "rediss" } else { "redis" };
                let hosts: Vec<_> =
                    hosts.iter().map(|(host, port)| authority(host, *port)).collect();
                format!("{scheme}+sentinel://{}/{primary}/{db}", hosts.join(","))
            }
            Endpoint::Client(client) => match client.get_connection_info().addr() {
                ConnectionAddr::Tcp(host, port) => at("redis", host, *port),
                ConnectionAddr::TcpTls { host, port, .. } => at("rediss", host, *port),
                other => format!("redis+unix://{other}?db={db}"),
            },
        }
    }

    /// The name of `key` in it.
    pub(super) fn name_of(&self, key: &str) -> String {
        let server = self.name();
        if server.contains('?') { format!("{server}&key={key}") } else { format!("{server}/{key}") }
    }

    /// Connects by RESP3, with `on_push` for what is pushed, or by RESP2 where the server knows no other.
    pub(super) async fn open(
        &self,
        on_push: impl Fn(PushInfo) -> Result<(), ()> + Send + Sync + 'static,
    ) -> Result<Open, StoreError> {
        let config = patient().set_push_sender(on_push);
        match self.shake_hands(ProtocolVersion::RESP3, config).await? {
            Err(error) if answer::is_without_resp3(&error) => self.open_resp2().await,
            opened => self.entered(opened).await,
        }
    }

    /// Connects by RESP2, which has no pushes.
    pub(super) async fn open_resp2(&self) -> Result<Open, StoreError> {
        let opened = self.shake_hands(ProtocolVersion::RESP2, patient()).await?;
        self.entered(opened).await
    }

    /// Connects for what is published.
    pub(super) async fn subscriber(&self) -> Result<PubSub, StoreError> {
        let opened = match &self.endpoint {
            Endpoint::Client(client) => {
                let info = client.get_connection_info().clone();
                let settings = info.redis_settings().clone().set_db(0);
                let settings = settings.set_protocol(ProtocolVersion::RESP2);
                match Client::open(info.set_redis_settings(settings)) {
                    Ok(client) => client.get_async_pubsub().await,
                    Err(error) => Err(error),
                }
            }
            _ => {
                PubSub::new(&self.settings(ProtocolVersion::RESP2).await?, self.dial().await?).await
            }
        };
        opened.map_err(|error| answer::refused(&error, "log in"))
    }

    /// Outer errors are those of the way to the server, inner ones its own.
    async fn shake_hands(
        &self,
        protocol: ProtocolVersion,
        config: AsyncConnectionConfig,
    ) -> Result<Result<Open, RedisError>, StoreError> {
        if let Endpoint::Client(client) = &self.endpoint {
            let info = client.get_connection_info().clone();
            let settings = info.redis_settings().clone().set_db(0).set_protocol(protocol);
            let opened = async {
                let client = Client::open(info.set_redis_settings(settings))?;
                let connection =
                    client.get_multiplexed_async_connection_with_config(&config).await?;
                // It has a task of its own.
                Ok(Open { connection, driver: Box::pin(std::future::pending()), protocol })
            };
            return Ok(opened.await);
        }
        let settings = self.settings(protocol).await?;
        let stream = self.dial().await?;
        let opened = MultiplexedConnection::new_with_config(&settings, stream, config).await;
        Ok(opened.map(|(connection, driver)| Open {
            connection,
            driver: Box::pin(driver),
            protocol,
        }))
    }

    /// How to log in, by credentials that are read anew.
    pub(super) async fn settings(
        &self,
        protocol: ProtocolVersion,
    ) -> Result<RedisConnectionInfo, StoreError> {
        // Told by `CLIENT SETINFO`, which servers before 7.2, and users with few rights, don't have.
        let mut settings =
            RedisConnectionInfo::default().set_protocol(protocol).set_skip_set_lib_name();
        if let Some(user) = &self.access.user {
            settings = settings.set_username(user);
        }
        if let Some(password) = &self.access.password {
            settings = settings.set_password(password.read().await?.as_str());
        }
        Ok(settings)
    }

    async fn dial(&self) -> Result<Box<dyn Duplex>, StoreError> {
        match &self.endpoint {
            Endpoint::Tcp { host, port } => reach(host, *port, None).await,
            Endpoint::Tls { host, port } => reach(host, *port, Some(&self.access)).await,
            Endpoint::Unix(path) => {
                Ok(Box::new(UnixStream::connect(path).await.map_err(unreachable)?))
            }
            Endpoint::Sentinels(sentinels) => {
                let (host, port) = sentinels.find(self).await?;
                reach(&host, port, sentinels.is_tls.then_some(&self.access)).await
            }
            Endpoint::Client(_) => Err(StoreError::unreachable("the client has to connect")),
        }
    }

    async fn entered(&self, opened: Result<Open, RedisError>) -> Result<Open, StoreError> {
        let mut open = opened.map_err(|error| answer::refused(&error, "log in"))?;
        // Only what runs answers.
        if self.db != 0 {
            let mut select = ::redis::cmd("SELECT");
            select.arg(self.db);
            let selected = tokio::select! {
                selected = select.exec_async(&mut open.connection) => selected,
                () = &mut open.driver => return Err(super::news::lost()),
            };
            let wanted = format!("SELECT {}", self.db);
            selected.map_err(|error| answer::refused(&error, &wanted))?;
        }
        Ok(open)
    }
}

/// Deadlines are the engine's.
pub(super) fn patient() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None)
}

/// Connects to `host`, by TLS where there is `tls` to do so with.
pub(super) async fn reach(
    host: &str,
    port: u16,
    tls: Option<&Access>,
) -> Result<Box<dyn Duplex>, StoreError> {
    let Some(access) = tls else { return Ok(Box::new(tcp(host, port).await?)) };
    let config = client_config(access).await?;
    let name = ServerName::try_from(host.to_owned()).map_err(|error| {
        StoreError::refused("a host that no certificate can be for").because(error)
    })?;
    let stream = tcp(host, port).await?;
    let connect = TlsConnector::from(Arc::new(config)).connect(name, stream);
    Ok(Box::new(connect.await.map_err(unreachable)?))
}

fn authority(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

async fn tcp(host: &str, port: u16) -> Result<TcpStream, StoreError> {
    let stream = TcpStream::connect((host, port)).await.map_err(unreachable)?;
    // What is asked is small, and never waits for more.
    stream.set_nodelay(true).map_err(unreachable)?;
    Ok(stream)
}

fn unreachable(error: io::Error) -> StoreError {
    tls::refusal(&error).unwrap_or_else(|| {
        StoreError::unreachable("can't be reached; start it, or correct the address").because(error)
    })
}

//! Connections to a server.

use std::path::PathBuf;

use ::redis::{
    AsyncConnectionConfig, Client, Cmd, ProtocolVersion, PushInfo, RedisConnectionInfo, RedisError,
    RedisResult, Value,
    aio::{MultiplexedConnection, PubSub},
    cmd,
};
use futures_util::future::BoxFuture;
use tokio::net::UnixStream;

use super::{
    fault,
    reach::{Duplex, reach, unreachable},
    sentinel::Sentinels,
};
use crate::{access::Access, error::StoreError};

/// Where a server is, and how to get in.
pub(super) struct Server {
    pub(super) way: Way,
    pub(super) db: i64,
    access: Access,
}

/// By what a server is reached.
pub(super) enum Way {
    Place(Place),
    /// A client that somebody else has set up.
    Client(Client),
}

/// Where a server is.
pub(super) enum Place {
    Tcp {
        host: String,
        port: u16,
    },
    Tls {
        host: String,
        port: u16,
    },
    Unix(PathBuf),
    /// Wherever they say.
    Sentinels(Sentinels),
}

/// A connection, and what has to run for it.
pub(super) struct Open {
    pub(super) connection: MultiplexedConnection,
    pub(super) driver: BoxFuture<'static, ()>,
    pub(super) protocol: ProtocolVersion,
}

impl Server {
    pub(super) fn new(place: Place, db: i64, access: Access) -> Self {
        Self { way: Way::Place(place), db, access }
    }

    pub(super) fn from_client(client: Client) -> Self {
        let db = client.get_connection_info().redis_settings().db();
        Self { way: Way::Client(client), db, access: Access::new() }
    }

    /// Another of its cluster, reached in the same way, if that is by an address.
    pub(super) fn node(&self, host: &str, port: u16) -> Option<Self> {
        // One that does not know its own address means that by which it was reached.
        let or = |own: &str| if host.is_empty() { own.to_owned() } else { host.to_owned() };
        let place = match &self.way {
            Way::Place(Place::Tcp { host, .. }) => Place::Tcp { host: or(host), port },
            Way::Place(Place::Tls { host, .. }) => Place::Tls { host: or(host), port },
            _ => return None,
        };
        Some(Self::new(place, self.db, self.access.clone()))
    }

    pub(super) fn access(&self) -> &Access {
        &self.access
    }

    /// Connects by RESP3, with `on_push` for what is pushed, or by RESP2 where the server knows no other.
    pub(super) async fn open(
        &self,
        on_push: impl Fn(PushInfo) -> Result<(), ()> + Send + Sync + 'static,
    ) -> Result<Open, StoreError> {
        let config = patient().set_push_sender(on_push);
        match self.shake_hands(ProtocolVersion::RESP3, config).await? {
            Err(error) if fault::is_without_resp3(&error) => self.open_resp2().await,
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
        let opened = match &self.way {
            Way::Client(client) => match given(client, ProtocolVersion::RESP2) {
                Ok(client) => client.get_async_pubsub().await,
                Err(error) => Err(error),
            },
            Way::Place(place) => {
                let settings = self.settings(ProtocolVersion::RESP2).await?;
                PubSub::new(&settings, self.dial(place).await?).await
            }
        };
        opened.map_err(|error| fault::of(&error, "log in"))
    }

    /// Outer errors are those of the way to the server, inner ones its own.
    async fn shake_hands(
        &self,
        protocol: ProtocolVersion,
        config: AsyncConnectionConfig,
    ) -> Result<Result<Open, RedisError>, StoreError> {
        let place = match &self.way {
            Way::Place(place) => place,
            Way::Client(client) => {
                let opened = async {
                    let client = given(client, protocol)?;
                    let connection =
                        client.get_multiplexed_async_connection_with_config(&config).await?;
                    // It has a task of its own.
                    Ok(Open { connection, driver: Box::pin(std::future::pending()), protocol })
                };
                return Ok(opened.await);
            }
        };
        let settings = self.settings(protocol).await?;
        let stream = self.dial(place).await?;
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

    async fn dial(&self, place: &Place) -> Result<Box<dyn Duplex>, StoreError> {
        match place {
            Place::Tcp { host, port } => reach(host, *port, None).await,
            Place::Tls { host, port } => reach(host, *port, Some(&self.access)).await,
            Place::Unix(path) => {
                Ok(Box::new(UnixStream::connect(path).await.map_err(unreachable)?))
            }
            Place::Sentinels(sentinels) => {
                let (host, port) = sentinels.find(self).await?;
                reach(&host, port, sentinels.is_tls.then_some(&self.access)).await
            }
        }
    }

    async fn entered(&self, opened: Result<Open, RedisError>) -> Result<Open, StoreError> {
        let mut open = opened.map_err(|error| fault::of(&error, "log in"))?;
        if self.db != 0 {
            let mut select = cmd("SELECT");
            select.arg(self.db);
            let wanted = format!("SELECT {}", self.db);
            open.ask(&select).await?.map_err(|error| fault::of(&error, &wanted))?;
        }
        if matches!(self.way, Way::Place(Place::Sentinels(_))) {
            match open.ask(&cmd("ROLE")).await? {
                Ok(role) if !is_of_primary(&role) => {
                    let told = "what the sentinel takes for the primary is none, or no longer one";
                    return Err(StoreError::unreachable(told));
                }
                // One who may not ask has to take the sentinel at its word.
                _ => {}
            }
        }
        Ok(open)
    }
}

impl Open {
    /// Asks before its driver has a task; outer errors are those of the way, inner ones the server's.
    async fn ask(&mut self, command: &Cmd) -> Result<Result<Value, RedisError>, StoreError> {
        tokio::select! {
            answer = command.query_async(&mut self.connection) => Ok(answer),
            // Only what runs answers.
            () = &mut self.driver => Err(fault::lost()),
        }
    }
}

/// A client that speaks `protocol`, in no database yet.
fn given(client: &Client, protocol: ProtocolVersion) -> RedisResult<Client> {
    let info = client.get_connection_info().clone();
    let settings = info.redis_settings().clone().set_db(0).set_protocol(protocol);
    Client::open(info.set_redis_settings(settings))
}

fn is_of_primary(role: &Value) -> bool {
    let Value::Array(role) = role else { return false };
    matches!(role.first(), Some(Value::BulkString(name)) if name == b"master")
}

/// Deadlines are the engine's.
pub(super) fn patient() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None)
}

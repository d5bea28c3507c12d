//! A Redis server of a test's own.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use hot_reload_sources::{Access, Secret, redis::Redis};
use redis::{
    AsyncConnectionConfig, Client, Cmd, RedisError, RedisResult, Value, aio::MultiplexedConnection,
    cmd,
};
use rustix::process::Signal;
use tempfile::TempDir;
use tokio::{sync::Mutex, time::sleep};

use crate::common::{
    authority::{Authority, Pair},
    server::{Server, address, command},
    within,
};

pub const USER: &str = "app";
pub const PASSWORD: &str = "hunter2-of-redis";
/// What the user needs, and no more.
const RIGHTS: &str = "resetchannels -@all +get +getrange +strlen +hgetall +hlen +hkeys +hstrlen +eval_ro \
                      +client|tracking +ping +select +asking %R~*";

/// Of one database, whose default user may do everything, and whose user `app` may read.
pub struct RedisServer {
    server: Server,
    pub address: SocketAddr,
    pub dir: TempDir,
    arguments: Vec<String>,
    admin: Mutex<Option<MultiplexedConnection>>,
}

impl RedisServer {
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// Starts one with more arguments.
    pub async fn with(arguments: &[&str]) -> Self {
        let this = Self::new(arguments);
        this.run().await;
        this
    }

    /// Starts it so that it speaks TLS at its address, and nothing else.
    pub async fn run_with_tls(mut self, authority: &Authority, pair: &Pair, clients: &str) -> Self {
        let port = self.address.port().to_string();
        for (name, value) in [
            ("--port", "0"),
            ("--tls-port", &port),
            ("--tls-auth-clients", clients),
            ("--tls-cert-file", pair.certificate.to_str().unwrap()),
            ("--tls-key-file", pair.key.to_str().unwrap()),
            ("--tls-ca-cert-file", authority.file().to_str().unwrap()),
        ] {
            self.arguments.extend([name.to_owned(), value.to_owned()]);
        }
        self.run().await;
        self
    }

    /// Creates one that does not run yet.
    pub fn new(arguments: &[&str]) -> Self {
        let address = address();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(
            dir.path().join("users.acl"),
            format!("user default on nopass ~* &* +@all\nuser {USER} on >{PASSWORD} {RIGHTS}\n"),
        )
        .unwrap();
        Self {
            server: Server::default(),
            address,
            dir,
            arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
            admin: Mutex::new(None),
        }
    }

    pub async fn run(&self) {
        self.run_with(&[]).await;
    }

    /// Runs it with more arguments this time.
    pub async fn run_with(&self, more: &[&str]) {
        let (ip, port) = (self.address.ip().to_string(), self.address.port().to_string());
        let dir = self.dir.path().to_str().unwrap();
        let users = self.dir.path().join("users.acl");
        let mut server = command("redis-server");
        server
            .args(["--bind", &ip, "--port", &port, "--dir", dir, "--save", ""])
            .args(["--appendonly", "yes", "--appendfsync", "always", "--databases", "4"])
            .args(["--unixsocket", self.socket().to_str().unwrap()])
            .args(["--aclfile", users.to_str().unwrap()])
            .args(&self.arguments)
            .args(more);
        *self.admin.lock().await = None;
        self.server.start(&mut server, self.address).await;
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("redis.sock")
    }

    pub fn kill(&self) {
        self.server.kill();
    }

    /// Removes what a server that was ended has left.
    pub fn empty(&self) {
        std::fs::remove_dir_all(self.dir.path().join("appendonlydir")).unwrap();
    }

    pub fn signal(&self, signal: Signal) {
        self.server.signal(signal);
    }

    /// Has the default user say something, once the server has loaded its data.
    pub async fn say(&self, words: &[&str]) -> Value {
        within(async {
            loop {
                match self.try_to_say(words).await {
                    Err(error) if error.code() == Some("LOADING") => {}
                    answer => break answer.unwrap_or_else(|error| panic!("{words:?}: {error}")),
                }
            }
        })
        .await
    }

    pub async fn try_to_say(&self, words: &[&str]) -> RedisResult<Value> {
        let mut admin = self.admin.lock().await;
        if admin.is_none() {
            let client = Client::open(format!("unix://{}", self.socket().display())).unwrap();
            *admin = Some(Box::pin(enter(&client)).await);
        }
        let mut connection = admin.clone().unwrap();
        drop(admin);
        let answer = command_of(words).query_async(&mut connection).await;
        if answer.as_ref().is_err_and(RedisError::is_io_error) {
            // A sentinel ends all connections of a server whose role it changes.
            *self.admin.lock().await = None;
        }
        answer
    }

    /// Waits until nobody else is connected.
    pub async fn is_alone(&self) {
        within(async { while self.clients().await > 0 {} }).await;
    }

    /// Ends the script that the server is busy with.
    pub async fn end_script(&self) {
        let client = Client::open(format!("unix://{}", self.socket().display())).unwrap();
        let mut connection = Box::pin(enter(&client)).await;
        cmd("SCRIPT").arg("KILL").exec_async(&mut connection).await.unwrap();
    }

    /// How many others are connected.
    pub async fn clients(&self) -> usize {
        let list: String = redis::from_redis_value(self.say(&["CLIENT", "LIST"]).await).unwrap();
        list.lines().filter(|client| !client.contains("redis.sock")).count()
    }

    pub async fn put(&self, key: &str, value: &str) {
        self.say(&["SET", key, value]).await;
    }

    pub fn access() -> Access {
        Access::new().user(USER).password(Secret::text(PASSWORD))
    }

    pub fn redis(&self) -> Redis {
        Redis::from_url(&format!("redis://{}/0", self.address), Self::access()).unwrap()
    }
}

/// Connects, as soon as the server listens at its socket, which is a moment after its address.
async fn enter(client: &Client) -> MultiplexedConnection {
    let config = AsyncConnectionConfig::new().set_response_timeout(None);
    within(async {
        loop {
            match client.get_multiplexed_async_connection_with_config(&config).await {
                Ok(connection) => break connection,
                Err(_) => sleep(Duration::from_millis(1)).await,
            }
        }
    })
    .await
}

fn command_of(words: &[&str]) -> Cmd {
    let mut command = cmd(words[0]);
    command.arg(&words[1..]);
    command
}

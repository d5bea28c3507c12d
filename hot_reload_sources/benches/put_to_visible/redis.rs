//! A string, by client tracking.

use ::redis::{AsyncConnectionConfig, Client, PushInfo, PushKind, aio::MultiplexedConnection, cmd};
use async_trait::async_trait;
use hot_reload_sources::{Access, FromStore, Store, redis::RedisPlace};
use tempfile::TempDir;
use tokio::{sync::mpsc::unbounded_channel, task::JoinHandle, time::Instant};

use crate::{
    common::server::{Server, address, command},
    subject::{Config, Seen, Subject},
};

pub struct Redis {
    _server: Server,
    _dir: TempDir,
    url: String,
    putting: MultiplexedConnection,
}

#[async_trait]
impl Subject for Redis {
    async fn start() -> Self {
        let (server, at, dir) =
            (Server::default(), address(), tempfile::tempdir().expect("a directory"));
        let (ip, port) = (at.ip().to_string(), at.port().to_string());
        let mut command = command("redis-server");
        command.args(["--bind", &ip, "--port", &port, "--save", "", "--dir"]).arg(dir.path());
        server.start(&mut command, at).await;
        let url = format!("redis://{at}/0");
        let client = Client::open(&*url).expect("a URL");
        let putting = client.get_multiplexed_async_connection().await.expect("a connection");
        Self { _server: server, _dir: dir, url, putting }
    }

    async fn put(&self, text: String) {
        let mut connection = self.putting.clone();
        cmd("SET").arg("key").arg(text).exec_async(&mut connection).await.expect("a put");
    }

    fn source(&self) -> FromStore<Config> {
        RedisPlace::from_url(&format!("{}/key", self.url), Access::new()).expect("a URL").toml()
    }

    async fn bare(&self, seen: Seen) -> JoinHandle<()> {
        let (tx, mut pushes) = unbounded_channel::<PushInfo>();
        let config = AsyncConnectionConfig::new().set_push_sender(tx);
        let client = Client::open(format!("{}?protocol=resp3", self.url)).expect("a URL");
        let connecting = client.get_multiplexed_async_connection_with_config(&config);
        let mut connection = connecting.await.expect("a connection");
        let mut tracking = cmd("CLIENT");
        tracking.arg("TRACKING").arg("ON");
        tracking.exec_async(&mut connection).await.expect("tracking");
        let mut get = cmd("GET");
        get.arg("key");
        let mut bytes: Vec<u8> = get.query_async(&mut connection).await.expect("a value");
        tokio::spawn(async move {
            loop {
                let config = Config::parse(&bytes);
                if seen.send((config.n, Instant::now())).is_err() {
                    return;
                }
                while pushes.recv().await.expect("a push").kind != PushKind::Invalidate {}
                bytes = get.query_async(&mut connection).await.expect("a value");
            }
        })
    }
}

//! A string, by client tracking: a push says that it has changed, and a GET what it is now.

use async_trait::async_trait;
use hot_reload_sources::{Access, FromStore, Store, from_url};
use redis::{
    AsyncCommands, AsyncConnectionConfig, Client, PushInfo, PushKind, aio::MultiplexedConnection,
    cmd,
};
use tempfile::TempDir;
use tokio::{
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    task::JoinHandle,
    time::Instant,
};

use crate::{
    common::server::{Server, address, command},
    subject::{Seen, Subject, Value},
};

pub(crate) struct Redis {
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
        let url = format!("redis://{at}/");
        let client = Client::open(url.as_str()).expect("a URL");
        let putting = client.get_multiplexed_async_connection().await.expect("a connection");
        Self { _server: server, _dir: dir, url, putting }
    }

    async fn put(&self, text: String) {
        let mut putting = self.putting.clone();
        putting.set::<_, _, ()>("key", text).await.expect("a put");
    }

    fn source(&self) -> FromStore<Value> {
        from_url(&format!("{}0/key", self.url), Access::new()).expect("a URL").toml()
    }

    async fn bare(&self, seen: Seen) -> JoinHandle<()> {
        let (on_push, pushes) = unbounded_channel();
        let client = Client::open(format!("{}?protocol=resp3", self.url)).expect("a URL");
        let config = AsyncConnectionConfig::new().set_push_sender(on_push);
        let connection = client.get_multiplexed_async_connection_with_config(&config);
        let mut connection = connection.await.expect("a connection");
        let mut tracking = cmd("CLIENT");
        tracking.arg("TRACKING").arg("ON");
        tracking.exec_async(&mut connection).await.expect("client tracking");
        tokio::spawn(async move { read(connection, pushes, &seen).await })
    }
}

/// Reads, and once more at each push.
async fn read(
    mut connection: MultiplexedConnection,
    mut pushes: UnboundedReceiver<PushInfo>,
    seen: &Seen,
) {
    loop {
        let text: Vec<u8> = connection.get("key").await.expect("a value");
        if seen.send((Value::parse(&text).n, Instant::now())).is_err() {
            return;
        }
        while pushes.recv().await.expect("a connection").kind != PushKind::Invalidate {}
    }
}

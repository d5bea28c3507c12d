//! A string, by client tracking: a push says that it has changed, and a GET what it is now.

use async_trait::async_trait;
use hot_reload_sources::{Access, FromStore, Store, from_url};
use redis::{
    AsyncCommands, AsyncConnectionConfig, Client, PushInfo, PushKind, aio::MultiplexedConnection,
    cmd,
};
use tokio::{
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    task::JoinHandle,
    time::Instant,
};

use crate::{
    redis_server::RedisServer,
    subject::{Seen, Subject, Value},
};

pub(crate) struct Redis {
    server: RedisServer,
    putting: MultiplexedConnection,
}

#[async_trait]
impl Subject for Redis {
    async fn start() -> Self {
        // It is no bench of the disk.
        let server = RedisServer::with(&["--appendonly", "no"]).await;
        let client = Client::open(url(&server)).expect("a URL");
        let putting = client.get_multiplexed_async_connection().await.expect("a connection");
        Self { server, putting }
    }

    async fn put(&self, text: String) {
        let mut putting = self.putting.clone();
        putting.set::<_, _, ()>("key", text).await.expect("a put");
    }

    fn source(&self) -> FromStore<Value> {
        from_url(&format!("{}0/key", url(&self.server)), Access::new()).expect("a URL").toml()
    }

    async fn bare(&self, seen: Seen) -> JoinHandle<()> {
        let (on_push, pushes) = unbounded_channel();
        let client = Client::open(format!("{}?protocol=resp3", url(&self.server))).expect("a URL");
        let config = AsyncConnectionConfig::new().set_push_sender(on_push);
        let connection = client.get_multiplexed_async_connection_with_config(&config);
        let mut connection = connection.await.expect("a connection");
        let mut tracking = cmd("CLIENT");
        tracking.arg("TRACKING").arg("ON");
        tracking.exec_async(&mut connection).await.expect("client tracking");
        tokio::spawn(async move { read(connection, pushes, &seen).await })
    }
}

fn url(server: &RedisServer) -> String {
    format!("redis://{}/", server.address)
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

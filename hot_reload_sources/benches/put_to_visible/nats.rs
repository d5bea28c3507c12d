//! A key of a bucket, by its watch.

use async_nats::jetstream::kv::Store as Bucket;
use async_trait::async_trait;
use futures_util::StreamExt;
use hot_reload_sources::{Access, FromStore, Store, from_url};
use tempfile::TempDir;
use tokio::{task::JoinHandle, time::Instant};

use crate::{
    bucket::bucket,
    common::server::{Server, address, command},
    subject::{Seen, Subject, Value},
};

pub(crate) struct Nats {
    _server: Server,
    _dir: TempDir,
    url: String,
    putting: Bucket,
}

#[async_trait]
impl Subject for Nats {
    async fn start() -> Self {
        let (server, at, dir) =
            (Server::default(), address(), tempfile::tempdir().expect("a directory"));
        let (ip, port) = (at.ip().to_string(), at.port().to_string());
        let mut command = command("nats-server");
        command.args(["-js", "-a", &ip, "-p", &port, "-sd"]).arg(dir.path());
        server.start(&mut command, at).await;
        let url = format!("nats://{at}");
        let putting = bucket(&url, "config").await;
        Self { _server: server, _dir: dir, url, putting }
    }

    async fn put(&self, text: String) {
        self.putting.put("key", text.into()).await.expect("a put");
    }

    fn source(&self) -> FromStore<Value> {
        from_url(&format!("{}/config/key", self.url), Access::new()).expect("a URL").toml()
    }

    async fn bare(&self, seen: Seen) -> JoinHandle<()> {
        let bucket = bucket(&self.url, "config").await;
        let mut entries = bucket.watch_with_history("key").await.expect("a watch");
        tokio::spawn(async move {
            while let Some(Ok(entry)) = entries.next().await {
                let config = Value::parse(&entry.value);
                if seen.send((config.n, Instant::now())).is_err() {
                    return;
                }
            }
        })
    }
}

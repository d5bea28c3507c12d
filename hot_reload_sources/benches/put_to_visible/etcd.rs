//! A key, by its watch.

use async_trait::async_trait;
use etcd_client::{Client, WatchOptions};
use hot_reload_sources::{Access, FromStore, Store, from_url};
use tempfile::TempDir;
use tokio::{task::JoinHandle, time::Instant};

use crate::{
    common::server::{Server, address, command},
    subject::{Seen, Subject, Value},
};

pub(crate) struct Etcd {
    _server: Server,
    _dir: TempDir,
    at: String,
    putting: Client,
}

#[async_trait]
impl Subject for Etcd {
    async fn start() -> Self {
        let (server, dir) = (Server::default(), tempfile::tempdir().expect("a directory"));
        let (at, peers) = (address(), format!("http://{}", address()));
        let clients = format!("http://{at}");
        let mut command = command("etcd");
        command.args(["--listen-client-urls", &clients, "--advertise-client-urls", &clients]);
        command.args(["--listen-peer-urls", &peers, "--initial-advertise-peer-urls", &peers]);
        command.args(["--initial-cluster", &format!("default={peers}"), "--log-level", "error"]);
        server.start(command.arg("--data-dir").arg(dir.path()), at).await;
        let putting = Client::connect([at.to_string()], None).await.expect("a client");
        Self { _server: server, _dir: dir, at: at.to_string(), putting }
    }

    async fn put(&self, text: String) {
        self.putting.kv_client().put("key", text, None).await.expect("a put");
    }

    fn source(&self) -> FromStore<Value> {
        from_url(&format!("etcd://{}/key", self.at), Access::new()).expect("a URL").toml()
    }

    async fn bare(&self, seen: Seen) -> JoinHandle<()> {
        let mut client = Client::connect([&self.at], None).await.expect("a client");
        let found = client.get("key", None).await.expect("a key");
        let after = found.header().expect("a header").revision() + 1;
        let config = Value::parse(found.kvs()[0].value());
        // Whoever measures is there.
        seen.send((config.n, Instant::now())).expect("a receiver");
        let options = WatchOptions::new().with_start_revision(after);
        let mut watch = client.watch("key", Some(options)).await.expect("a watch");
        tokio::spawn(async move {
            while let Ok(Some(response)) = watch.message().await {
                for event in response.events() {
                    let Some(kv) = event.kv() else { continue };
                    let config = Value::parse(kv.value());
                    if seen.send((config.n, Instant::now())).is_err() {
                        return;
                    }
                }
            }
        })
    }
}

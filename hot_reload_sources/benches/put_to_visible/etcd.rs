//! A key, by its watch.

use async_trait::async_trait;
use etcd_client::{Client, WatchOptions};
use hot_reload_sources::{Access, FromStore, Store, from_url};
use tokio::{task::JoinHandle, time::Instant};

use crate::{
    etcd_server::Member,
    subject::{Seen, Subject, Value},
};

pub(crate) struct Etcd {
    member: Member,
    putting: Client,
}

#[async_trait]
impl Subject for Etcd {
    async fn start() -> Self {
        let member = Member::start().await;
        let putting = client(&member).await;
        Self { member, putting }
    }

    async fn put(&self, text: String) {
        self.putting.kv_client().put("key", text, None).await.expect("a put");
    }

    fn source(&self) -> FromStore<Value> {
        let url = format!("etcd://{}/key", self.member.address);
        from_url(&url, Access::new()).expect("a URL").toml()
    }

    async fn bare(&self, seen: Seen) -> JoinHandle<()> {
        let mut client = client(&self.member).await;
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

async fn client(member: &Member) -> Client {
    Client::connect([member.address.to_string()], None).await.expect("a client")
}

//! A key of a bucket, by its watch.

use async_nats::{ConnectOptions, jetstream};
use async_trait::async_trait;
use futures_util::StreamExt;
use hot_reload_sources::{Access, FromStore, Store, from_url};
use tokio::{task::JoinHandle, time::Instant};

use crate::{
    nats_server::{BUCKET, NatsServer, PASSWORD},
    subject::{Seen, Subject, Value},
};

pub(crate) struct Nats(NatsServer);

#[async_trait]
impl Subject for Nats {
    async fn start() -> Self {
        Self(NatsServer::start().await)
    }

    async fn put(&self, text: String) {
        self.0.put("key", &text).await;
    }

    fn source(&self) -> FromStore<Value> {
        let url = format!("nats://app:{PASSWORD}@{}/{BUCKET}/key", self.0.address());
        from_url(&url, Access::new()).expect("a URL").toml()
    }

    async fn bare(&self, seen: Seen) -> JoinHandle<()> {
        let options = ConnectOptions::with_user_and_password("app".into(), PASSWORD.into());
        let client = options.connect(self.0.address().to_string()).await.expect("a client");
        let bucket = jetstream::new(client).get_key_value(BUCKET).await.expect("a bucket");
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

//! A key of the table, whose notifications carry the value.

use std::future::poll_fn;

use async_trait::async_trait;
use hot_reload_sources::{Access, FromStore, Store, from_url};
use tokio::{task::JoinHandle, time::Instant};
use tokio_postgres::{AsyncMessage, Client, NoTls, connect};

use crate::{
    postgresql::{PASSWORD, Postgresql},
    subject::{Seen, Subject, Value},
};

pub(crate) struct Postgres {
    server: Postgresql,
    putting: Client,
}

impl Postgres {
    fn url(&self) -> String {
        format!("postgres://owner:{PASSWORD}@{}/postgres", self.server.address())
    }
}

#[async_trait]
impl Subject for Postgres {
    async fn start() -> Self {
        let server = Postgresql::start().await;
        let putting = server.owner().await;
        Self { server, putting }
    }

    async fn put(&self, text: String) {
        let put = "INSERT INTO hot_reload VALUES ('key', $1)
            ON CONFLICT (key) DO UPDATE SET value = excluded.value";
        self.putting.execute(put, &[&text]).await.expect("a put");
    }

    fn source(&self) -> FromStore<Value> {
        let url = format!("{}/key?sslmode=disable", self.url());
        from_url(&url, Access::new()).expect("a URL").toml()
    }

    async fn bare(&self, seen: Seen) -> JoinHandle<()> {
        let (client, mut connection) = connect(&self.url(), NoTls).await.expect("a connection");
        let (tell, first) = (seen.clone(), seen);
        let task = tokio::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
                let AsyncMessage::Notification(notification) = message else { continue };
                let (_head, text) = notification.payload().split_once('\n').expect("a value");
                let value = Value::parse(text.as_bytes());
                if tell.send((value.n, Instant::now())).is_err() {
                    return;
                }
            }
        });
        client.batch_execute("LISTEN hot_reload").await.expect("a channel");
        let found = "SELECT value FROM hot_reload WHERE key = 'key'";
        let text: String = client.query_one(found, &[]).await.expect("a value").get(0);
        // Whoever measures is there.
        first.send((Value::parse(text.as_bytes()).n, Instant::now())).expect("a receiver");
        // The connection ends with its client.
        tokio::spawn(async move {
            let _held = client;
            task.await.expect("a task");
        })
    }
}

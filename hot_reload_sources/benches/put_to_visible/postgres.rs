//! A key of the table, whose notifications say that it is to be read.

use std::future::poll_fn;

use async_trait::async_trait;
use hot_reload_sources::{Access, FromStore, Store, from_url};
use tokio::{sync::watch, task::JoinHandle, time::Instant};
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
        let (tell, told) = watch::channel(());
        let task = tokio::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
                if let AsyncMessage::Notification(_) = message {
                    tell.send_replace(());
                }
            }
        });
        client.batch_execute("LISTEN hot_reload").await.expect("a channel");
        tokio::spawn(read_when_told(client, told, seen));
        task
    }
}

async fn read_when_told(client: Client, mut told: watch::Receiver<()>, seen: Seen) {
    told.mark_changed();
    while told.changed().await.is_ok() {
        let found = "SELECT value FROM hot_reload WHERE key = 'key'";
        let Ok(rows) = client.query_typed(found, &[]).await else { return };
        let value = Value::parse(rows[0].get::<_, &str>(0).as_bytes());
        if seen.send((value.n, Instant::now())).is_err() {
            return;
        }
    }
}

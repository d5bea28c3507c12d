//! The suite that every source passes.

use std::{net::SocketAddr, path::Path, sync::Mutex, time::Duration};

use async_trait::async_trait;
use futures_util::future::try_join_all;
use hot_reload::testing::{Proxy, Rig, Sample};
use hot_reload_sources::{
    Access, FromStore, Store,
    postgres::{Postgres, Tls},
};
use tokio_postgres::{Client, Config, types::Type};

use crate::{
    access,
    common::authority::{Authority, Validity},
    server::{PASSWORD, Postgresql, READER_PASSWORD},
};

const READ_DEADLINE: Duration = Duration::from_secs(2);
const WRONG_PASSWORD: &str = "hunter3-of-nobody";
const PUT: &str = "INSERT INTO hot_reload VALUES ('sample.toml', $1)
    ON CONFLICT (key) DO UPDATE SET value = excluded.value";

struct PostgresRig {
    server: Postgresql,
    client: tokio::sync::Mutex<Option<Client>>,
    authority: Authority,
    /// Further servers, which live as long as this.
    others: Mutex<Vec<Postgresql>>,
}

impl PostgresRig {
    fn by_password(address: SocketAddr, password: &str) -> FromStore<Sample> {
        let url = format!("postgres://reader:{password}@{address}/postgres");
        followed(&Postgres::from_url(&url, Access::new()).unwrap())
    }

    async fn by_tls(&self, name: &str, validity: Validity) -> Option<(FromStore<Sample>, Proxy)> {
        let pair = self.authority.issue("server", &[name], validity);
        let ca_file = self.authority.file();
        let server = Postgresql::start_tls(&pair, &ca_file).await;
        let proxy = Proxy::start(server.address()).await;
        self.others.lock().unwrap().push(server);
        Some((trusting(proxy.address(), &ca_file), proxy))
    }
}

fn followed(server: &Postgres) -> FromStore<Sample> {
    let server = server.clone().read_deadline(READ_DEADLINE);
    server.key("sample.toml").toml()
}

fn trusting(address: SocketAddr, ca_file: &Path) -> FromStore<Sample> {
    let mut config = Config::new();
    config.host("db.example.com").hostaddr(address.ip()).port(address.port()).dbname("postgres");
    let access = access().ca_file(ca_file);
    followed(&Postgres::from_config(config, access).unwrap().tls(Tls::VerifyFull))
}

#[async_trait]
impl Rig for PostgresRig {
    type Source = FromStore<Sample>;

    async fn start() -> Self {
        Self {
            server: Postgresql::start().await,
            client: tokio::sync::Mutex::default(),
            authority: Authority::new(),
            others: Mutex::default(),
        }
    }

    fn address(&self) -> SocketAddr {
        self.server.address()
    }

    fn source(&self, address: SocketAddr) -> Self::Source {
        Self::by_password(address, READER_PASSWORD)
    }

    async fn put(&self, text: &str) {
        self.put_all(vec![text.to_owned()]).await;
    }

    async fn put_all(&self, texts: Vec<String>) {
        let mut client = self.client.lock().await;
        if client.as_ref().is_none_or(Client::is_closed) {
            *client = Some(self.server.owner().await);
        }
        let client = client.as_ref().unwrap();
        // A transaction each, sent one behind the other.
        let puts =
            texts.iter().map(async |text| client.execute_typed(PUT, &[(text, Type::TEXT)]).await);
        try_join_all(puts).await.unwrap();
    }

    async fn delete(&self) {
        self.server.run_sql("DELETE FROM hot_reload").await;
    }

    async fn kill(&self) {
        *self.client.lock().await = None;
        self.server.kill();
    }

    async fn restart(&self) {
        self.server.run().await;
        drop(self.server.owner().await);
    }

    async fn restart_empty(&self) {
        self.kill().await;
        self.server.empty();
        self.server.run().await;
        self.server.set_up().await;
    }

    fn with_wrong_credentials(&self, address: SocketAddr) -> Option<Self::Source> {
        Some(Self::by_password(address, WRONG_PASSWORD))
    }

    async fn with_wrong_name(&self) -> Option<(Self::Source, Proxy)> {
        self.by_tls("db.example.org", Validity::Now).await
    }

    async fn with_expired_certificate(&self) -> Option<(Self::Source, Proxy)> {
        self.by_tls("db.example.com", Validity::Over).await
    }

    async fn throttle(&self, is_throttled: bool) -> bool {
        let limit = if is_throttled { 0 } else { -1 };
        let sql = format!(
            "ALTER ROLE reader CONNECTION LIMIT {limit};
             SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'reader'"
        );
        self.server.run_sql(&sql).await;
        true
    }

    fn secrets(&self) -> Vec<String> {
        [PASSWORD, READER_PASSWORD, WRONG_PASSWORD].map(str::to_owned).into()
    }

    fn read_deadline(&self) -> Duration {
        READ_DEADLINE
    }
}

hot_reload::conformance!(PostgresRig);

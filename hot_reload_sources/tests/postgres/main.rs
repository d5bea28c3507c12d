//! PostgreSQL, against servers of the tests' own.

#![allow(unreachable_pub, reason = "a test exports nothing")]

#[path = "../common/mod.rs"]
mod common;
mod errors;
mod link;
mod pooler;
mod query;
mod restored;
mod rig;
mod rights;
mod server;
mod standby;
mod table;
mod tls;

use std::{net::SocketAddr, time::Duration};

use hot_reload::ReloaderReceiver;
use hot_reload_sources::{
    Access, Connection, Secret, Store,
    postgres::{Postgres, PostgresPlace},
};

use tokio::time::sleep;

use self::{
    common::within,
    server::{Postgresql, READER_PASSWORD},
};

fn access() -> Access {
    Access::new().user("reader").password(Secret::text(READER_PASSWORD))
}

/// Whatever is at `address`, as the reader.
fn by(address: SocketAddr) -> Postgres {
    Postgres::from_url(&format!("postgres://{address}/postgres"), access()).unwrap()
}

fn reader(server: &Postgresql) -> Postgres {
    by(server.address())
}

fn key(server: &Postgresql, key: &str) -> PostgresPlace {
    reader(server).key(key)
}

async fn until<V: Eq + Clone + Send + Sync + 'static>(
    receiver: &mut ReloaderReceiver<V, String>,
    want: &V,
) {
    within(async {
        while receiver.get().as_ref() != Some(want) {
            receiver.changed().await.unwrap();
        }
    })
    .await;
}

/// Connects, once the server has started up.
async fn connected(place: &PostgresPlace) -> Box<dyn Connection> {
    within(async {
        loop {
            match place.connect().await {
                Ok(connection) => return connection,
                Err(error) => assert!(error.is_unreachable(), "{error}"),
            }
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await
}

//! PostgreSQL, against servers of the tests' own.

#![allow(unreachable_pub, reason = "a test exports nothing")]

#[path = "../common/mod.rs"]
mod common;
mod errors;
mod link;
mod query;
mod rig;
mod rights;
mod server;
mod table;
mod tls;

use hot_reload::ReloaderReceiver;
use hot_reload_sources::{
    Access, Secret,
    postgres::{Postgres, PostgresPlace},
};

use self::{
    common::within,
    server::{Postgresql, READER_PASSWORD},
};

fn access() -> Access {
    Access::new().user("reader").password(Secret::text(READER_PASSWORD))
}

fn reader(server: &Postgresql) -> Postgres {
    Postgres::from_url(&format!("postgres://{}/postgres", server.address()), access()).unwrap()
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

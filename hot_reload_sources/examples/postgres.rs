//! `docker run --rm -p 5432:5432 -e POSTGRES_PASSWORD=secret postgres`, then
//! `PGPASSWORD=secret psql -h 127.0.0.1 -U postgres -1 -f hot_reload_sources/src/postgres/hot_reload.sql`,
//! `cargo run -p hot_reload_sources --features postgres,toml --example postgres`, and in `psql` again, to see
//! it change: `INSERT INTO hot_reload VALUES ('server.toml', 'workers = 4');`,
//! `UPDATE hot_reload SET value = 'workers = 8';`
//!
//! A key of a table, followed until Ctrl-C.

use hot_reload::{ReloaderOptions, ReloaderService};
use hot_reload_sources::{Access, Secret, Store, postgres::PostgresPlace};

#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
struct Config {
    workers: u32,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let access = Access::new().user("postgres").password(Secret::text("secret"));
    let place = PostgresPlace::from_url("postgres://127.0.0.1/postgres/server.toml", access)?;

    // It waits for a server that is not there, and for a key that is not there either.
    let (service, mut config) =
        ReloaderService::from_reloader(place.toml::<Config>(), ReloaderOptions::hybrid());
    let mut status = config.watch_status();
    tokio::spawn(async move { service.start_with_realtime().await });
    loop {
        tokio::select! {
            changed = config.changed() => {
                changed?;
                println!("{:?}", config.get());
            }
            changed = status.changed() => {
                changed?;
                println!("  {}", config.status());
            }
        }
    }
}

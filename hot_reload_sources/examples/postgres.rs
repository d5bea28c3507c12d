//! `cargo run -p hot_reload_sources --features postgres,toml --example postgres`
//!
//! A key of a table, followed until Ctrl-C; another URL may be given as an argument. The server, and the
//! table in it:
//!
//! ```sh
//! export POSTGRES_USER=postgres POSTGRES_PASSWORD=secret
//! export PGHOST=127.0.0.1 PGUSER=postgres PGPASSWORD=secret
//! docker run --rm --detach -p 5432:5432 -e POSTGRES_PASSWORD postgres
//! until pg_isready -q; do sleep 1; done
//! psql --single-transaction --file hot_reload_sources/src/postgres/hot_reload.sql
//! psql -c "INSERT INTO hot_reload VALUES ('server.toml', 'workers = 4')"
//! ```
//!
//! To see it change, and what is no good be refused:
//!
//! ```sh
//! psql -c "UPDATE hot_reload SET value = 'workers = 8'"
//! psql -c "UPDATE hot_reload SET value = 'workers = many'"
//! ```

use std::{env, error::Error};

use hot_reload_sources::{Access, Store, postgres::PostgresPlace};
use serde::Deserialize;

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Config {
    workers: u32,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // What is refused is told in the log.
    tracing_subscriber::fmt().init();

    let url = env::args().nth(1);
    let url = url.as_deref().unwrap_or("postgres://127.0.0.1/postgres/server.toml");
    let place = PostgresPlace::from_url(url, Access::from_env("POSTGRES_")?)?;
    let mut config = place.toml::<Config>().watch().await?;
    loop {
        config.changed().await?;
        println!("{:?}", config.get());
    }
}

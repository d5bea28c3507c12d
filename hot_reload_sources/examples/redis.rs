//! `cargo run -p hot_reload_sources --features redis,toml --example redis`, and before it
//!
//! ```text
//! redis-server --port 7001 --save '' &
//! sleep 1; redis-cli -p 7001 set prod/server.toml 'workers = 2'
//! ```
//!
//! Follows a string of Redis. In another terminal, set it to `workers = 8`, and then to `workers = many`: the
//! one is printed as soon as it is set; the other is refused, and the one before stays, as it does when the
//! key is deleted, or the server ends. Another URL may be given as an argument; `REDIS_USER` and
//! `REDIS_PASSWORD_FILE` say who comes.

use std::{env, error::Error};

use hot_reload_sources::{Access, Store, redis::RedisPlace};
use serde::Deserialize;

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    workers: u32,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // What is refused is told in the log.
    tracing_subscriber::fmt().init();

    let url = env::args().nth(1);
    let url = url.as_deref().unwrap_or("redis://127.0.0.1:7001/0/prod/server.toml");
    let place = RedisPlace::from_url(url, Access::from_env("REDIS_")?)?;
    let mut config = place.toml::<Config>().watch().await?;
    loop {
        config.changed().await?;
        println!("{:?}", config.get());
    }
}

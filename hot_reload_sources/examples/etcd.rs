//! `cargo run -p hot_reload_sources --features etcd,toml --example etcd`, and before it
//!
//! ```text
//! etcd --data-dir /tmp/example.etcd &
//! etcdctl put prod/server.toml 'workers = 2'
//! ```
//!
//! `etcdctl put prod/server.toml 'workers = 8'` is printed as soon as it is put; `'workers = many'` is refused,
//! and what was there stays. Another URL may be given as an argument; `ETCD_USER` and `ETCD_PASSWORD_FILE` say
//! who comes.

use std::{env, error::Error};

use hot_reload_sources::{Access, Store, etcd::EtcdPlace};
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
    let url = url.as_deref().unwrap_or("etcd://127.0.0.1:2379/prod/server.toml");
    let place = EtcdPlace::from_url(url, Access::from_env("ETCD_")?)?;
    let mut config = place.toml::<Config>().watch().await?;
    loop {
        config.changed().await?;
        println!("{:?}", config.get());
    }
}

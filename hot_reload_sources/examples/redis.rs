//! ```text
//! redis-server --port 7001 --save ''
//! cargo run -p hot_reload_sources --example redis --features redis,toml
//! redis-cli -p 7001 set prod/limits.toml 'requests_per_second = 100'
//! ```
//!
//! Change the number, delete the key, end the server and start it again: the last good value stays, and
//! the log says why.

use hot_reload::{ReloaderOptions, ReloaderService};
use hot_reload_sources::{Access, Store, redis::Redis};
use serde::Deserialize;

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Limits {
    requests_per_second: u32,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let redis = Redis::from_url("redis://127.0.0.1:7001/0", Access::new())?;
    let limits = redis.key("prod/limits.toml").toml::<Limits>();
    let (service, mut limits) = ReloaderService::from_reloader(limits, ReloaderOptions::hybrid());
    tokio::spawn(async move { service.start_with_realtime().await });
    while limits.changed().await.is_ok() {
        println!("{:?}", limits.get());
    }
    Ok(())
}

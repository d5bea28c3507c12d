//! `cargo run -p hot_reload --features toml --example options`
//!
//! Every knob of a service. None needs to be touched: the defaults are named beside each.

use std::time::Duration;

use hot_reload::{ReloaderOptions, ReloaderService, TomlFile, WatchStrategy};

#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
struct Config {
    workers: u32,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("config.toml");
    std::fs::write(&path, "workers = 2")?;

    let file = TomlFile::<Config>::from_path(&path)?
        .max_size(64 * 1024) // 16 MiB
        .allow_empty(false); // false
    let options = ReloaderOptions::polling()
        .strategy(WatchStrategy::Hybrid) // what the constructor says
        .poll_interval(Duration::from_millis(250)) // 10 s
        .settle_window(Duration::from_millis(20)) // 50 ms
        .settle_ceiling(Duration::from_secs(1)) // 3 s
        .load_timeout(Duration::from_secs(2)) // 10 s for a file, 60 s for others
        .backoff(Duration::from_millis(50), Duration::from_secs(5)) // 100 ms, 10 s
        .force_reload(false); // false

    let (service, mut config) = ReloaderService::from_reloader(file, options);
    let running = tokio::spawn(async move { service.start_with_realtime().await });

    config.changed().await?;
    println!("{:?} by {:?}", config.get(), config.status().mechanism);

    // The last receiver gone, the service ends by itself, and well.
    drop(config);
    println!("ended: {:?}", running.await?);
    Ok(())
}

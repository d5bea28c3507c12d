//! `cargo run -p hot_reload --features toml --example control`
//!
//! A part of the value, what changed and why, a roll-back, and the status of it all.

use std::time::Duration;

use hot_reload::{ReloaderOptions, ReloaderService, TomlFile};

#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
struct Config {
    name: String,
    limits: Limits,
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
struct Limits {
    body: u64,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("config.toml");
    let write = |name: &str, body: u64| {
        std::fs::write(&path, format!("name = '{name}'\n[limits]\nbody = {body}\n"))
    };
    write("one", 1024)?;

    let file = TomlFile::<Config>::from_path(&path)?;
    let options = ReloaderOptions::hybrid().max_staleness(Duration::from_secs(60));
    let (service, mut config) = ReloaderService::from_reloader(file, options);
    let service = service.history(3);
    let handle = service.handle();
    let task = tokio::spawn(async move { service.start_with_realtime().await });

    config.wait_for_generation(1).await?;
    let mut body = config.project(|config| &config.limits.body);
    body.changed().await?;
    for (name, limit) in [("two", 1024), ("two", 4096)] {
        write(name, limit)?;
        let change = config.changed_with().await?;
        let (number, reason) = (change.new.generation(), change.new.reason().as_str());
        println!("generation {number}, because of {reason}, {:?} after it", change.new.latency());
    }
    body.changed().await?;
    println!(
        "one edit changed the limit: {:?}, generation {}",
        body.get(),
        body.borrow().generation()
    );

    println!("{:?}", handle.rollback(1).await);
    let status = config.status();
    println!("{}, pinned to {:?}: {:?}", status.health, status.pinned, config.get());
    handle.resume();
    println!("{:?}", config.wait_for(|config| config.limits.body == 4096).await?);

    handle.shutdown().await;
    println!("{}", config.status().health);
    Ok(task.await??)
}

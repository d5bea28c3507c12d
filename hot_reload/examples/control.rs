//! `cargo run -p hot_reload --features toml --example control`
//!
//! A part of the value, a roll-back, and after each step the status of it all.

use std::time::Duration;

use hot_reload::{Health, ReloaderOptions, ReloaderReceiver, ReloaderService, TomlFile};
use tokio::time::timeout;

#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
struct Config {
    name: String,
    workers: u32,
}

type Receiver<V> = ReloaderReceiver<V, String>;

/// Prints what there is after a step, and whether it has woken who follows the workers alone.
async fn show(step: &str, config: &Receiver<Config>, workers: &mut Receiver<u32>) {
    println!("\n> {step}");
    println!("  value    {:?}", config.get());
    let woken = matches!(timeout(Duration::from_millis(10), workers.changed()).await, Ok(Ok(())));
    println!("  workers  {}", if woken { "woken" } else { "not woken" });
    println!("  status   {}", config.status());
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("config.toml");
    std::fs::write(&path, "name = 'one'\nworkers = 4\n")?;

    let file = TomlFile::<Config>::from_path(&path)?;
    let (service, mut config) = ReloaderService::from_reloader(file, ReloaderOptions::hybrid());
    let service = service.history(3);
    let handle = service.handle();
    let mut status = config.watch_status();
    let task = tokio::spawn(async move { service.start_with_realtime().await });

    config.wait_for_generation(1).await?;
    let mut workers = config.project(|config| &config.workers);
    show("the file as it is", &config, &mut workers).await;

    std::fs::write(&path, "name = 'two'\nworkers = 4\n")?;
    config.wait_for_generation(2).await?;
    show("another name", &config, &mut workers).await;

    std::fs::write(&path, "name = 'two'\nworkers = 64\n")?;
    config.wait_for_generation(3).await?;
    show("more workers", &config, &mut workers).await;

    std::fs::write(&path, "name = 'two'\nworkers = \n")?;
    status.wait_for(|status| status.health == Health::Retrying).await?;
    show("a bad edit", &config, &mut workers).await;

    let outcome = handle.rollback(2).await;
    show(&format!("roll back to 2: {outcome}"), &config, &mut workers).await;

    std::fs::write(&path, "name = 'two'\nworkers = 8\n")?;
    handle.resume();
    config.wait_for(|config| config.workers == 8).await?;
    show("mended and resumed", &config, &mut workers).await;

    handle.shutdown().await;
    show("shut down", &config, &mut workers).await;
    Ok(task.await??)
}

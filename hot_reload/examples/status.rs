//! `cargo run -p hot_reload --features toml --example status`
//!
//! A file is broken and mended: the last good value keeps serving, and the status says why.

use std::time::Duration;

use hot_reload::{Health, ReloaderReceiver, TomlFile};

#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
struct Config {
    port: u16,
}

/// Waits as a readiness probe does: by asking.
async fn until(config: &ReloaderReceiver<Config, String>, health: Health) {
    while config.status().health != health {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let status = config.status();
    println!("{:?}, generation {}: {:?}", status.health, status.generation, config.get());
    if let Some(error) = status.last_error {
        println!("  failed {} times:\n{error}", status.failures);
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("config.toml");

    std::fs::write(&path, "port = 80\n")?;
    let config = TomlFile::<Config>::watch(&path).await?;
    until(&config, Health::Fresh).await;

    std::fs::write(&path, "port = 'http'\n")?;
    until(&config, Health::Retrying).await;

    std::fs::write(&path, "port = 443\n")?;
    until(&config, Health::Fresh).await;

    std::fs::remove_file(&path)?;
    until(&config, Health::Retrying).await;

    // `watch` gives an error where a service would wait.
    if let Err(error) = TomlFile::<Config>::watch(&path).await {
        println!("at a start: {error}");
    }
    Ok(())
}

//! `cargo run --release -p hot_reload --features toml --example fast_reads`
//!
//! Threads that read the newest value as often as they can, while the file is edited.

use std::{
    thread,
    time::{Duration, Instant},
};

use hot_reload::TomlFile;

#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
struct Config {
    version: u32,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("config.toml");
    std::fs::write(&path, "version = 1")?;
    let mut config = TomlFile::<Config>::watch(&path).await?;

    let readers: Vec<_> = (0..2)
        .map(|n| {
            // Each thread owns its reader; a read is one atomic load.
            let mut config = config.cached();
            thread::spawn(move || {
                let start = Instant::now();
                let mut reads = 0_u64;
                while config.load().is_some_and(|config| config.version < 5) {
                    reads += 1;
                }
                println!("reader {n}: {reads} reads in {:?}", start.elapsed());
            })
        })
        .collect();

    config.changed().await?;
    for version in 2..=5 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        std::fs::write(&path, format!("version = {version}"))?;
        config.changed().await?;
        println!("version {:?}", config.snapshot().map(|config| config.version));
    }
    for reader in readers {
        reader.join().map_err(|_| "a reader panicked")?;
    }
    Ok(())
}

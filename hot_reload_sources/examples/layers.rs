//! `cargo run -p hot_reload_sources --features layers,toml,json --example layers`
//!
//! Defaults, a file, another that may be missing, and the environment, merged into one live value. With
//! `APP_LIMITS__RPS=7` in front of the command, the environment wins over both files.

use hot_reload_sources::layers::{Env, Layer, Layers};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Config {
    name: String,
    limits: Limits,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Limits {
    rps: u32,
    burst: u32,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let (path, local) = (dir.path().join("config.toml"), dir.path().join("local.json"));
    std::fs::write(&path, "name = 'one'\nlimits.rps = 100")?;

    let defaults = Config { name: "default".into(), limits: Limits { rps: 1, burst: 10 } };
    let layers = Layers::<Config>::new()
        .with(Layer::constant("defaults", &defaults))
        .with(Layer::file(&path))
        .with(Layer::file(&local).optional())
        .with(Env::prefixed("APP_").split("__"));
    let provenance = layers.provenance();
    let mut config = layers.watch().await?;
    println!("{:?}\n{provenance}", config.get());

    // The first value counts as a change.
    config.changed().await?;
    // Whichever layer moves, the whole is merged anew.
    std::fs::write(&local, r#"{ "limits": { "burst": 50 } }"#)?;
    config.changed().await?;
    println!("{:?}\n{provenance}", config.get());

    // A layer that is bad keeps what it had, and the status says which and why.
    std::fs::write(&local, r#"{ "limits": { "burst": "many" } }"#)?;
    let mut status = config.watch_status();
    println!("{}", status.wait_for(|status| status.last_error.is_some()).await?);
    Ok(())
}

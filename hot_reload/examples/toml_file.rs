//! `cargo run -p hot_reload --features toml --example toml_file`
//!
//! A configuration file as a live value, in one line.

use hot_reload::TomlFile;

#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
struct Config {
    greeting: String,
    workers: u32,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("config.toml");
    std::fs::write(&path, "greeting = 'hello'\nworkers = 2\n")?;

    let mut config = TomlFile::<Config>::watch(&path).await?;

    // The first load is a change like any other.
    config.changed().await?;
    println!("at the start: {:?}", config.borrow());

    // Any program may write the file, at any time.
    std::fs::write(&path, "greeting = 'hello'\nworkers = 4\n")?;
    config.changed().await?;
    println!("after the edit: {:?}", config.borrow());

    // The task that follows the file ends with the last receiver.
    drop(config);
    Ok(())
}

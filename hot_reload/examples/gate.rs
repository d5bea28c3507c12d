//! `cargo run -p hot_reload --features toml --example gate`
//!
//! A value is validated, every part of the program prepares for it or none takes it, and after it was
//! published it may still fail a health check.

use std::time::Duration;

use hot_reload::{Health, ReloaderOptions, ReloaderService, TomlFile};
use tokio::net::TcpListener;

#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
struct Config {
    port: u16,
    upstream: String,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("config.toml");
    let write = |port: u16, upstream: &str| {
        std::fs::write(&path, format!("port = {port}\nupstream = '{upstream}'\n"))
    };
    write(0, "good")?;

    let file = TomlFile::<Config>::from_path(&path)?;
    let (service, config) = ReloaderService::from_reloader(file, ReloaderOptions::hybrid());
    let service = service
        .validate(|new, _current| match new.port {
            1..1024 => Err("a port below 1024 takes root"),
            _ => Ok(()),
        })
        .prepare("listener", |candidate| async move {
            let listener = TcpListener::bind(("127.0.0.1", candidate.new.port)).await?;
            // Called once every part has prepared; dropped, and the port free again, if one refuses.
            Ok::<_, std::io::Error>(move || {
                let _serving = listener;
                println!("  a new listener takes over");
            })
        })
        .probation(Duration::from_secs(1), |value| async move {
            if value.upstream == "bad" { Err("the upstream answers 503") } else { Ok(()) }
        });
    tokio::spawn(async move { service.start_with_realtime().await });
    let mut status = config.watch_status();
    status.wait_for(|status| status.health == Health::Fresh).await?;

    let taken = TcpListener::bind("127.0.0.1:0").await?;
    for (port, upstream) in [(80, "good"), (taken.local_addr()?.port(), "good"), (0, "bad")] {
        // Until it is known to be good, there is nothing to go back to.
        status.wait_for(|status| status.probation_until.is_none()).await?;
        let seen = status.get().last_error;
        write(port, upstream)?;
        let refused =
            status.wait_for(|now| now.last_error.is_some() && now.last_error != seen).await?;
        println!("{}: {}", refused.health, refused.last_error.unwrap_or_default());
        println!("  serving {:?}", config.get().map(|config| config.upstream));
    }
    Ok(())
}

//! `cargo run -p server-lib --example own_config`
//!
//! A configuration of one's own with the server's as a part of it, and a route that answers by the rest.

mod client;

use axum::{Router, extract::State, routing::get};
use hot_reload::{ReloaderOptions, ReloaderReceiver, ReloaderService, TomlFile};
use server_lib::{Server, ServerConfig, ServerContextBuilder};

#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
struct Config {
    motto: String,
    server: ServerConfig,
}

impl From<Config> for ServerConfig {
    fn from(config: Config) -> Self {
        config.server
    }
}

type Receiver = ReloaderReceiver<Config, String>;

async fn motto(State(config): State<Receiver>) -> String {
    config.get().map(|config| config.motto).unwrap_or_default()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("config.toml");
    let text = |motto| format!("motto = '{motto}'\nserver.listen_addresses = ['127.0.0.1:0']\n");
    std::fs::write(&path, text("make haste slowly"))?;
    let reloader = TomlFile::<Config>::from_path(&path)?;
    let (service, config) = ReloaderService::from_reloader(reloader, ReloaderOptions::hybrid());
    let routes = Router::new().route("/", get(motto)).with_state(config.clone());
    let context = ServerContextBuilder::default().context_rx(config).routes(routes).build()?;
    let (shutdown, mut status) = (context.shutdown(), context.status());
    let server = Server::new(context);
    let running = tokio::spawn(async move { server.entrypoint_with_realtime(service).await });

    // The port stays as well, since its address is listed as before.
    let address = status.wait_for(|it| it.generation == 1).await?.local_addresses[0].clone();
    println!("http://{address}/ says: {}", client::ask(&address, "GET /").await?);
    std::fs::write(&path, text("no day without a line"))?;
    status.wait_for(|it| it.generation == 2).await?;
    println!("http://{address}/ says: {}", client::ask(&address, "GET /").await?);

    shutdown.cancel();
    running.await??;
    Ok(())
}

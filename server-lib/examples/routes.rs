//! `cargo run -p server-lib --example routes`
//!
//! Routes of one's own, of which one waits for news: its client is told to come again when the server is
//! to end. The limits and headers of the configuration hold for all of them.

mod client;

use std::sync::Arc;

use axum::{Extension, Router, extract::State, routing::get};
use hot_reload::{ReloaderOptions, ReloaderService, TomlFile};
use server_lib::{Draining, Server, ServerConfig, ServerContextBuilder};
use tokio::sync::Notify;

#[derive(Default)]
struct Board {
    somebody_waits: Notify,
    news: Notify,
}

async fn next(
    State(board): State<Arc<Board>>,
    Extension(draining): Extension<Draining>,
) -> &'static str {
    board.somebody_waits.notify_one();
    tokio::select! {
        biased;
        () = board.news.notified() => "it rains",
        () = draining.begun() => "nothing new: come again",
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("config.toml");
    std::fs::write(&path, "listen_addresses = ['127.0.0.1:0']\nrequest_timeout_ms = 60_000\n")?;
    let reloader = TomlFile::<ServerConfig>::from_path(&path)?;
    let (service, config) = ReloaderService::from_reloader(reloader, ReloaderOptions::hybrid());
    let board: Arc<Board> = Arc::default();
    let routes = Router::new().route("/next", get(next)).with_state(Arc::clone(&board));
    let context = ServerContextBuilder::default().context_rx(config).routes(routes).build()?;
    let (shutdown, mut status) = (context.shutdown(), context.status());
    let server = Server::new(context);
    let running = tokio::spawn(async move { server.entrypoint_with_realtime(service).await });
    let address = status.wait_for(|it| it.generation == 1).await?.local_addresses[0].clone();

    for happens in [&|| board.news.notify_one(), &|| shutdown.cancel()] as [&dyn Fn(); 2] {
        let asked = client::ask(&address, "GET /next");
        let (told, ()) = tokio::join!(asked, async {
            board.somebody_waits.notified().await;
            happens();
        });
        println!("GET /next: {}", told?);
    }
    running.await??;
    Ok(())
}

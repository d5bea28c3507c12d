//! `cargo run -p server-lib --example admin`
//!
//! An address for whoever looks after the server: how it is doing, and the way back to what it served
//! before.

mod client;

use client::ask;
use hot_reload::{ReloaderOptions, ReloaderService, TomlFile};
use server_lib::{Server, ServerConfig, ServerContextBuilder};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("config.toml");
    let text = |greeting| {
        format!(
            "listen_addresses = ['127.0.0.1:0']\nadmin_address = '127.0.0.1:0'\n\
             greeting = '{greeting}'\n"
        )
    };
    std::fs::write(&path, text("hello"))?;
    let reloader = TomlFile::<ServerConfig>::from_path(&path)?;
    let (service, config) = ReloaderService::from_reloader(reloader, ReloaderOptions::hybrid());
    // Two configurations can be gone back to, the one in use included.
    let service = service.history(2);
    let context = ServerContextBuilder::default().context_rx(config).build()?;
    let (shutdown, mut status) = (context.shutdown(), context.status());
    let server = Server::new(context);
    let running = tokio::spawn(async move { server.entrypoint_with_realtime(service).await });

    let first = status.wait_for(|it| it.generation == 1).await?.clone();
    let address = &first.local_addresses[0];
    let admin = &first.admin_address.ok_or("it is configured")?;
    println!("http://{admin}/ is a page for a browser");
    println!("GET /readyz         {}", ask(admin, "GET /readyz").await?);

    std::fs::write(&path, text("helo"))?;
    status.wait_for(|it| it.generation == 2).await?;
    println!("it says             {}", ask(address, "GET /").await?);
    println!("POST /rollback/1    {}", ask(admin, "POST /rollback/1").await?);
    println!("it says             {}", ask(address, "GET /").await?);
    println!("GET /history        {}", ask(admin, "GET /history").await?);

    shutdown.cancel();
    running.await??;
    Ok(())
}

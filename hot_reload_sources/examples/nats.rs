//! Start a server by `nats-server -js -a 127.0.0.1`, and this by
//! `cargo run -p hot_reload_sources --example nats --features nats,toml`.
//!
//! It follows the key `server.toml` of the bucket `config`, which it creates if it is missing. Type a line
//! of TOML, such as `greeting = "hello"`, and it is put there: whoever else follows it, as this program in
//! a second terminal, has it at once. `nats kv put config server.toml 'greeting = "hi"'` does the same.

use async_nats::jetstream::{self, stream};
use hot_reload::{ReloaderOptions, ReloaderService};
use hot_reload_sources::{Access, Store, nats::Nats};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, BufReader, stdin};

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    greeting: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let client = async_nats::connect("127.0.0.1:4222").await?;
    let jetstream = jetstream::new(client);
    let bucket = stream::Config {
        name: "KV_config".into(),
        subjects: vec!["$KV.config.>".into()],
        max_messages_per_subject: 1,
        allow_rollup: true,
        allow_direct: true,
        num_replicas: 1,
        ..stream::Config::default()
    };
    jetstream.get_or_create_stream(bucket).await?;

    let nats = Nats::from_url("nats://127.0.0.1:4222", Access::new())?;
    let source = nats.bucket("config").key("server.toml").toml::<Settings>();
    let (service, mut settings) = ReloaderService::from_reloader(source, ReloaderOptions::hybrid());
    tokio::spawn(async move { service.start_with_realtime().await });

    let mut lines = BufReader::new(stdin()).lines();
    loop {
        tokio::select! {
            changed = settings.changed() => {
                changed?;
                println!("{:?}", settings.get());
            }
            line = lines.next_line() => {
                let Some(line) = line? else { return Ok(()) };
                jetstream.publish("$KV.config.server.toml", line.into()).await?.await?;
            }
        }
    }
}

//! `cargo run -p hot_reload_sources --features nats,toml --example nats`, and before it
//!
//! ```text
//! nats-server -js -a 127.0.0.1 &
//! ```
//!
//! It follows the key `server.toml` of the bucket `config`, which it creates if it is missing. Type a line
//! of TOML, such as `workers = 2`, and it is put there: whoever else follows it, as this program in a second
//! terminal, has it at once. `nats kv put config server.toml 'workers = 8'` does the same.

use async_nats::jetstream::{self, stream};
use hot_reload::{ReloaderOptions, ReloaderService};
use hot_reload_sources::{Access, Store, nats::NatsPlace};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, BufReader, stdin};

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    workers: u32,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    // What is refused is told in the log.
    tracing_subscriber::fmt().init();

    let client = async_nats::connect("127.0.0.1:4222").await?;
    let jetstream = jetstream::new(client);
    let bucket = stream::Config {
        name: "KV_config".into(),
        subjects: vec!["$KV.config.>".into()],
        max_messages_per_subject: 1,
        allow_rollup: true,
        allow_direct: true,
        ..stream::Config::default()
    };
    jetstream.get_or_create_stream(bucket).await?;

    let url = "nats://127.0.0.1:4222/config/server.toml";
    let source = NatsPlace::from_url(url, Access::new())?.toml::<Config>();
    // It may have to wait for the first value, which is typed here.
    let (service, mut config) = ReloaderService::from_reloader(source, ReloaderOptions::hybrid());
    tokio::spawn(async move { service.start_with_realtime().await });

    let mut lines = BufReader::new(stdin()).lines();
    loop {
        tokio::select! {
            changed = config.changed() => {
                changed?;
                println!("{:?}", config.get());
            }
            line = lines.next_line() => {
                let Some(line) = line? else { return Ok(()) };
                jetstream.publish("$KV.config.server.toml", line.into()).await?.await?;
            }
        }
    }
}

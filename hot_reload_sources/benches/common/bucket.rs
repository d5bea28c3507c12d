//! Buckets of NATS.

use std::time::Duration;

use async_nats::jetstream::{self, kv::Store, stream};
use tokio::time::sleep;

/// Returns a bucket, which may be there already, over a connection of its own.
pub(crate) async fn bucket(url: &str, name: &str) -> Store {
    let client = async_nats::connect(url).await.expect("a client");
    let jetstream = jetstream::new(client);
    let config = stream::Config {
        name: format!("KV_{name}"),
        subjects: vec![format!("$KV.{name}.>")],
        max_messages_per_subject: 1,
        allow_rollup: true,
        deny_delete: true,
        allow_direct: true,
        ..Default::default()
    };
    // A server listens before JetStream answers.
    while jetstream.create_stream(config.clone()).await.is_err() {
        sleep(Duration::from_millis(10)).await;
    }
    jetstream.get_key_value(name).await.expect("a bucket")
}

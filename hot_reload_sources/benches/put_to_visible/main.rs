//! From right before a put to the parsed value in the application, through each store.
//!
//! `cargo bench -p hot_reload_sources --all-features --bench put_to_visible`; `-- --short` for a run of
//! seconds, and names of stores for those alone. Beside ours, in turns within one run: a task that does
//! nothing but wait for the store's own client, and parse. Every server is real, and of this run alone.

#[path = "../../tests/common/mod.rs"]
mod common;

mod etcd;
#[path = "../../tests/etcd/server.rs"]
#[allow(dead_code, unreachable_pub, reason = "its tests use the rest")]
mod etcd_server;
mod http;
mod nats;
#[path = "../../tests/nats/server.rs"]
#[allow(dead_code, unreachable_pub, reason = "its tests use the rest")]
mod nats_server;
mod postgres;
#[path = "../../tests/postgres/server.rs"]
#[allow(dead_code, unreachable_pub, reason = "its tests use the rest")]
mod postgresql;
mod redis;
mod subject;

use std::env;

use subject::{Scale, run};

#[tokio::main(worker_threads = 2)]
async fn main() {
    let asked: Vec<String> =
        env::args().skip(1).filter(|arg| !arg.starts_with("--bench")).collect();
    let scale = if asked.iter().any(|arg| arg == "--short") { Scale::SHORT } else { Scale::LONG };
    let names: Vec<&String> = asked.iter().filter(|arg| !arg.starts_with("--")).collect();
    let is_asked = |name: &str| names.is_empty() || names.iter().any(|asked| *asked == name);
    subject::head();
    macro_rules! stores {
        ($($name:literal: $store:ty,)*) => {$(
            if is_asked($name) {
                run::<$store>($name, scale).await;
            }
        )*};
    }
    stores! {
        "http": http::Http,
        "redis": redis::Redis,
        "nats": nats::Nats,
        "etcd": etcd::Etcd,
        "postgres": postgres::Postgres,
    }
}

//! From right before a put to the parsed value in the application, through each store.
//!
//! `cargo bench -p hot_reload_sources --all-features --bench put_to_visible`; `-- --short` for a run of
//! seconds, and names of stores for those alone. Beside ours, in turns within one run: a task that does
//! nothing but wait for the store's own client, and parse; and before them, what is the least that it can
//! take, a round trip by TCP. Every server is real, and of this run alone.

#[path = "../../tests/common/mod.rs"]
mod common;
#[path = "../common/measure.rs"]
mod measure;

mod etcd;
#[path = "../../tests/etcd/server.rs"]
#[allow(dead_code, unreachable_pub, reason = "its tests use the rest")]
mod etcd_server;
mod http;
mod loopback;
mod nats;
#[path = "../../tests/nats/server.rs"]
#[allow(dead_code, unreachable_pub, reason = "its tests use the rest")]
mod nats_server;
mod postgres;
#[path = "../../tests/postgres/server.rs"]
#[allow(dead_code, unreachable_pub, reason = "its tests use the rest")]
mod postgresql;
mod redis;
#[path = "../../tests/redis/server.rs"]
#[allow(dead_code, unreachable_pub, reason = "its tests use the rest")]
mod redis_server;
mod subject;

use measure::Asked;
use subject::{Scale, run, run_loopback};

#[tokio::main(worker_threads = 2)]
async fn main() {
    let asked = Asked::read();
    let scale = if asked.is_short { Scale::SHORT } else { Scale::LONG };
    subject::head();
    run_loopback(scale).await;
    macro_rules! stores {
        ($($name:literal: $store:ty,)*) => {$(
            if asked.has($name) {
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

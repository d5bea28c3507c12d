//! `cargo run -p hot_reload_sources --features http,toml --example http`, and before it
//!
//! ```text
//! mkdir -p /tmp/example.http
//! echo 'workers = 2' > /tmp/example.http/server.toml
//! python3 -m http.server --bind 127.0.0.1 --directory /tmp/example.http 8000 &
//! ```
//!
//! Follows a file that a web server has. In another terminal, write `workers = 8` into it, and then
//! `workers = many`: the one is printed within ten seconds, since this server has to be asked; the other is
//! refused, and the one before stays. Another URL may be given as an argument, of a server that tells by
//! itself: with `#watch=sse` behind it, or, for Consul,
//! `http://127.0.0.1:8500/v1/kv/prod/server.toml?raw#watch=long-poll`. `HTTP_TOKEN_FILE` names a file with
//! a bearer token.

use std::{env, error::Error};

use hot_reload_sources::{Access, Store, http::HttpPlace};
use serde::Deserialize;

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    workers: u32,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // What is refused is told in the log.
    tracing_subscriber::fmt().init();

    let url = env::args().nth(1);
    let url = url.as_deref().unwrap_or("http://127.0.0.1:8000/server.toml");
    let place = HttpPlace::from_url(url, Access::from_env("HTTP_")?)?;
    let mut config = place.toml::<Config>().watch().await?;
    loop {
        config.changed().await?;
        println!("{:?}", config.get());
    }
}

//! An HTTP server around a live configuration.
//!
//! A [`Server`] answers from the newest configuration that works: which addresses it listens on,
//! what it answers and what it allows follow the value of a [`hot_reload::ReloaderService`] while
//! it runs.
//!
//! ```
//! use hot_reload::{ReloaderOptions, ReloaderService, TomlFile};
//! use server_lib::{Server, ServerConfig, ServerContextBuilder};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path().join("config.toml");
//! std::fs::write(&path, "name = 'one'\nlisten_addresses = ['127.0.0.1:0']")?;
//! let (service, receiver) = ReloaderService::from_reloader(
//!     TomlFile::<ServerConfig>::from_path(&path)?,
//!     ReloaderOptions::hybrid(),
//! );
//! let context = ServerContextBuilder::default().context_rx(receiver).build()?;
//! let (shutdown, mut status) = (context.shutdown(), context.status());
//!
//! let server = Server::new(context);
//! let running = tokio::spawn(async move { server.entrypoint_with_realtime(service).await });
//! status.wait_for(|status| status.generation == 1).await?;
//! println!("http://{}/", status.borrow().local_addresses[0]);
//!
//! shutdown.cancel();
//! running.await??;
//! # Ok(())
//! # }
//! ```
//!
//! # How it works
//!
//! Each new value passes the gate of its service
//! ([`prepare`](hot_reload::ReloaderService::prepare)). A pure plan says which addresses are to be
//! opened, kept and closed; the new ones are bound first, and only when all of them are is the value
//! put in place, in one step, for every request that begins after it. A value that can't work is
//! refused as a whole: the old one goes on in every part, and the new one is tried again while the
//! source holds it. Each request holds one snapshot of the configuration from its first byte to its last.
//!
//! An application brings its own [routes](ServerContextBuilder::routes); without them there are these:
//!
//! | endpoint | answer |
//! |---|---|
//! | `GET /` | `id`, `name`, `greeting` and the generation of the configuration, as JSON |
//! | `GET /healthz` | `ok` |
//! | `POST /echo` | the body, where `max_body_bytes` allows it |
//!
//! On the [admin address](ServerConfig::admin_address) there are `/livez`, `/readyz`, `/status`,
//! `/history`, `POST /reload`, `POST /rollback/{generation}` and `POST /resume`.
//!
//! # What is hot
//!
//! All of a [`ServerConfig`] is, save a [few parts](ServerConfig::NOT_HOT): they
//! are in use from the next start on, which the log and the [status](ServerStatus::needs_restart) say
//! when they change. [`Limits`] says what holds for connections that are open, and what only for those
//! that begin. A program that has parts of its own to change adds its
//! [`prepare`](hot_reload::ReloaderService::prepare) to the service: all parts take a configuration,
//! or none does.
//!
//! # Under attack
//!
//! A client that is slow to send a head, or to take an answer, is cut off in time; what is too large
//! is answered 413 or 431 while it is still being sent; floods of connections, requests and HTTP/2
//! frames are bounded by [`Limits`]. Whoever looks after the server gets through all the while.
//! A request learns by its [`Draining`] extension that its connection is about to end.
//!
//! # Known problems
//!
//! An HTTP/2 client that keeps a stream open and grants it no window holds the answer for as long as
//! its connection lasts.
//!
//! It is for Unix.
//!
//! Two addresses that differ only in how they are written to the same effect, as an IPv4 address
//! mapped into IPv6, are found out by the system when they are bound and not before.

#![forbid(unsafe_code)]

mod accept;
mod address;
mod admin;
mod config;
mod connection;
mod context;
mod daemon;
mod draining;
mod error;
mod inherit;
mod limits;
mod live;
mod plan;
mod probe;
mod role;
mod router;
mod server;
mod site;
mod socket;
mod status;

pub use self::{
    address::{Address, InvalidAddress},
    config::{InvalidConfig, Limits, RateLimit, RatePer, ServerConfig},
    context::{ServerContext, ServerContextBuilder},
    draining::Draining,
    error::{BindError, IncompleteContext, ServerError},
    inherit::Inherited,
    probe::probe,
    role::Role,
    server::Server,
    status::{Refusal, ServerStatus},
};

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
//! Over TLS ([`https_addresses`](ServerConfig::https_addresses)) clients are served one of the
//! certificates of [`TlsConfig`], by the name they ask for and the keys they take, and HTTP/2 or HTTP/1.1
//! by ALPN. The files of each certificate are followed by themselves: a new one is served, to whoever
//! connects from then on, once its key belongs to it. Whatever else the files hold, the last good pair
//! goes on, and the [status](ServerStatus::certificates) says why.
//!
//! An application brings its own [routes](ServerContextBuilder::routes); without them there are these:
//!
//! | endpoint | answer |
//! |---|---|
//! | `GET /` | `id`, `name`, `greeting` and the generation of the configuration, as JSON |
//! | `GET /healthz` | `ok` |
//! | `POST /echo` | the body, where `max_body_bytes` allows it |
//!
//! On the [admin address](ServerConfig::admin_address), which is closed last, there are these:
//!
//! | endpoint | answer |
//! |---|---|
//! | `GET /` | a page that shows all of this live |
//! | `GET /livez`, `GET /readyz` | whether it runs; whether it may be sent requests: not once it is to end |
//! | `GET /status`, `GET /history` | what is served, and what was, with the keys that changed, as JSON |
//! | `GET /events` | both, now and whenever something changes, as server-sent events |
//! | `GET /metrics` | the metrics below and those of [`hot_reload`], for Prometheus |
//! | `POST /reload` | the configuration is loaded now |
//! | `POST /rollback/{generation}`, `POST /resume` | an earlier one serves again; the source is followed again |
//!
//! What changes something takes a header `X-Requested-By`, with any value. A loopback address is open
//! to every user of the machine, so that an error is told there as a log may have it, without what the
//! source holds; at a socket of the file system, which is for its owner alone, it is told in full.
//!
//! A [daemon](ServerContextBuilder::daemon) records metrics, unless the application has installed
//! a recorder of the [`metrics`](https://docs.rs/metrics) facade, which then has them:
//!
//! | metric | kind |
//! |---|---|
//! | `server_lib_requests_total` | counter, with the label `code`: `2xx` and the like |
//! | `server_lib_request_duration_seconds` | histogram: from the head of a request to that of its answer |
//! | `server_lib_connections` | gauge: those that are open |
//! | `server_lib_connections_total` | counter |
//! | `server_lib_generation` | gauge: of the configuration in use |
//! | `server_lib_certificate_expiry_timestamp_seconds` | gauge, with the label `certificate`: its file; the end, since 1970; NaN once it is served no more |
//! | `server_lib_refusals_total` | counter: configurations refused as a whole |
//!
//! # Examples
//!
//! In `examples/` of the repository, each with the command that runs it: `own_config` has a
//! configuration of its own with the server's as a part of it, `routes` answers for itself and says
//! goodbye, `admin` asks and rolls back.
//!
//! # Features
//!
//! | feature | what it adds |
//! |---|---|
//! | `schema` | `schemars::JsonSchema` of [`ServerConfig`], by which an editor completes and checks it |
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
//! A client that resumes a TLS session is not shown the certificate again, so that it learns of a new
//! one when the session is over.
//!
//! A socket of the file system that is to be for another purpose, as one that moves from
//! `listen_addresses` to `admin_address`, takes two edits: one that lists it no more, and one that does
//! again.
//!
//! By `SIGUSR2`, a socket of the file system that the new process does not take leaves its file behind.
//! Process 1 can't be replaced, nor one that serves a generation that is pinned: it says so.
//!
//! Two addresses that differ only in how they are written to the same effect, as an IPv4 address
//! mapped into IPv6, are found out by the system when they are bound and not before.

#![forbid(unsafe_code)]

#[cfg(not(unix))]
compile_error!("server-lib is for Unix: it takes its sockets, signals and descriptors");

mod accept;
mod address;
mod admin;
mod changes;
mod config;
mod connection;
mod context;
mod daemon;
mod draining;
mod endpoint;
mod error;
mod example;
mod host;
mod inherit;
mod limits;
mod live;
mod lock;
mod metrics;
mod plan;
mod probe;
mod role;
mod router;
mod server;
mod shared;
mod site;
mod socket;
mod status;
mod systemd;
mod tls;
mod upgrade;

pub use self::{
    address::{Address, InvalidAddress},
    config::{
        CertificatePaths, InvalidConfig, Limits, RateLimit, RatePer, ServerConfig, TlsConfig,
    },
    context::{ServerContext, ServerContextBuilder},
    draining::Draining,
    endpoint::Endpoint,
    error::{BindError, IncompleteContext, ServerError},
    inherit::Inherited,
    probe::{probe, probe_certificates},
    role::Role,
    server::Server,
    status::{Refusal, ServerStatus},
    tls::{CertificateError, CertificateStatus, Expiry},
};

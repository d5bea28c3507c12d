//! NATS, against the server itself.

#![allow(unreachable_pub, reason = "a test exports nothing")]

#[path = "../common/mod.rs"]
mod common;

mod cluster;
mod follow;
mod gone;
mod leaf;
mod lost;
mod operator;
mod rig;
mod security;
mod server;

hot_reload::conformance!(rig::NatsRig);

const KEY: &str = "server.toml";

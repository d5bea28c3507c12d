//! Redis, against real servers.

#![allow(unreachable_pub, reason = "a test exports nothing")]

#[path = "../common/mod.rs"]
mod common;

mod changes;
mod cluster;
mod fake;
mod keyspace;
mod loss;
mod rig;
mod rights;
mod sentinel;
mod server;
mod size;
mod tls;

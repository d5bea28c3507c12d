//! Redis, against real servers.

#![allow(unreachable_pub, reason = "a test exports nothing")]

#[path = "../common/mod.rs"]
mod common;

mod changes;
mod keyspace;
mod loss;
mod rights;
mod rules;
mod sentinel;
mod server;
mod tls;

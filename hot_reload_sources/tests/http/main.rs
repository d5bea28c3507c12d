//! HTTP, by a server of each test's own.

#[path = "../common/mod.rs"]
mod common;

mod live;
mod rig;
mod server;

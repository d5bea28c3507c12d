//! Live values from the stores that fleets already run, as sources of [`hot_reload`].

#![forbid(unsafe_code)]

mod access;
mod content;
mod decode;
mod error;
mod follow;
mod from_store;
mod pause;
mod shared;
mod store;
#[cfg(feature = "tls")]
mod tls;
mod url;

#[cfg(feature = "etcd")]
pub mod etcd;
#[cfg(feature = "http")]
pub mod http;
#[cfg(feature = "layers")]
pub mod layers;
#[cfg(feature = "nats")]
pub mod nats;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "redis")]
pub mod redis;

pub use self::{
    access::{Access, Secret},
    content::{Content, Entry, Revision},
    error::StoreError,
    from_store::FromStore,
    shared::Shared,
    store::{Changes, Connection, Store},
    url::from_url,
};

//! Nodes of a cluster, each with a connection of its own.

use std::{
    collections::HashMap,
    error::Error,
    sync::{Arc, Mutex, PoisonError},
};

use ::redis::{ErrorKind, RedisError, ServerErrorKind};

use super::{Redis, link::Link, place::Query};
use crate::{content::Entry, error::StoreError};

/// Those that keys were found on, by their addresses.
pub(super) type Nodes = Arc<Mutex<HashMap<String, Redis>>>;

/// One key, on whichever node has it.
#[derive(Clone)]
pub(super) struct Seat {
    redis: Redis,
    pub(super) link: Arc<Link>,
    pub(super) query: Query,
}

impl Seat {
    pub(super) fn new(redis: Redis, link: Arc<Link>, query: Query) -> Self {
        Self { redis, link, query }
    }

    pub(super) async fn read(&mut self) -> Result<Entry, StoreError> {
        match self.query.read(&self.link).await {
            Err(error) if self.moves(&error).await? => self.query.read(&self.link).await,
            answer => answer,
        }
    }

    /// Goes to the node that `error` says has the key, if it does.
    pub(super) async fn moves(&mut self, error: &StoreError) -> Result<bool, StoreError> {
        let Some(node) = node(error).and_then(|address| self.redis.node(address)) else {
            return Ok(false);
        };
        self.link = node.link().await?;
        Ok(true)
    }
}

impl Redis {
    fn node(&self, address: &str) -> Option<Self> {
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(node) = nodes.get(address) {
            return Some(node.clone());
        }
        let (host, port) = address.rsplit_once(':')?;
        let server = self.server.node(host, port.parse().ok()?)?;
        let node = Self { settings: self.settings, ..Self::new(server) };
        nodes.insert(address.to_owned(), node.clone());
        Some(node)
    }
}

fn node(error: &StoreError) -> Option<&str> {
    let error: &RedisError = error.source()?.downcast_ref()?;
    let is_moved = error.kind() == ErrorKind::Server(ServerErrorKind::Moved);
    error.redirect_node().filter(|_| is_moved).map(|(address, _)| address)
}

//! Nodes of a cluster, each with a connection of its own.

use std::{
    collections::HashMap,
    error::Error,
    sync::{Arc, Mutex},
};

use ::redis::{ErrorKind, RedisError, ServerErrorKind};

use super::{Redis, dial::Server, link::Link, news::Mark, query::Query};
use crate::{content::Entry, error::StoreError, in_time::in_time, lock::lock};

/// Those that keys were found on, by their names: at most as many as there ever were in the cluster.
pub(super) type Nodes = Arc<Mutex<HashMap<String, Redis>>>;

/// As many nodes as are asked for one key: while a slot moves, and not all know of it yet, it may be some.
const MOST_NODES: u32 = 5;

/// One key, on whichever node has it.
#[derive(Clone)]
pub(super) struct Seat {
    redis: Redis,
    query: Query,
    /// To the node that has its slot, as far as is known.
    link: Arc<Link>,
    /// To the node that its slot is on the way to, if it was there already.
    ahead: Option<Arc<Link>>,
}

/// Where else the key is, as a node says.
enum Elsewhere<'e> {
    /// All of its slot is there.
    Moved(&'e str),
    /// Its slot is on the way there; the next key in it may be here yet.
    Ahead(&'e str),
}

impl Seat {
    pub(super) fn new(redis: Redis, link: Arc<Link>, query: Query) -> Self {
        Self { redis, query, link, ahead: None }
    }

    /// Starts to hear of changes: those after the next [`read`](Self::read) with the mark.
    pub(super) async fn follow(&self) -> Result<Mark, StoreError> {
        self.link.follow(&self.query.key).await
    }

    /// Reads the key on the node that has it, which then is the one that tells `mark` of changes.
    pub(super) async fn read(&mut self, mut mark: Option<&mut Mark>) -> Result<Entry, StoreError> {
        // The engine knows nothing of nodes, and so gives them no time of their own.
        let deadline = self.redis.settings.read_deadline;
        let mut ahead = None;
        for _ in 0..MOST_NODES {
            let link = ahead.as_ref().unwrap_or(&self.link);
            if let Some(mark) = mark.as_deref_mut()
                && !link.tells(mark)
            {
                *mark = in_time(link.follow(&self.query.key), deadline).await?;
            }
            let error = match self.query.read(link, ahead.is_some()).await {
                Err(error) => error,
                entry => {
                    self.ahead = ahead;
                    return entry;
                }
            };
            let Some(elsewhere) = Elsewhere::of(&error) else { return Err(error) };
            let (Elsewhere::Moved(address) | Elsewhere::Ahead(address)) = elsewhere;
            let Some(node) = self.redis.node(link.server(), address) else { return Err(error) };
            let link = in_time(node.link(), deadline).await?;
            match elsewhere {
                Elsewhere::Moved(_) => (self.link, ahead) = (link, None),
                Elsewhere::Ahead(_) => ahead = Some(link),
            }
        }
        Err(StoreError::unreachable("the nodes of the cluster do not agree yet on who has the key"))
    }
}

impl Redis {
    /// Returns what reaches the node that `from` says is at `address`, if a node can be reached at all.
    fn node(&self, from: &Server, address: &str) -> Option<Self> {
        let (host, port) = address.rsplit_once(':')?;
        let server = from.node(host, port.parse().ok()?)?;
        let mut nodes = lock(&self.nodes);
        let node = nodes
            .entry(server.name())
            .or_insert_with(|| Self { settings: self.settings, ..Self::new(server) }.apart());
        Some(node.clone())
    }
}

impl<'e> Elsewhere<'e> {
    fn of(error: &'e StoreError) -> Option<Self> {
        let error: &RedisError = error.source()?.downcast_ref()?;
        let (address, _) = error.redirect_node()?;
        match error.kind() {
            ErrorKind::Server(ServerErrorKind::Moved) => Some(Self::Moved(address)),
            ErrorKind::Server(ServerErrorKind::Ask) => Some(Self::Ahead(address)),
            _ => None,
        }
    }
}

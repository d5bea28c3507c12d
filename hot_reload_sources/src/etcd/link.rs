//! A connection to one member, shared by all that is followed over it.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use etcd_client::{Client, Error, WatchResponse, WatchStream};
use tokio::{select, sync::watch, task::JoinSet};

use super::{
    History,
    fault::{cancelled, ends_link, is_of_etcd, told},
    heart,
    keys::{Held, Keys},
    token::Token,
};
use crate::{content::Entry, error::StoreError, history};

/// The id of a cluster is also that of one that was restored from a snapshot of it
/// ([etcd: bumping the revision](https://etcd.io/docs/v3.6/op-guide/recovery/)); reads are linearizable.
pub(super) type Epoch = history::Epoch<u64>;

/// More than the engine takes by default.
const MAX_MESSAGE: usize = 64 * 1024 * 1024;

/// A connection that is used until it is said to be lost.
pub(super) struct Link {
    client: Client,
    token: Token,
    lost: Arc<watch::Sender<Option<Loss>>>,
    /// That of all that was read over it.
    epoch: OnceLock<Epoch>,
    /// Ends with it.
    _heart: JoinSet<()>,
}

/// Why a connection is used no more.
#[derive(Debug, Clone)]
pub(super) enum Loss {
    /// The member has said nothing for too long.
    Silent,
    /// It says how it is, and knows nothing of what the others have agreed to.
    Stuck,
    /// What was watched over it is of another time.
    Past,
    Told(Arc<Error>),
}

impl Loss {
    fn error(&self) -> StoreError {
        match self {
            Self::Silent => {
                StoreError::unreachable("the server has gone silent; see whether it runs")
            }
            Self::Stuck => StoreError::unreachable(
                "the member agrees with the others no more; see whether its disk hangs",
            ),
            Self::Past => StoreError::unreachable("the server has changed; asking anew"),
            Self::Told(error) => told(error),
        }
    }
}

/// The moment that something is of.
#[derive(Debug, Clone, Copy)]
pub(super) struct At {
    pub(super) epoch: Epoch,
    pub(super) revision: u64,
}

/// What was read, and when in the order of the cluster.
pub(super) struct Reading {
    pub(super) held: Held,
    pub(super) at: At,
}

impl Reading {
    pub(super) fn entry(&self) -> Entry {
        let At { epoch, revision } = self.at;
        self.held.entry(epoch.at(revision))
    }
}

impl Link {
    /// Uses `client` from now on, until the member has been silent for `deadline`; must be called in a
    /// runtime.
    pub(super) fn over(client: Client, deadline: Duration) -> Self {
        let lost = Arc::new(watch::Sender::new(None));
        let heart = heart::start(&client, deadline, &lost);
        Self { client, token: Token::default(), lost, epoch: OnceLock::new(), _heart: heart }
    }

    pub(super) fn is_alive(&self) -> bool {
        self.lost.borrow().is_none()
    }

    /// Has all who use it connect anew.
    pub(super) fn lose(&self, why: Loss) {
        heart::lose(&self.lost, why);
    }

    /// Waits for `answer`, as long as there is any hope of one.
    pub(super) async fn hears<T>(
        &self,
        answer: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, StoreError> {
        let mut lost = self.lost.subscribe();
        select! {
            biased;
            Ok(why) = lost.wait_for(Option::is_some) => Err(Self::why(why.as_ref())),
            answer = answer => answer.map_err(|error| {
                let ends_link = ends_link(&error);
                let told = told(&error);
                if ends_link {
                    self.lose(Loss::Told(Arc::new(error)));
                }
                told
            }),
        }
    }

    /// Waits for what `changes` tell next; where they end, the others on the connection may go on.
    ///
    /// A proxy may end each stream at its own time. A member that leaves them to another says so, and a
    /// connection that is dead is found by whoever reads over it next.
    pub(super) async fn next(
        &self,
        changes: &mut WatchStream,
    ) -> Result<WatchResponse, StoreError> {
        let mut lost = self.lost.subscribe();
        select! {
            biased;
            Ok(why) = lost.wait_for(Option::is_some) => Err(Self::why(why.as_ref())),
            message = changes.message() => match message {
                Ok(message) => message.ok_or_else(|| cancelled("")),
                Err(error) => {
                    let told = told(&error);
                    if is_of_etcd(&error) && ends_link(&error) {
                        self.lose(Loss::Told(Arc::new(error)));
                    }
                    Err(told)
                }
            }
        }
    }

    fn why(lost: Option<&Loss>) -> StoreError {
        lost.map_or_else(|| Loss::Past.error(), Loss::error)
    }

    /// Reads `keys` as they are in the whole cluster.
    pub(super) async fn read(&self, keys: &Keys, history: &History) -> Result<Reading, StoreError> {
        let before = history.before();
        let get = || {
            let mut client = self.client.kv_client().max_decoding_message_size(MAX_MESSAGE);
            async move { client.get(keys.start(), Some(keys.get_options())).await }
        };
        let mut answer = self.hears(self.token.kept_fresh(&self.client, get)).await?;
        let header = answer.take_header().ok_or_else(no_header)?;
        let revision = number(header.revision());
        let epoch = history.read(&before, header.cluster_id(), revision, true);
        if *self.epoch.get_or_init(|| epoch) != epoch {
            // Whoever watches over it waits for revisions that are long past, or never come.
            self.lose(Loss::Past);
        }
        Ok(Reading { held: keys.held(answer.take_kvs())?, at: At { epoch, revision } })
    }

    /// Watches `keys` from what comes after `revision`; the watch stands then.
    ///
    /// Messages are not to be cut into fragments, so that a change of many keys at once is one.
    pub(super) async fn watch(
        &self,
        keys: &Keys,
        revision: u64,
    ) -> Result<WatchStream, StoreError> {
        let mut client = self.client.watch_client().max_decoding_message_size(MAX_MESSAGE);
        let options = keys.watch_options().with_start_revision(following(revision));
        let mut changes = self.hears(client.watch(keys.start(), Some(options))).await?;
        let created = self.next(&mut changes).await?;
        if created.canceled() {
            return Err(cancelled(created.cancel_reason()));
        }
        // It would wait for what comes after a revision of which this member knows nothing.
        let header = created.header().ok_or_else(no_header)?;
        if number(header.revision()) < revision {
            return Err(StoreError::unreachable("the member is behind the others; asking again"));
        }
        Ok(changes)
    }
}

/// The revision after it, as the client has them.
fn following(revision: u64) -> i64 {
    i64::try_from(revision).unwrap_or(i64::MAX).saturating_add(1)
}

/// Revisions count from 1.
pub(super) fn number(revision: i64) -> u64 {
    revision.max(0).unsigned_abs()
}

fn no_header() -> StoreError {
    StoreError::unreachable("an answer without a header; see whether that is an etcd")
}

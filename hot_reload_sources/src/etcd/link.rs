//! A connection to one member, shared by all that is followed over it.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use etcd_client::{Client, Error, WatchStream};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    error::StoreError,
    etcd::{
        error::{cancelled, ends_link, is_answer, told},
        history::{Era, History},
        range::{Held, Range},
    },
};

/// Between two heartbeats. With what one may take, a connection that is dead is found within four
/// seconds, which is less than the read deadline.
///
/// It is a request and not a ping of HTTP/2, since a server hangs up when those come more often than
/// every five seconds (`--grpc-keepalive-min-time`,
/// [etcd 8905](https://github.com/etcd-io/etcd/issues/8905)). Nor is it a request for the progress of a
/// watch, since a watch from a revision that is not there yet is not answered
/// ([etcd 15237](https://github.com/etcd-io/etcd/pull/15237)).
const BEAT: Duration = Duration::from_secs(2);
/// Longer than a busy server takes for what it knows by heart.
const BEAT_PATIENCE: Duration = Duration::from_secs(2);
/// More than the engine takes by default.
const MAX_MESSAGE: usize = 64 * 1024 * 1024;

/// A connection that is used until it is said to be lost.
pub(super) struct Link {
    client: Client,
    lost: Arc<watch::Sender<bool>>,
    /// That of all that was read over it.
    era: OnceLock<Era>,
    /// Ends with it.
    _heart: JoinSet<()>,
}

/// What was read, and when in the order of the cluster.
pub(super) struct Reading {
    pub(super) held: Held,
    pub(super) era: Era,
    pub(super) revision: i64,
}

impl Link {
    /// Uses `client` from now on; must be called in a runtime.
    pub(super) fn over(client: Client) -> Self {
        let lost = Arc::new(watch::Sender::new(false));
        let mut heart = JoinSet::new();
        heart.spawn(beat(client.clone(), Arc::clone(&lost)));
        Self { client, lost, era: OnceLock::new(), _heart: heart }
    }

    pub(super) fn is_alive(&self) -> bool {
        !*self.lost.borrow()
    }

    /// Has all who use it connect anew.
    pub(super) fn lose(&self) {
        self.lost.send_replace(true);
    }

    /// Waits until it is lost.
    pub(super) async fn is_lost(&self) {
        // Its sender is here, so there is no end but that.
        let _ = self.lost.subscribe().wait_for(|&is_lost| is_lost).await;
    }

    /// Reads `range` as it is in the whole cluster.
    pub(super) async fn read(
        &self,
        range: &Range,
        history: &History,
    ) -> Result<Reading, StoreError> {
        let before = history.before();
        let mut client = self.client.kv_client().max_decoding_message_size(MAX_MESSAGE);
        let read = client.get(range.start(), Some(range.get_options())).await;
        let mut answer = read.map_err(|error| self.told(&error))?;
        let header = answer.take_header().ok_or_else(no_header)?;
        let era = history.read(before, &header);
        if *self.era.get_or_init(|| era) != era {
            // Whoever watches over it waits for revisions that are long past, or never come.
            self.lose();
        }
        Ok(Reading { held: range.held(answer.take_kvs())?, era, revision: header.revision() })
    }

    /// Watches `range` from what comes after `revision`; the watch stands then.
    ///
    /// Messages are not to be cut into fragments, so that a change of many keys at once is one.
    pub(super) async fn watch(
        &self,
        range: &Range,
        revision: i64,
    ) -> Result<WatchStream, StoreError> {
        let mut client = self.client.watch_client().max_decoding_message_size(MAX_MESSAGE);
        let options = range.watch_options().with_start_revision(revision + 1);
        let watched = client.watch(range.start(), Some(options)).await;
        let mut changes = watched.map_err(|error| self.told(&error))?;
        let created = changes.message().await.map_err(|error| self.told(&error))?;
        let created = created.ok_or_else(|| cancelled(""))?;
        if created.canceled() {
            return Err(cancelled(created.cancel_reason()));
        }
        // It would wait for what comes after a revision of which this member knows nothing.
        if created.header().ok_or_else(no_header)?.revision() < revision {
            self.lose();
            return Err(StoreError::unreachable("the member is behind the others; asking again"));
        }
        Ok(changes)
    }

    /// What `error` means for the store, and whether the connection is of use any longer.
    pub(super) fn told(&self, error: &Error) -> StoreError {
        if ends_link(error) {
            self.lose();
        }
        told(error)
    }
}

/// Asks for the state of the member, over and over, until there is no answer.
async fn beat(client: Client, lost: Arc<watch::Sender<bool>>) {
    let mut client = client.maintenance_client();
    loop {
        sleep(BEAT).await;
        match timeout(BEAT_PATIENCE, client.status()).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) if is_answer(&error) => {}
            Ok(Err(_)) | Err(_) => {
                lost.send_replace(true);
                return;
            }
        }
    }
}

fn no_header() -> StoreError {
    StoreError::unreachable("an answer without a header; see whether that is an etcd")
}

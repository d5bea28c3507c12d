//! The signs of life of a member, and of its use.

use std::{sync::Arc, time::Duration};

use etcd_client::Client;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{connect::agrees, fault::is_answer, link::Loss};

/// What part of the read deadline is between two heartbeats, and what part one may take: a connection that
/// is dead is found before the deadline is over.
///
/// It is a request and not a ping of HTTP/2, since a server hangs up when those come more often than
/// every five seconds (`--grpc-keepalive-min-time`,
/// [etcd 8905](https://github.com/etcd-io/etcd/issues/8905)). Nor is it a request for the progress of a
/// watch, since a watch from a revision that is not there yet is not answered
/// ([etcd 15237](https://github.com/etcd-io/etcd/pull/15237)).
pub(super) const BEAT: f64 = 0.4;
/// In a row: while a leader is elected a member can't agree with the others, and a connection to another is
/// of no more use.
const DISAGREEMENTS: u32 = 2;

/// Has the link `lost` when the member is found silent, or stuck; ends with what it returns.
pub(super) fn start(
    client: &Client,
    deadline: Duration,
    lost: &Arc<watch::Sender<Option<Loss>>>,
) -> JoinSet<()> {
    let mut heart = JoinSet::new();
    heart.spawn(beat(client.clone(), deadline.mul_f64(BEAT), Arc::clone(lost)));
    heart.spawn(prove(client.clone(), deadline, Arc::clone(lost)));
    heart
}

/// Asks for the state of the member, over and over, until there is no answer.
async fn beat(client: Client, pause: Duration, lost: Arc<watch::Sender<Option<Loss>>>) {
    let mut client = client.maintenance_client();
    let why = loop {
        sleep(pause).await;
        match timeout(pause, client.status()).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) if is_answer(&error) => {}
            Ok(Err(error)) => break Loss::Told(Arc::new(error)),
            Err(_) => break Loss::Silent,
        }
    };
    lose(&lost, why);
}

/// Has the member agree with the others, over and over, until it can't: its state it tells from memory, also
/// when its disk hangs and no change will ever come by it.
async fn prove(client: Client, deadline: Duration, lost: Arc<watch::Sender<Option<Loss>>>) {
    let mut disagreements = 0;
    while disagreements < DISAGREEMENTS {
        sleep(deadline).await;
        match timeout(deadline, agrees(&client)).await {
            Ok(Ok(())) => disagreements = 0,
            Ok(Err(_)) => disagreements += 1,
            Err(_) => break,
        }
    }
    lose(&lost, Loss::Stuck);
}

/// Keeps the first reason there was.
pub(super) fn lose(lost: &watch::Sender<Option<Loss>>, why: Loss) {
    lost.send_if_modified(|lost| {
        let is_first = lost.is_none();
        lost.get_or_insert(why);
        is_first
    });
}

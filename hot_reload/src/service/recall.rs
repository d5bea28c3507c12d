//! Values that were published before, published anew.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use tracing::warn;

use super::{
    control::{Control, Triggered},
    metrics::Metrics,
    outcome::bad_health,
    sink::{Past, Sink},
};
use crate::{
    change::{Origin, Reason},
    redact::mask,
    status::{Health, Status},
};

/// Publishes the last good value of an earlier run, where nothing is published yet.
pub(super) async fn restore<V, K: Sink<V>>(around: &Around<'_>, sink: &K) {
    let Around { source, limit, metrics, .. } = *around;
    let begun = Instant::now();
    let mut is_first = false;
    sink.report(&mut |status| is_first = status.generation == 0);
    if !is_first {
        return;
    }
    match sink.restore(limit).await {
        Ok(None) => {}
        Ok(Some(admitted)) => {
            let mut change = |status: &mut Status, _is_new: bool| status.is_restored = true;
            sink.publish(admitted, &mut change).await;
            metrics.published(Origin { reason: Reason::Restored, seen: begun }, || None);
            warn!(name: "hot_reload.restored", source, "the last good value of an earlier run serves");
        }
        Err(refusal) => {
            let reason = mask(&refusal.to_string());
            warn!(name: "hot_reload.not_restored", source, %reason, "ignoring the last good value on disk");
        }
    }
}

/// What the status says of a value that somebody rolled back to.
pub(super) const ROLLED_BACK: &str = "rolled back by hand";

/// What a value of the past is published with.
#[derive(Clone, Copy)]
pub(super) struct Around<'a> {
    pub(super) source: Option<&'a str>,
    pub(super) limit: Duration,
    pub(super) control: &'a Control,
    pub(super) metrics: &'a Metrics,
}

/// Publishes a value of the past anew.
pub(super) async fn roll_back<V, K: Sink<V>>(
    past: Past,
    why: &str,
    around: &Around<'_>,
    sink: &K,
) -> Triggered {
    let Around { source, limit, control, metrics } = *around;
    let (why, begun): (Arc<str>, _) = (why.into(), Instant::now());
    let recalled = tokio::select! {
        biased;
        () = control.shutdown() => return Triggered::Stopped,
        recalled = sink.recall(past, &why, limit) => recalled,
    };
    let mut published = 0;
    let failed = match recalled {
        Ok(admitted) => {
            let is_bad = past == Past::Good;
            let mut change = |status: &mut Status, _is_new: bool| {
                published = status.generation;
                status.health = Health::RolledBack;
                if let Past::Generation(generation) = past {
                    status.pinned = Some(generation);
                    status.unapplied_since = None;
                    status.failures = 0;
                }
                status.refused_by = is_bad.then(|| PROBATION.into());
                status.last_error = is_bad.then(|| Arc::clone(&why));
                status.last_error_at = None;
            };
            sink.publish(admitted, &mut change).await;
            metrics.published(Origin { reason: Reason::Rollback, seen: begun }, || None);
            warn!(name: "hot_reload.rolled_back", source, generation = published, reason = %mask(&why), "an earlier value serves again");
            return Triggered::Published(published);
        }
        Err(refusal) => refusal,
    };
    warn!(name: "hot_reload.not_rolled_back", source, reason = %mask(&why), refusal = %mask(&failed.to_string()), "can't roll back");
    if past == Past::Good {
        sink.report(&mut |status| {
            status.health = bad_health(sink);
            status.refused_by = Some(PROBATION.into());
            status.last_error = Some(Arc::clone(&why));
        });
    }
    Triggered::Failed(failed.to_string().into())
}

/// What a service calls the check of a value that serves already.
pub(super) const PROBATION: &str = "probation";

//! The end of all that is open.

use std::time::Duration;

use tokio::time::timeout;
use tracing::{debug, info};

use super::{Site, open::Open};
use crate::{lock::lock, role::Role};

/// How long whoever looks after the server may take to read what was answered last: all else is over
/// by then.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

impl Site {
    /// Closes every address, or hands it over where the server `is_replaced`, and waits for the requests under
    /// way, at most the drain timeout.
    ///
    /// Whoever looks after the server can see it drain: theirs is closed last, unless the server
    /// `is_replaced` by another process that answers there already.
    pub(crate) async fn drain(&self, is_replaced: bool) {
        let limit = self.shared.live.load().config.drain_timeout();
        let open = std::mem::take(&mut *lock(&self.open));
        let is_last = |one: &Open| one.endpoint.role == Role::Admin && !is_replaced;
        let (admin, mut open): (Vec<Open>, Vec<Open>) = open.into_iter().partition(is_last);
        for one in &mut open {
            one.stop();
        }
        self.tasks.close();
        // The addresses are free for whoever comes next, before the last request is answered.
        for one in open {
            if is_replaced {
                one.hand_over().await;
            } else {
                one.close().await;
            }
        }
        self.status.send_modify(|status| {
            status.local_addresses.clear();
            status.https_addresses.clear();
        });
        if !self.tasks.is_empty() {
            info!(connections = self.tasks.len(), ?limit, "waiting for requests under way");
        }
        self.tasks.wait().await;
        self.stop.cancel();
        self.admin_tasks.close();
        for one in admin {
            one.close().await;
        }
        self.status.send_modify(|status| status.admin_address = None);
        if timeout(LAST_ANSWERS, self.admin_tasks.wait()).await.is_err() {
            debug!("somebody who looks after the server doesn't read the last answer");
        }
    }
}

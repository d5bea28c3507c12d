//! What the tests of every store have in common.

#![allow(dead_code, unreachable_pub, unused_imports, reason = "each test crate uses its part")]

pub mod authority;
pub mod fake;
pub mod follow;
pub mod server;

use std::{panic::Location, time::Duration};

use tokio::time::timeout;

/// Longer than anything here takes, also on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for `future` and no longer than that, so that what hangs fails where it was waited for.
#[track_caller]
pub fn within<F: Future>(future: F) -> impl Future<Output = F::Output> {
    let at = Location::caller();
    async move {
        let Ok(output) = timeout(PATIENCE, future).await else {
            panic!("{at}: not within {PATIENCE:?}")
        };
        output
    }
}

//! What goes on beside the services, and without which they are not to go on.

use tokio::task::{JoinError, JoinSet};

/// Tasks that nobody waits for: each may end, but none may fail.
#[derive(Debug, Default)]
pub(crate) struct Background(JoinSet<()>);

impl Background {
    pub(crate) fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(task);
    }

    /// Waits for `work`; fails as soon as one of them does, as by a panic: whatever needs it would wait for
    /// ever.
    pub(crate) async fn beside<T>(mut self, work: impl Future<Output = T>) -> Result<T, JoinError> {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                Some(ended) = self.0.join_next() => ended?,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{future::pending, time::Duration};

    use tokio::time::{sleep, timeout};

    use super::*;

    /// It waited for ever.
    #[tokio::test]
    async fn what_needs_a_task_that_panics_is_not_waited_for() {
        let mut background = Background::default();
        background.spawn(async {});
        background.spawn(async { panic!("as it is meant to") });
        let ended = timeout(Duration::from_secs(60), background.beside(pending::<()>())).await;
        assert!(ended.expect("in time").expect_err("a failure").is_panic());
    }

    #[tokio::test]
    async fn a_task_that_ends_is_no_failure() {
        let mut background = Background::default();
        background.spawn(async {});
        background.spawn(pending());
        let work = background.beside(sleep(Duration::from_millis(50)));
        assert!(timeout(Duration::from_secs(60), work).await.expect("in time").is_ok());
    }
}

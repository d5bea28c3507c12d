//! What a login came to: a token that expires.

use std::sync::atomic::{AtomicU64, Ordering};

use etcd_client::{Client, Error};
use tokio::sync::Mutex;

use super::fault::is_expired;

/// Has a token replaced when it has expired, by one login for all who find that out.
///
/// The client does so for whatever it asks, also for what does not need a token: a fleet that only watches would
/// log in over and over.
#[derive(Default)]
pub(super) struct Token {
    replaced: AtomicU64,
    replacing: Mutex<()>,
}

impl Token {
    /// Asks, and once more if the token of `client` has expired.
    pub(super) async fn kept_fresh<T, F>(
        &self,
        client: &Client,
        ask: impl Fn() -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        // Relaxed: it counts what is ordered by the lock.
        let before = self.replaced.load(Ordering::Relaxed);
        match ask().await {
            Err(error) if is_expired(&error) => {}
            answer => return answer,
        }
        {
            // Held while logging in, so that all who come meanwhile have what comes of it.
            let _alone = self.replacing.lock().await;
            if self.replaced.load(Ordering::Relaxed) == before {
                client.refresh_token().await?;
                self.replaced.fetch_add(1, Ordering::Relaxed);
            }
        }
        ask().await
    }
}

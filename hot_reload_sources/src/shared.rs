//! One connection for all who need it.

use std::sync::{
    Arc, Weak,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::Mutex;

use crate::error::StoreError;

/// A connection that is opened when somebody needs it, shared by all who do, and closed when the last of
/// them lets go.
#[derive(Debug)]
pub struct Shared<C>(Arc<Slot<C>>);

#[derive(Debug)]
struct Slot<C> {
    open: Mutex<Open<C>>,
    /// Attempts to connect that have ended.
    attempts: AtomicU64,
}

#[derive(Debug)]
struct Open<C> {
    connection: Weak<C>,
    /// What the last attempt came to, if to nothing.
    failure: Option<StoreError>,
}

impl<C> Shared<C> {
    /// Returns the connection there is, or the one that `connect` makes.
    ///
    /// # Errors
    ///
    /// Those of `connect`; whoever waited for an attempt that failed has its error, rather than an attempt of
    /// their own: a thousand places with a wrong password log in once.
    ///
    /// # Cancel safety
    ///
    /// A connection that is not made yet is given up; the next who needs one begins anew.
    pub async fn get<F>(
        &self,
        is_alive: impl Fn(&C) -> bool,
        connect: impl FnOnce() -> F,
    ) -> Result<Arc<C>, StoreError>
    where
        F: Future<Output = Result<C, StoreError>>,
    {
        let Slot { open, attempts } = &*self.0;
        // Relaxed: what it counts is behind the lock.
        let before = attempts.load(Ordering::Relaxed);
        // Held while connecting, so that all who come meanwhile get what comes of it.
        let mut open = open.lock().await;
        if let Some(connection) =
            open.connection.upgrade().filter(|connection| is_alive(connection))
        {
            return Ok(connection);
        }
        if attempts.load(Ordering::Relaxed) != before
            && let Some(failure) = &open.failure
        {
            return Err(failure.clone());
        }
        let attempt = connect().await;
        attempts.fetch_add(1, Ordering::Relaxed);
        match attempt {
            Ok(connection) => {
                let connection = Arc::new(connection);
                *open = Open { connection: Arc::downgrade(&connection), failure: None };
                Ok(connection)
            }
            Err(failure) => {
                open.failure = Some(failure.clone());
                Err(failure)
            }
        }
    }
}

impl<C> Clone for Shared<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<C> Default for Shared<C> {
    fn default() -> Self {
        let open = Mutex::new(Open { connection: Weak::new(), failure: None });
        Self(Arc::new(Slot { open, attempts: AtomicU64::new(0) }))
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, time::Duration};

    use futures_util::future::join_all;
    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn all_who_wait_have_what_comes_of_one_attempt() {
        let shared = Shared::<u32>::default();
        let attempts = Cell::new(0);
        let connect = async |works: bool| {
            attempts.set(attempts.get() + 1);
            sleep(Duration::from_millis(100)).await;
            if works { Ok(7) } else { Err(StoreError::refused("wrong password")) }
        };
        for (works, want) in [(false, 1), (true, 2)] {
            let got = join_all((0..100).map(|_| shared.get(|_| true, || connect(works)))).await;
            assert!(got.iter().all(|got| got.is_ok() == works));
            assert_eq!(attempts.get(), want);
        }
        // The last has let go.
        let got = shared.get(|_| true, || connect(false)).await;
        assert!(got.unwrap_err().is_refused());
        assert_eq!(attempts.get(), 3);
    }
}

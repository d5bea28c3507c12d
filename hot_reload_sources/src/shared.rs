//! One connection for all who need it.

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use futures_util::future::{FutureExt, Shared as Joined, WeakShared};

use crate::{
    error::StoreError,
    in_time::{caught, in_time},
    lock::lock,
    store::READ_DEADLINE,
};

/// A connection that is opened when somebody needs it, shared by all who do, and closed when the last of
/// them lets go.
pub struct Shared<C>(Arc<Slot<C>>);

type Made<C> = Result<Arc<C>, StoreError>;
type Attempt<C> = Pin<Box<dyn Future<Output = Made<C>> + Send>>;

struct Slot<C> {
    limit: Duration,
    open: Mutex<Open<C>>,
}

struct Open<C> {
    connection: Weak<C>,
    /// Held by those who wait for it, and gone with the last of them.
    attempt: Option<WeakShared<Attempt<C>>>,
}

impl<C: Send + Sync + 'static> Shared<C> {
    /// Creates one for a store of this read deadline; an attempt to connect has all of
    /// it, however late those have come who wait for it.
    pub fn new(read_deadline: Duration) -> Self {
        let open = Mutex::new(Open { connection: Weak::new(), attempt: None });
        Self(Arc::new(Slot { limit: read_deadline, open }))
    }

    /// Returns the connection there is, or the one that `connect` makes.
    ///
    /// # Errors
    ///
    /// Those of `connect`; whoever waited for an attempt that failed has its error, rather than an attempt of
    /// their own: a thousand places with a wrong password log in once.
    ///
    /// # Cancel safety
    ///
    /// An attempt goes on as long as anybody waits for it; whoever waits no longer, or is not polled, keeps
    /// nobody from it.
    pub async fn get<F>(
        &self,
        is_alive: impl Fn(&C) -> bool,
        connect: impl FnOnce() -> F,
    ) -> Result<Arc<C>, StoreError>
    where
        F: Future<Output = Result<C, StoreError>> + Send + 'static,
    {
        let attempt = {
            let mut open = lock(&self.0.open);
            if let Some(connection) = open.connection.upgrade().filter(|open| is_alive(open)) {
                return Ok(connection);
            }
            let under_way = open.attempt.as_ref().and_then(WeakShared::upgrade);
            // One that has ended may still be held by who has not looked yet.
            under_way.filter(|attempt| attempt.peek().is_none()).unwrap_or_else(|| {
                let attempt = self.attempt(connect());
                open.attempt = attempt.downgrade();
                attempt
            })
        };
        attempt.await
    }

    fn attempt<F>(&self, connecting: F) -> Joined<Attempt<C>>
    where
        F: Future<Output = Result<C, StoreError>> + Send + 'static,
    {
        let slot = Arc::clone(&self.0);
        let attempt: Attempt<C> = Box::pin(async move {
            let connection = Arc::new(caught(in_time(connecting, slot.limit)).await?);
            lock(&slot.open).connection = Arc::downgrade(&connection);
            Ok(connection)
        });
        attempt.shared()
    }
}

impl<C> Clone for Shared<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// For a store of the deadline that stores have by themselves.
impl<C: Send + Sync + 'static> Default for Shared<C> {
    fn default() -> Self {
        Self::new(READ_DEADLINE)
    }
}

impl<C> fmt::Debug for Shared<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_open = lock(&self.0.open).connection.strong_count() > 0;
        f.debug_struct("Shared").field("is_open", &is_open).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::poll_fn,
        pin::pin,
        sync::atomic::{AtomicU32, Ordering::SeqCst},
        task::Poll,
    };

    use futures_util::future::join_all;
    use tokio::time::{Instant, sleep, timeout};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn all_who_wait_have_what_comes_of_one_attempt() {
        let shared = Shared::<u32>::default();
        let attempts = AtomicU32::new(0);
        let connect = |works: bool| {
            attempts.fetch_add(1, SeqCst);
            async move {
                sleep(Duration::from_millis(100)).await;
                if works { Ok(7) } else { Err(StoreError::refused("wrong password")) }
            }
        };
        for (works, want) in [(false, 1), (true, 2)] {
            let got = join_all((0..100).map(|_| shared.get(|_| true, || connect(works)))).await;
            assert!(got.iter().all(|got| got.is_ok() == works));
            assert_eq!(attempts.load(SeqCst), want);
        }
        // The last has let go.
        let got = shared.get(|_| true, || connect(false)).await;
        assert!(got.unwrap_err().is_refused());
        assert_eq!(attempts.load(SeqCst), 3);
    }

    /// Once each attempt ended with the patience of whoever had begun it, which was spent by waiting in line.
    #[tokio::test(start_paused = true)]
    async fn after_a_black_hole_all_are_connected_soon() {
        let shared = Shared::<u32>::default();
        let healed = Instant::now() + 60 * SECOND;
        let waits = async |n: u32| {
            sleep(n * SECOND / 200).await;
            loop {
                let connect = || async move {
                    if Instant::now() < healed {
                        std::future::pending::<()>().await;
                    }
                    sleep(SECOND / 10).await;
                    Ok(7)
                };
                let got = timeout(5 * SECOND, shared.get(|_| true, connect)).await;
                if let Ok(Ok(_)) = got {
                    return Instant::now();
                }
                sleep(SECOND.mul_f64(0.8 * fastrand::f64())).await;
            }
        };
        let last = join_all((0..1000).map(waits)).await.into_iter().max().unwrap();
        assert!(last < healed + 7 * SECOND, "{:?}", last - healed);
    }

    #[tokio::test]
    async fn a_client_that_panics_is_an_error_of_all_who_wait() {
        let shared = Shared::<u32>::default();
        let connect = || async {
            tokio::task::yield_now().await;
            panic!("the client's")
        };
        let waits = || shared.get(|_| true, connect);
        let (one, other) = tokio::join!(waits(), waits());
        assert!(one.unwrap_err().is_unreachable() && other.unwrap_err().is_unreachable());
        assert_eq!(*shared.get(|_| true, async || Ok(7)).await.unwrap(), 7);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_and_is_not_polled_keeps_nobody_waiting() {
        let shared = Shared::<u32>::default();
        let connect = || async {
            sleep(SECOND).await;
            Ok(7)
        };
        let mut stuck = pin!(shared.get(|_| true, connect));
        poll_fn(|cx| {
            assert!(stuck.as_mut().poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        let got = timeout(2 * SECOND, shared.get(|_| true, connect)).await;
        assert_eq!(*got.unwrap().unwrap(), 7);
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_that_nobody_waits_for_is_given_up() {
        let shared = Shared::<Arc<()>>::default();
        let held = Arc::new(());
        let connect = || {
            let held = Arc::clone(&held);
            async move {
                sleep(SECOND).await;
                Ok(held)
            }
        };
        assert!(timeout(SECOND / 2, shared.get(|_| true, connect)).await.is_err());
        assert_eq!(Arc::strong_count(&held), 1);
    }
}

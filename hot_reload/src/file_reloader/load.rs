//! How a file becomes a value: by a hand-written trait, or by a format.

use std::{
    fmt::Display,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    task::{JoinError, JoinHandle, spawn_blocking},
    time::{sleep, timeout},
};

use super::{
    AsyncFileLoad,
    error::{FileError, Problem},
    identity::Identity,
    open::Opened,
};
use crate::panic::words;

/// A value, and the files besides the main one that it came from.
#[derive(Debug)]
pub(super) struct Loaded<V> {
    pub(super) value: V,
    pub(super) dependencies: Vec<PathBuf>,
    /// That of the bytes of the main file, where the value was made of these and nothing else.
    pub(super) sum: Option<u64>,
}

/// Makes a value of the main file of a set.
pub(super) trait Load<V>: Send {
    /// Whether it says what sum the bytes have that it made a value of.
    const SUMS_UP: bool = false;

    /// Loads from what is in memory, and calls `once_read` before it makes a value of that; `None` where it
    /// may have to wait, and nothing was begun.
    fn load_at_once(
        &mut self,
        _path: &Path,
        _opened: &Opened,
        _once_read: impl FnOnce(),
    ) -> Option<Result<Loaded<V>, FileError>> {
        None
    }

    /// Loads from `path`, which `opened` was opened at.
    fn load(
        &mut self,
        path: &Path,
        opened: Arc<Opened>,
    ) -> impl Future<Output = Result<Loaded<V>, FileError>> + Send;
}

/// Loads by the synchronous hand-written trait, where blocking is allowed.
#[derive(Debug)]
pub(super) struct ByTryFrom<F> {
    /// Loads that were given up on and still have their thread, and of which version; one that
    /// comes to an end after all has not been for nothing.
    overdue: Vec<(Identity, JoinHandle<Result<F, String>>)>,
}

/// More than this many versions of a file are not left to hang at once: each has a thread.
const MOST_OVERDUE: usize = 4;

impl<F> Default for ByTryFrom<F> {
    fn default() -> Self {
        Self { overdue: Vec::new() }
    }
}

impl<F> Load<F> for ByTryFrom<F>
where
    F: for<'a> TryFrom<&'a PathBuf> + Send + 'static,
    for<'a> <F as TryFrom<&'a PathBuf>>::Error: Display,
{
    async fn load(&mut self, path: &Path, opened: Arc<Opened>) -> Result<Loaded<F>, FileError> {
        let version = opened.identity;
        drop(opened);
        self.overdue.retain(|(of, load)| *of == version || !load.is_finished());
        let under_way = self.overdue.iter().position(|(of, _)| *of == version);
        let n = under_way.unwrap_or(self.overdue.len());
        if n == MOST_OVERDUE {
            let words = format!("{MOST_OVERDUE} earlier loads still hang; mend the loader");
            return Err(FileError::new(path, Problem::Stuck(words)));
        }
        let mut turn = None;
        if under_way.is_none() {
            let path = path.to_owned();
            // Its error need not be `Send`, and its words are all that is wanted.
            let load = move || F::try_from(&path).map_err(|error| error.to_string());
            turn = turn_to_load().await;
            self.overdue.push((version, spawn_blocking(load)));
        }
        // Should this be given up on, the load stays where it is.
        let loaded = within(turn, &mut self.overdue[n].1).await;
        self.overdue.swap_remove(n);
        let problem = match loaded {
            Ok(Ok(value)) => return Ok(Loaded { value, dependencies: Vec::new(), sum: None }),
            Ok(Err(words)) => Problem::Refused(words),
            Err(error) => Problem::Stuck(broken(error)),
        };
        Err(FileError::new(path, problem))
    }
}

/// Loads by the asynchronous hand-written trait.
pub(super) struct ByAsyncLoad;

impl<F> Load<F> for ByAsyncLoad
where
    F: AsyncFileLoad + Send,
    F::Error: Display,
{
    async fn load(&mut self, path: &Path, opened: Arc<Opened>) -> Result<Loaded<F>, FileError> {
        drop(opened);
        let turn = turn_to_load().await;
        let value = within(turn, F::async_load_from(path.to_owned()))
            .await
            .map_err(|error| FileError::new(path, Problem::Refused(error.to_string())))?;
        let dependencies = value.dependent_paths();
        Ok(Loaded { value, dependencies, sum: None })
    }
}

/// Loads that may hold a thread of the blocking pool at once: a start of thousands of services
/// must not make hundreds of threads.
static TURNS: Semaphore = Semaphore::const_new(2);
/// A load that takes longer than this gives up its turn, so that a slow one holds up nobody.
const LONGEST_TURN: Duration = Duration::from_millis(100);
/// A load that has waited for its turn for this long goes without one: whoever has it may be on a
/// runtime that nobody drives any more.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Runs `work` where blocking is allowed, in its turn.
///
/// # Errors
///
/// What its panic said, or that there is no thread for it.
pub(super) async fn unblock<R: Send + 'static>(
    work: impl FnOnce() -> R + Send + 'static,
) -> Result<R, String> {
    let turn = turn_to_load().await;
    unblock_in(turn, work).await
}

/// The same, in a turn that was waited for already.
pub(super) async fn unblock_in<R: Send + 'static>(
    turn: Turn,
    work: impl FnOnce() -> R + Send + 'static,
) -> Result<R, String> {
    // Of a thread that is not to be had tokio tells by a panic alone.
    let thread = catch_unwind(AssertUnwindSafe(|| spawn_blocking(work)));
    let thread = thread.map_err(|panic| words(&*panic).to_owned())?;
    within(turn, thread).await.map_err(broken)
}

/// Waits for a load, and gives up its turn if it takes too long.
async fn within<R>(turn: Turn, load: impl Future<Output = R>) -> R {
    let mut load = pin!(load);
    tokio::select! {
        biased;
        outcome = &mut load => return outcome,
        () = sleep(LONGEST_TURN) => drop(turn),
    }
    load.await
}

/// Leave to use a thread of the pool; `None` where it was waited for in vain.
pub(super) type Turn = Option<SemaphorePermit<'static>>;

pub(super) async fn turn_to_load() -> Turn {
    // It is closed by nobody.
    timeout(LONGEST_WAIT, TURNS.acquire()).await.ok()?.ok()
}

fn broken(error: JoinError) -> String {
    match error.try_into_panic() {
        Ok(panic) => format!("the loader panicked: {}", words(&*panic)),
        Err(_) => "the runtime is shutting down".to_owned(),
    }
}

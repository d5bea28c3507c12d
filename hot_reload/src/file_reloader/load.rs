//! How a file becomes a value: by a hand-written trait, or by a format.

use std::{
    fmt::Display,
    path::{Path, PathBuf},
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::{sync::Semaphore, task::spawn_blocking};

use super::{
    AsyncFileLoad,
    error::{FileError, Problem},
    identity::Identity,
    open::Opened,
};

/// A value, and the files besides the main one that it came from.
#[derive(Debug)]
pub(super) struct Loaded<V> {
    pub(super) value: V,
    pub(super) dependencies: Vec<PathBuf>,
}

/// Makes a value of the main file of a set.
pub(super) trait Load<V>: Send {
    /// Loads from `path`, which `opened` was opened at.
    fn load(
        &mut self,
        path: &Path,
        opened: Arc<Opened>,
    ) -> impl Future<Output = Result<Loaded<V>, FileError>> + Send;
}

/// Loads by the synchronous hand-written trait, where blocking is allowed.
#[derive(Debug, Default)]
pub(super) struct ByTryFrom {
    /// Loads that were given up on and still have their thread, and of which version.
    hung: Vec<(Identity, Weak<()>)>,
}

impl<F> Load<F> for ByTryFrom
where
    F: for<'a> TryFrom<&'a PathBuf> + Send + 'static,
    for<'a> <F as TryFrom<&'a PathBuf>>::Error: Display,
{
    async fn load(&mut self, path: &Path, opened: Arc<Opened>) -> Result<Loaded<F>, FileError> {
        let version = opened.identity;
        drop(opened);
        self.hung.retain(|(_, running)| running.strong_count() > 0);
        if self.hung.iter().any(|(hung, _)| *hung == version) {
            let words = "an earlier load of this version still hangs".to_owned();
            return Err(FileError::new(path, Problem::Refused(words)));
        }
        let running = Arc::new(());
        self.hung.push((version, Arc::downgrade(&running)));
        let owned = path.to_owned();
        let value = unblock(move || {
            // Its error need not be `Send`, and its words are all that is wanted.
            let loaded = F::try_from(&owned).map_err(|error| error.to_string());
            drop(running);
            loaded
        })
        .await
        .and_then(|loaded| loaded)
        .map_err(|words| FileError::new(path, Problem::Refused(words)))?;
        Ok(Loaded { value, dependencies: Vec::new() })
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
        let value = politely(F::async_load_from(path.to_owned()))
            .await
            .map_err(|error| FileError::new(path, Problem::Refused(error.to_string())))?;
        let dependencies = value.dependent_paths();
        Ok(Loaded { value, dependencies })
    }
}

/// Loads that may hold a thread of the blocking pool at once: a start of thousands of services
/// must not make hundreds of threads.
static TURNS: Semaphore = Semaphore::const_new(2);
/// A load that takes longer than this gives up its turn, so that a slow one holds up nobody.
const LONGEST_TURN: Duration = Duration::from_millis(100);

/// Runs `work` where blocking is allowed, in its turn.
///
/// # Errors
///
/// What its panic said.
pub(super) async fn unblock<R: Send + 'static>(
    work: impl FnOnce() -> R + Send + 'static,
) -> Result<R, String> {
    politely(async { spawn_blocking(work).await }).await.map_err(|error| {
        match error.try_into_panic() {
            Ok(panic) => format!("the loader panicked: {}", crate::panic::words(&*panic)),
            Err(_) => "the runtime is shutting down".to_owned(),
        }
    })
}

/// Runs a load in its turn.
async fn politely<R>(load: impl Future<Output = R>) -> R {
    // It is closed by nobody; and if it were, a load without a turn is the lesser evil.
    let turn = TURNS.acquire().await;
    let mut load = std::pin::pin!(load);
    tokio::select! {
        biased;
        outcome = &mut load => return outcome,
        () = tokio::time::sleep(LONGEST_TURN) => drop(turn),
    }
    load.await
}

//! A file as the service's loop follows it.

use std::{
    borrow::Cow,
    path::PathBuf,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, SystemTime},
};

use tokio::time::{Sleep, sleep};

use super::{
    FileSettings,
    error::FileError,
    load::Load,
    look::{Attempt, Looker},
    slot::Slot,
    watcher::Follower,
};
use crate::{
    error::{ReloadResult, ReloaderError},
    follow::{Follow, Hint, Look, Mechanism, Patience},
    options::ReloaderOptions,
    panic::drop_guarded,
};

/// Longer than any load of a file but a hung one.
const LOAD_TIMEOUT: Duration = Duration::from_secs(10);

/// A look that has to wait.
type Looking<V> = Pin<Box<dyn Future<Output = Result<Look<V>, FileError>> + Send>>;

/// Follows one file, and whatever belongs to it.
pub(super) struct FileFollow<L, V> {
    name: Arc<str>,
    follower: Arc<Follower>,
    /// Lent to a look that has to wait.
    looker: Slot<Looker<L>>,
    look: Option<Looking<V>>,
    /// There while nothing is heard.
    lull: Option<Pin<Box<Sleep>>>,
}

impl<L, V> FileFollow<L, V> {
    /// Follows the file at `path` under the watcher of the process.
    pub(super) fn new(
        path: PathBuf,
        loader: L,
        settings: FileSettings,
        options: &ReloaderOptions,
    ) -> Self {
        let name = path.display().to_string().into();
        let follower = Arc::default();
        let looker = Looker::watched(path, &follower, loader, settings, options);
        Self { name, follower, looker: Slot::new(looker), look: None, lull: None }
    }
}

impl<L, V> FileFollow<L, V>
where
    L: Load<V> + 'static,
    V: Eq + Send + 'static,
{
    /// Begins a look, unless one is under way: what needs no wait is done where the looker is.
    fn look_at_once(&mut self, patience: Patience) -> Option<Result<Look<V>, FileError>> {
        let looker = self.looker.get_mut()?;
        let mut attempt = looker.begin(patience);
        let outcome = looker.look_at_once(&mut attempt);
        if outcome.is_none() {
            self.go_on_with(attempt);
        }
        outcome
    }

    /// Has a look go on that has to wait.
    fn go_on_with(&mut self, attempt: Attempt) {
        self.look = self.looker.lend().map(|mut looker| -> Looking<V> {
            Box::pin(async move { looker.look(attempt).await })
        });
    }

    fn poll_long_look(&mut self, cx: &mut Context<'_>) -> Poll<Result<Look<V>, FileError>> {
        let Some(look) = &mut self.look else {
            unreachable!("only a look that is under way has the looker");
        };
        let looked = ready!(look.as_mut().poll(cx));
        // It has ended, and given the looker back.
        self.end_long_look();
        Poll::Ready(looked)
    }

    /// Hears nothing for a while, should that have become too much.
    fn take_a_lull(&mut self) {
        let lull = self.looker.get_mut().and_then(Looker::lull);
        self.lull = lull.map(|lull| Box::pin(sleep(lull)));
    }

    fn end_long_look(&mut self) {
        // It has the looker until it is dropped.
        drop_guarded(self.look.take());
        self.looker.take_back();
    }
}

impl<L, V> Follow<V, String> for FileFollow<L, V>
where
    L: Load<V> + 'static,
    V: Eq + Send + 'static,
{
    fn poll_hint(&mut self, cx: &mut Context<'_>) -> Poll<Hint> {
        if let Some(looker) = self.looker.get_mut() {
            looker.follow_up();
        }
        if let Some(lull) = &mut self.lull {
            ready!(lull.as_mut().poll(cx));
            self.lull = None;
        }
        self.follower.bell.poll(cx).map(|hint| {
            // Files that belong together are given the time to arrive together. A look that is due
            // finds out by itself how long they need.
            match self.looker.get().map(Looker::follows_a_set) {
                Some(true) if hint == Hint::Finished => Hint::Touched,
                _ => hint,
            }
        })
    }

    fn poll_look(
        &mut self,
        cx: &mut Context<'_>,
        patience: Patience,
    ) -> Poll<ReloadResult<Look<V>, V, String>> {
        let looked = match self.look_at_once(patience) {
            Some(looked) => looked,
            None => ready!(self.poll_long_look(cx)),
        };
        if let Some(looker) = self.looker.get_mut() {
            match looked {
                Ok(Look::Value(_) | Look::Unchanged) => looker.end(),
                Ok(Look::Unsettled(_)) => {}
                Err(_) => looker.end_in_vain(),
            }
        }
        self.take_a_lull();
        Poll::Ready(looked.map_err(FileError::into))
    }

    fn abandon_look(&mut self) {
        self.end_long_look();
        if let Some(looker) = self.looker.get_mut() {
            looker.end_in_vain();
        }
        self.take_a_lull();
    }

    fn must_load(&mut self) {
        self.follower.bell.must_load();
    }

    fn look_again_after(&self) -> Option<Duration> {
        self.looker.get()?.look_again_after()
    }

    fn name(&self) -> Option<Arc<str>> {
        Some(Arc::clone(&self.name))
    }

    fn mechanism(&self) -> Mechanism {
        let Some(looker) = self.looker.get() else {
            return Mechanism::Degraded(Cow::Borrowed("the last look was given up on"));
        };
        looker.mechanism()
    }

    fn edited(&self) -> Option<SystemTime> {
        self.looker.get()?.edited()
    }

    fn load_timeout(&self) -> Duration {
        LOAD_TIMEOUT
    }
}

impl<V: Eq> From<FileError> for ReloaderError<V, String> {
    /// A loader's own words are passed on as such, anything else as it is.
    fn from(error: FileError) -> Self {
        if error.is_refused() {
            ReloaderError::Reload(error.to_string())
        } else {
            ReloaderError::Other(error.into())
        }
    }
}

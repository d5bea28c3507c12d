//! What a layer is from, whichever it is.

use std::{
    borrow::Cow,
    fmt::Display,
    marker::PhantomData,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, SystemTime},
};

use hot_reload::{
    BoxFollow, Follow, Hint, Look, Mechanism, Patience, RealtimeWatch, ReloadResult, ReloaderError,
    ReloaderOptions, followed,
};

use super::tree::Tree;

/// The future of one load.
pub(super) type Loading<'a> =
    Pin<Box<dyn Future<Output = ReloadResult<Option<Tree>, Tree, String>> + Send + 'a>>;

/// Gives a tree, whenever it is asked to.
pub(super) trait Source: Send + Sync {
    fn load(&self) -> Loading<'_>;

    fn follow(&self, options: &ReloaderOptions) -> BoxFollow<'_, Tree, String>;
}

/// Makes a tree of a value.
pub(super) type Make<V> = fn(&str, V) -> anyhow::Result<Tree>;

/// A source that is followed in its own way.
pub(super) struct Watched<T, V, S> {
    source: T,
    name: Arc<str>,
    make: Make<V>,
    _error: PhantomData<fn() -> S>,
}

impl<T, V, S> Watched<T, V, S> {
    pub(super) fn new(source: T, name: Arc<str>, make: Make<V>) -> Self {
        Self { source, name, make, _error: PhantomData }
    }
}

impl<T, V, S> Source for Watched<T, V, S>
where
    T: RealtimeWatch<V, S> + Send + Sync,
    V: Eq + Send + 'static,
    S: Into<Cow<'static, str>> + Display + Send + 'static,
{
    fn load(&self) -> Loading<'_> {
        Box::pin(async move {
            let loaded = self.source.reload().await.map_err(retold)?;
            Ok(loaded.map(|value| (self.make)(&self.name, value)).transpose()?)
        })
    }

    fn follow(&self, options: &ReloaderOptions) -> BoxFollow<'_, Tree, String> {
        let follow = followed(&self.source, options);
        Box::new(Made { follow, name: &self.name, make: self.make })
    }
}

/// A followed source, made into trees.
struct Made<'a, V, S> {
    follow: BoxFollow<'a, V, S>,
    name: &'a str,
    make: Make<V>,
}

impl<V, S: Display> Follow<Tree, String> for Made<'_, V, S> {
    fn poll_hint(&mut self, cx: &mut Context<'_>) -> Poll<Hint> {
        self.follow.poll_hint(cx)
    }

    fn poll_look(
        &mut self,
        cx: &mut Context<'_>,
        patience: Patience,
    ) -> Poll<ReloadResult<Look<Tree>, Tree, String>> {
        Poll::Ready(match ready!(self.follow.poll_look(cx, patience)).map_err(retold)? {
            Look::Value(value) => match (self.make)(self.name, value) {
                Ok(tree) => Ok(Look::Value(tree)),
                Err(error) => {
                    // To the source it was a good one, which it gives once.
                    self.follow.was_refused();
                    Err(error.into())
                }
            },
            Look::Unchanged => Ok(Look::Unchanged),
            Look::Unsettled(wait) => Ok(Look::Unsettled(wait)),
        })
    }

    fn abandon_look(&mut self) {
        self.follow.abandon_look();
    }

    fn must_load(&mut self) {
        self.follow.must_load();
    }

    fn was_refused(&mut self) {
        self.follow.was_refused();
    }

    fn look_again_after(&self) -> Option<Duration> {
        self.follow.look_again_after()
    }

    fn pause(&mut self) -> Option<Duration> {
        self.follow.pause()
    }

    fn shortfall(&mut self) -> Option<ReloaderError<Tree, String>> {
        self.follow.shortfall().map(retold)
    }

    fn is_partial(&self) -> bool {
        self.follow.is_partial()
    }

    fn mechanism(&self) -> Mechanism {
        self.follow.mechanism()
    }

    fn edited(&self) -> Option<SystemTime> {
        self.follow.edited()
    }

    fn load_timeout(&self) -> Duration {
        self.follow.load_timeout()
    }
}

/// The same error of a tree.
fn retold<V, S: Display>(error: ReloaderError<V, S>) -> ReloaderError<Tree, String> {
    match error {
        ReloaderError::Other(error) => ReloaderError::Other(error),
        ReloaderError::Reload(words) => ReloaderError::Reload(words.to_string()),
        other => ReloaderError::Other(anyhow::anyhow!("{other}")),
    }
}

/// What is at hand, and read at each look.
pub(super) struct AtHand<F>(pub(super) F);

impl<F> Source for AtHand<F>
where
    F: Fn() -> anyhow::Result<Tree> + Send + Sync,
{
    fn load(&self) -> Loading<'_> {
        Box::pin(async move { Ok(Some((self.0)()?)) })
    }

    fn follow(&self, options: &ReloaderOptions) -> BoxFollow<'_, Tree, String> {
        let (poll_interval, ..) = options.pace();
        Box::new(Read { read: &self.0, poll_interval })
    }
}

struct Read<'a, F> {
    read: &'a F,
    poll_interval: Option<Duration>,
}

impl<F: Fn() -> anyhow::Result<Tree>> Follow<Tree, String> for Read<'_, F> {
    fn poll_hint(&mut self, _cx: &mut Context<'_>) -> Poll<Hint> {
        Poll::Pending
    }

    fn poll_look(
        &mut self,
        _cx: &mut Context<'_>,
        _patience: Patience,
    ) -> Poll<ReloadResult<Look<Tree>, Tree, String>> {
        Poll::Ready((self.read)().map(Look::Value).map_err(Into::into))
    }

    fn abandon_look(&mut self) {}

    fn look_again_after(&self) -> Option<Duration> {
        self.poll_interval
    }

    fn mechanism(&self) -> Mechanism {
        Mechanism::Polling
    }
}

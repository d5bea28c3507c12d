//! A source that does as it is told, for tests of services.

use std::{
    collections::VecDeque,
    fmt::Display,
    sync::{Arc, Mutex},
};

use anyhow::anyhow;
use async_trait::async_trait;
use tokio::sync::{mpsc, watch};

use crate::{
    error::ReloadResult,
    lock::lock,
    reload::{RealtimeWatch, RealtimeWatchHandle, Reload, WatchEvent},
};

/// Room for more events than a test pushes before any is taken.
const EVENTS: usize = 4096;

/// A source for tests of a *service*, and of what is built on one: each load answers what its
/// [`Script`] says, and events are what it pushes.
///
/// There is no server and no clock in it, so with tokio's paused clock a test of an hour takes no time.
///
/// # Examples
///
/// An outage of a day, in no time. In a test, `#[tokio::test(start_paused = true)]` stands for the first
/// three lines.
///
/// ```
/// use std::time::Duration;
/// use hot_reload::{Health, ReloaderOptions, ReloaderService, testing::{Answer, Scripted}};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let runtime = tokio::runtime::Builder::new_current_thread();
/// # let mut runtime = runtime;
/// let runtime = runtime.enable_all().start_paused(true).build()?;
/// runtime.block_on(async {
///     let (source, script) = Scripted::new(Answer::Value(1));
///     let options = ReloaderOptions::realtime().max_staleness(Duration::from_secs(3600));
///     let (service, mut values) = ReloaderService::from_reloader(source, options);
///     tokio::spawn(async move { service.start_with_realtime().await });
///     values.changed().await?;
///     assert_eq!(values.get(), Some(1));
///
///     script.push(2);
///     values.changed().await?;
///     assert_eq!(values.get(), Some(2));
///
///     // The watch ends, and every load hangs.
///     script.answer(Answer::Hang);
///     script.end_watch();
///     values.watch_status().wait_for(|now| now.health == Health::Stale).await?;
///     tokio::time::sleep(Duration::from_secs(24 * 3600)).await;
///     assert_eq!(values.get(), Some(2));
///
///     script.answer(Answer::Value(3));
///     values.changed().await?;
///     assert_eq!(values.get(), Some(3));
/// #   Ok::<_, Box<dyn std::error::Error>>(())
/// })
/// # }
/// ```
#[derive(Debug)]
pub struct Scripted<V>(Arc<Shared<V>>);

/// Tells a [`Scripted`] source what to do, while a service follows it.
#[derive(Debug)]
pub struct Script<V>(Arc<Shared<V>>);

/// What a load comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer<V> {
    /// This value.
    Value(V),
    /// There is nothing to publish.
    Nothing,
    /// An error that says this.
    Error(String),
    /// It never ends by itself.
    Hang,
    /// It panics with this.
    Panic(String),
}

#[derive(Debug)]
struct Shared<V> {
    state: Mutex<State<V>>,
    /// How often it was loaded, and watched.
    counts: watch::Sender<(u64, u64)>,
}

#[derive(Debug)]
struct State<V> {
    /// What the next loads answer, one each.
    next: VecDeque<Answer<V>>,
    /// What all later ones do.
    standing: Answer<V>,
    /// Why it can't be watched.
    unwatchable: Option<String>,
    watchers: Vec<mpsc::Sender<WatchEvent<V>>>,
}

impl<V> Scripted<V> {
    /// Creates a source whose loads answer `standing`, and what changes that.
    pub fn new(standing: Answer<V>) -> (Self, Script<V>) {
        let (next, watchers) = (VecDeque::new(), Vec::new());
        let state = Mutex::new(State { next, standing, unwatchable: None, watchers });
        let shared = Arc::new(Shared { state, counts: watch::Sender::new((0, 0)) });
        (Self(Arc::clone(&shared)), Script(shared))
    }
}

impl<V: Clone> Script<V> {
    /// Has every load from now on answer this, as soon as there is [nothing before](Self::answer_once).
    pub fn answer(&self, standing: Answer<V>) {
        lock(&self.0.state).standing = standing;
    }

    /// Has one load answer this: the next, or the first behind those that were told before.
    pub fn answer_once(&self, answer: Answer<V>) {
        lock(&self.0.state).next.push_back(answer);
    }

    /// Has the source hold `value`, and tell who watches.
    pub fn push(&self, value: V) {
        self.answer(Answer::Value(value.clone()));
        self.tell(&WatchEvent::Changed(value));
    }

    /// Sends who watches an event, whatever loads answer.
    ///
    /// # Panics
    ///
    /// When thousands of events wait to be taken.
    pub fn tell(&self, event: &WatchEvent<V>) {
        let mut state = lock(&self.0.state);
        // Whoever has gone hears nothing.
        state.watchers.retain(|watcher| !watcher.is_closed());
        for watcher in &state.watchers {
            let is_full = watcher.capacity() == 0;
            assert!(!is_full, "there are {EVENTS} events that nobody has taken");
            // It may have gone just now.
            drop(watcher.try_send(event.clone()));
        }
    }

    /// Ends every watch; a service watches again.
    pub fn end_watch(&self) {
        lock(&self.0.state).watchers.clear();
    }

    /// Has attempts to watch fail for this reason from now on, and ends every watch.
    pub fn refuse_watch(&self, reason: impl Display) {
        let mut state = lock(&self.0.state);
        state.unwatchable = Some(reason.to_string());
        state.watchers.clear();
    }

    /// Lets it be watched again.
    pub fn allow_watch(&self) {
        lock(&self.0.state).unwatchable = None;
    }

    /// Returns how often it was loaded.
    pub fn loads(&self) -> u64 {
        self.0.counts.borrow().0
    }

    /// Returns how often somebody has tried to watch it.
    pub fn watches(&self) -> u64 {
        self.0.counts.borrow().1
    }

    /// Waits until it was loaded this often.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub async fn was_loaded(&self, times: u64) {
        let mut counts = self.0.counts.subscribe();
        // The sender lives in `self`.
        drop(counts.wait_for(|(loads, _)| *loads >= times).await);
    }
}

impl<V> Clone for Scripted<V> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<V> Clone for Script<V> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

#[async_trait]
impl<V> Reload<V, String> for Scripted<V>
where
    V: Eq + Clone + Send + Sync + 'static,
{
    type Source = Self;

    async fn new(source: &Self) -> ReloadResult<Self, V, String> {
        Ok(source.clone())
    }

    async fn reload(&self) -> ReloadResult<Option<V>, V, String> {
        let answer = {
            let mut state = lock(&self.0.state);
            state.next.pop_front().unwrap_or_else(|| state.standing.clone())
        };
        self.0.counts.send_modify(|(loads, _)| *loads += 1);
        match answer {
            Answer::Value(value) => Ok(Some(value)),
            Answer::Nothing => Ok(None),
            Answer::Error(words) => Err(anyhow!(words).into()),
            Answer::Hang => std::future::pending().await,
            Answer::Panic(words) => panic!("{words}"),
        }
    }
}

#[async_trait]
impl<V> RealtimeWatch<V, String> for Scripted<V>
where
    V: Eq + Clone + Send + Sync + 'static,
{
    async fn watch_realtime(&self) -> ReloadResult<RealtimeWatchHandle<V>, V, String> {
        self.0.counts.send_modify(|(_, watches)| *watches += 1);
        let mut state = lock(&self.0.state);
        if let Some(reason) = &state.unwatchable {
            return Err(anyhow!(reason.clone()).into());
        }
        let (tx, rx) = mpsc::channel(EVENTS);
        state.watchers.push(tx);
        Ok(RealtimeWatchHandle::new(rx))
    }
}

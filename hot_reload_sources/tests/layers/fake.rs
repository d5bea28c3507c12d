//! A store in this process, through the traits that any store implements.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use futures_util::stream;
use hot_reload_sources::{Changes, Connection, Entry, Store, StoreError};
use tokio::sync::watch;

#[derive(Clone)]
pub(crate) struct Fake {
    state: Arc<watch::Sender<State>>,
    connections: Arc<AtomicUsize>,
}

#[derive(Clone)]
enum State {
    Holds(Option<String>),
    /// What holds keys is not there.
    Lost,
    /// Nobody listens there.
    Refuses,
    /// Somebody does, and never answers.
    Silent,
}

impl Fake {
    pub(crate) fn new(text: &str) -> Self {
        let state = watch::Sender::new(State::Holds(Some(text.to_owned())));
        Self { state: Arc::new(state), connections: Arc::default() }
    }

    pub(crate) fn put(&self, text: &str) {
        self.state.send_replace(State::Holds(Some(text.to_owned())));
    }

    pub(crate) fn delete(&self) {
        self.state.send_replace(State::Holds(None));
    }

    pub(crate) fn lose_bucket(&self) {
        self.state.send_replace(State::Lost);
    }

    pub(crate) fn refuse(&self) {
        self.state.send_replace(State::Refuses);
    }

    pub(crate) fn fall_silent(&self) {
        self.state.send_replace(State::Silent);
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

struct Open {
    fake: Fake,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.fake.connections.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn entry(state: State) -> Result<Entry, StoreError> {
    match state {
        State::Holds(Some(text)) => Ok(Entry::one(text)),
        State::Holds(None) => Ok(Entry::gone()),
        State::Lost => Err(StoreError::missing("no such bucket")),
        State::Refuses => Err(StoreError::unreachable("nobody listens")),
        State::Silent => std::future::pending().await,
    }
}

#[async_trait]
impl Store for Fake {
    fn name(&self) -> String {
        "fake://host/key".to_owned()
    }

    async fn connect(&self) -> Result<Box<dyn Connection>, StoreError> {
        let state = self.state.borrow().clone();
        entry(state).await?;
        self.connections.fetch_add(1, Ordering::SeqCst);
        Ok(Box::new(Open { fake: self.clone() }))
    }
}

#[async_trait]
impl Connection for Open {
    async fn read(&mut self) -> Result<Entry, StoreError> {
        let state = self.fake.state.borrow().clone();
        entry(state).await
    }

    async fn watch(&mut self) -> Result<Option<Changes>, StoreError> {
        let mut states = self.fake.state.subscribe();
        states.mark_changed();
        Ok(Some(Box::pin(stream::unfold(states, async |mut states| {
            states.changed().await.ok()?;
            let state = states.borrow_and_update().clone();
            // A connection that is silent is found by its store.
            let entry = match state {
                State::Silent => Err(StoreError::unreachable("silent for too long")),
                state => entry(state).await,
            };
            Some((entry, states))
        }))))
    }
}

//! A store in memory that does whatever a test wants.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use hot_reload_sources::{Changes, Connection, Entry, Revision, Store, StoreError};
use tokio::{
    sync::{mpsc, watch},
    time::sleep,
};

/// The store, and at once what a test does with it.
#[derive(Clone)]
pub struct Fake(Arc<Server>);

struct Server {
    entry: Mutex<Entry>,
    watches: Mutex<Vec<mpsc::UnboundedSender<Result<Entry, StoreError>>>>,
    /// What the next attempts to connect come to; once empty, they succeed.
    attempts: Mutex<VecDeque<Attempt>>,
    channel: Mutex<Channel>,
    answers: Mutex<Answers>,
    /// Whether an answer is on its way, but not here yet.
    held: watch::Sender<bool>,
    connects: AtomicUsize,
    reads: AtomicUsize,
    watched: AtomicUsize,
    open: AtomicUsize,
}

#[derive(Debug, Clone, Copy)]
pub enum Channel {
    Pushes,
    None,
    Refused,
    /// It can't be had, though reads can.
    Fails(fn() -> StoreError),
    Hangs,
    /// It is had, and its first word is an error.
    Disappoints(fn() -> StoreError),
}

/// What reads come to.
#[derive(Debug, Clone, Copy)]
pub enum Answers {
    Come,
    /// After as long.
    Take(Duration),
    Fail(fn() -> StoreError),
    Panic,
}

pub enum Attempt {
    Fails(fn() -> StoreError),
    Hangs,
    Panics,
}

pub fn one(text: &str, revision: u64) -> Entry {
    Entry::one(text.to_owned()).at(Revision::new("fake", revision))
}

impl Fake {
    pub fn new(entry: Entry) -> Self {
        Self(Arc::new(Server {
            entry: Mutex::new(entry),
            watches: Mutex::default(),
            attempts: Mutex::default(),
            channel: Mutex::new(Channel::Pushes),
            answers: Mutex::new(Answers::Come),
            held: watch::Sender::new(false),
            connects: AtomicUsize::new(0),
            reads: AtomicUsize::new(0),
            watched: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
        }))
    }

    /// Changes what it holds, and tells it.
    pub fn put(&self, entry: Entry) {
        self.push(&entry);
        self.put_silently(entry);
    }

    /// Changes what it holds, and tells nobody.
    pub fn put_silently(&self, entry: Entry) {
        *self.0.entry.lock().unwrap() = entry;
    }

    /// Tells of an entry, whatever it holds.
    pub fn push(&self, entry: &Entry) {
        self.0.watches.lock().unwrap().retain(|watch| watch.send(Ok(entry.clone())).is_ok());
    }

    /// Ends every watch.
    pub fn cut(&self) {
        self.0.watches.lock().unwrap().clear();
    }

    /// Ends every watch by an error.
    pub fn end(&self, error: fn() -> StoreError) {
        for watch in self.0.watches.lock().unwrap().drain(..) {
            // Who follows it may have gone.
            drop(watch.send(Err(error())));
        }
    }

    pub fn next_attempts(&self, attempts: impl IntoIterator<Item = Attempt>) {
        self.0.attempts.lock().unwrap().extend(attempts);
    }

    pub fn forget_attempts(&self) {
        self.0.attempts.lock().unwrap().clear();
    }

    pub fn channel(&self, channel: Channel) {
        *self.0.channel.lock().unwrap() = channel;
    }

    pub fn answers(&self, answers: Answers) {
        *self.0.answers.lock().unwrap() = answers;
    }

    /// Has answers to reads wait on their way, or arrive.
    pub fn hold(&self, hold: bool) {
        self.0.held.send_replace(hold);
    }

    pub fn connects(&self) -> usize {
        self.0.connects.load(SeqCst)
    }

    pub fn reads(&self) -> usize {
        self.0.reads.load(SeqCst)
    }

    /// How often it was asked for a watch.
    pub fn watched(&self) -> usize {
        self.0.watched.load(SeqCst)
    }

    /// How many connections there are now, watches included.
    pub fn open(&self) -> usize {
        self.0.open.load(SeqCst)
    }
}

#[async_trait]
impl Store for Fake {
    fn name(&self) -> String {
        "fake://store/key".into()
    }

    async fn connect(&self) -> Result<Box<dyn Connection>, StoreError> {
        self.0.connects.fetch_add(1, SeqCst);
        let attempt = self.0.attempts.lock().unwrap().pop_front();
        match attempt {
            Some(Attempt::Fails(error)) => Err(error()),
            Some(Attempt::Hangs) => std::future::pending().await,
            Some(Attempt::Panics) => panic!("a client that panics"),
            None => Ok(Box::new(Connected(Open::new(&self.0)))),
        }
    }
}

/// Counted while it lives.
struct Open(Arc<Server>);

impl Open {
    fn new(server: &Arc<Server>) -> Self {
        server.open.fetch_add(1, SeqCst);
        Self(Arc::clone(server))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, SeqCst);
    }
}

struct Connected(Open);

#[async_trait]
impl Connection for Connected {
    async fn read(&mut self) -> Result<Entry, StoreError> {
        let server = &self.0.0;
        server.reads.fetch_add(1, SeqCst);
        let answers = *server.answers.lock().unwrap();
        match answers {
            Answers::Come => {}
            Answers::Take(time) => sleep(time).await,
            Answers::Fail(error) => return Err(error()),
            Answers::Panic => panic!("a client that panics"),
        }
        // What it answers is what it held when it was asked.
        let entry = server.entry.lock().unwrap().clone();
        server.held.subscribe().wait_for(|held| !held).await.unwrap();
        Ok(entry)
    }

    async fn watch(&mut self) -> Result<Option<Changes>, StoreError> {
        let server = &self.0.0;
        server.watched.fetch_add(1, SeqCst);
        let channel = *server.channel.lock().unwrap();
        match channel {
            Channel::None => return Ok(None),
            Channel::Refused => return Err(StoreError::refused("no right to watch; grant it")),
            Channel::Fails(error) => return Err(error()),
            Channel::Hangs => std::future::pending().await,
            Channel::Disappoints(error) => {
                return Ok(Some(stream::once(async move { Err(error()) }).boxed()));
            }
            Channel::Pushes => {}
        }
        let (tx, rx) = mpsc::unbounded_channel();
        let first = server.entry.lock().unwrap().clone();
        tx.send(Ok(first)).unwrap();
        server.watches.lock().unwrap().push(tx);
        let open = Open::new(server);
        let changes = stream::unfold((rx, open), |(mut rx, open)| async {
            Some((rx.recv().await?, (rx, open)))
        });
        Ok(Some(changes.boxed()))
    }
}

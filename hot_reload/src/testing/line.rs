//! A server that holds one text, and its client; what the suite is tested by, and its [guide](super::guide)
//! written with.
//!
//! It speaks by lines. The server greets by its name and until when that is proven; a client sends its token,
//! and then `GET` as often as it wants to, or `WATCH` once.

use std::{
    io, mem,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::{Context, bail};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::address::{address, bind_again};
use crate::lock::lock;

/// How long a server that is well may be silent.
pub const DEADLINE: Duration = Duration::from_secs(1);
/// What lets a client in.
pub const TOKEN: &str = "open-sesame";
/// What a server says that is well: its name, and until when that is proven.
pub const GREETING: &str = "localhost until 2999";
/// How often one who watches hears of the server.
const HEARTBEAT: Duration = Duration::from_millis(200);

/// One that runs, or not, and holds what it holds either way.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    state: Arc<State>,
    running: Mutex<JoinSet<()>>,
}

#[derive(Debug)]
struct State {
    greeting: &'static str,
    /// Its revision, and what it is.
    held: watch::Sender<(u64, Option<String>)>,
    is_throttled: AtomicBool,
    /// Whether nobody may watch.
    is_channel_broken: watch::Sender<bool>,
    requests: AtomicU64,
}

impl Server {
    /// Starts one with nothing in it, which greets as it is told.
    pub async fn start(greeting: &'static str) -> Self {
        let server = Self {
            address: address(),
            state: Arc::new(State {
                greeting,
                held: watch::Sender::new((0, None)),
                is_throttled: AtomicBool::new(false),
                is_channel_broken: watch::Sender::new(false),
                requests: AtomicU64::new(0),
            }),
            running: Mutex::default(),
        };
        server.restart().await;
        server
    }

    /// Returns where it listens; always the same.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Has it hold `text`, or nothing, as a new revision.
    pub fn put(&self, text: Option<&str>) {
        self.state.held.send_modify(|(revision, held)| {
            *revision += 1;
            *held = text.map(str::to_owned);
        });
    }

    /// Has it hold nothing, and forget all revisions.
    pub fn lose_everything(&self) {
        self.state.held.send_replace((0, None));
    }

    /// Ends it with all its connections.
    pub async fn kill(&self) {
        let mut running = mem::take(&mut *lock(&self.running));
        running.shutdown().await;
    }

    /// Starts it again, with what it holds.
    pub async fn restart(&self) {
        let listener = bind_again(self.address).await;
        lock(&self.running).spawn(accept(listener, Arc::clone(&self.state)));
    }

    /// Has it answer that it has too much to do, from now on or no more.
    pub fn throttle(&self, is_throttled: bool) {
        // Nothing else is read by it.
        self.state.is_throttled.store(is_throttled, Relaxed);
    }

    /// Has it close the connections of those who watch or begin to, from now on or no more.
    pub fn break_channel(&self, is_broken: bool) {
        self.state.is_channel_broken.send_replace(is_broken);
    }

    /// Returns how often it was asked.
    pub fn requests(&self) -> u64 {
        // A count, by which nothing else is read.
        self.state.requests.load(Relaxed)
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Ok((stream, _)) = listener.accept() => {
                let state = Arc::clone(&state);
                // How it ends is for the client to see.
                connections.spawn(async move { drop(serve(stream, &state).await) });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(mut stream: TcpStream, state: &State) -> io::Result<()> {
    let (read, mut write) = stream.split();
    let mut lines = BufReader::new(read).lines();
    let mut say = async |line: &str| write.write_all(format!("{line}\n").as_bytes()).await;
    say(state.greeting).await?;
    let token = lines.next_line().await?;
    let mut held = state.held.subscribe();
    while let Some(command) = lines.next_line().await? {
        // A count, by which nothing else is read.
        state.requests.fetch_add(1, Relaxed);
        if token.as_deref() != Some(TOKEN) {
            return say("denied").await;
        }
        // Nothing else is read by it.
        if state.is_throttled.load(Relaxed) {
            return say("busy").await;
        }
        if command == "WATCH" && *state.is_channel_broken.borrow() {
            return Ok(());
        }
        say(&told(&mut held)).await?;
        if command == "WATCH" {
            let mut channel = state.is_channel_broken.subscribe();
            loop {
                tokio::select! {
                    biased;
                    () = is_broken(&mut channel) => return Ok(()),
                    _ = held.changed() => say(&told(&mut held)).await?,
                    () = sleep(HEARTBEAT) => say("alive").await?,
                    // Whatever it is, the client has nothing more to say.
                    _ = lines.next_line() => return Ok(()),
                }
            }
        }
    }
    Ok(())
}

async fn is_broken(channel: &mut watch::Receiver<bool>) {
    // The sender is the server's, and outlives it.
    drop(channel.wait_for(|is_broken| *is_broken).await);
}

fn told(held: &mut watch::Receiver<(u64, Option<String>)>) -> String {
    match &*held.borrow_and_update() {
        (revision, Some(text)) => format!("{revision} is {text}"),
        (revision, None) => format!("{revision} gone"),
    }
}

/// Returns the revision of what the server holds, and what that is.
///
/// # Errors
///
/// When there is no such server, when it is silent for [`DEADLINE`], and when it holds nothing.
///
/// # Cancel safety
///
/// Nothing is lost.
pub async fn get(server: SocketAddr) -> anyhow::Result<(u64, String)> {
    held(&next(&mut ask(server, "GET").await?).await?)
}

/// Watches what the server holds; returns once it is watched.
///
/// # Errors
///
/// As [`get`], save that it may hold nothing.
///
/// # Cancel safety
///
/// Nothing is lost.
pub async fn watch(server: SocketAddr) -> anyhow::Result<Watch> {
    let mut told = ask(server, "WATCH").await?;
    // What is there already is for whoever gets it.
    next(&mut told).await?;
    Ok(Watch(told))
}

/// Tells of each change.
#[derive(Debug)]
pub struct Watch(Told);

impl Watch {
    /// Returns the next change: its revision, and what the server holds since then.
    ///
    /// # Errors
    ///
    /// As [`get`]; where it is that the server holds nothing, the next may be had.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn next(&mut self) -> anyhow::Result<(u64, String)> {
        held(&next(&mut self.0).await?)
    }
}

type Told = Lines<BufReader<TcpStream>>;

async fn ask(server: SocketAddr, command: &str) -> anyhow::Result<Told> {
    let stream = timeout(DEADLINE, TcpStream::connect(server)).await.context("no answer")??;
    let mut told = BufReader::new(stream).lines();
    next(&mut told).await?;
    told.get_mut().write_all(format!("{TOKEN}\n{command}\n").as_bytes()).await?;
    Ok(told)
}

async fn next(told: &mut Told) -> anyhow::Result<String> {
    loop {
        let line = timeout(DEADLINE, told.next_line()).await.context("no answer")??;
        let line = line.context("the server has closed the connection")?;
        // Otherwise it only says that it is there.
        if line != "alive" {
            return Ok(line);
        }
    }
}

fn held(line: &str) -> anyhow::Result<(u64, String)> {
    let (revision, held) = line.split_once(' ').with_context(|| format!("the server is {line}"))?;
    let Some(text) = held.strip_prefix("is ") else { bail!("there is no value; put one") };
    Ok((revision.parse()?, text.to_owned()))
}

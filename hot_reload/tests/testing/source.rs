//! A source of what such a server holds, written by hand.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use async_trait::async_trait;
use hot_reload::{
    RealtimeWatch, RealtimeWatchHandle, Reload, ReloadResult, WatchEvent, testing::Sample,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    net::TcpStream,
    sync::mpsc,
    task::JoinSet,
    time::timeout,
};

use super::server::GREETING;

pub(crate) const DEADLINE: Duration = Duration::from_secs(1);

#[derive(Clone)]
pub(crate) struct Source {
    pub(crate) address: SocketAddr,
    pub(crate) token: &'static str,
    newest: Arc<Mutex<Newest>>,
}

/// What keeps loads and events in order.
#[derive(Default)]
struct Newest {
    revision: u64,
    events: Option<mpsc::Sender<WatchEvent<Sample>>>,
}

type Answers = Lines<BufReader<TcpStream>>;

impl Source {
    pub(crate) fn new(address: SocketAddr, token: &'static str) -> Self {
        Self { address, token, newest: Arc::default() }
    }

    async fn ask(&self, command: &str) -> anyhow::Result<Answers> {
        let stream = timeout(DEADLINE, TcpStream::connect(self.address)).await??;
        let mut answers = BufReader::new(stream).lines();
        let greeting = next(&mut answers).await?;
        let (name, until) = greeting.split_once(" until ").context("an odd greeting")?;
        let (wanted, _) = GREETING.split_once(" until ").unwrap();
        ensure!(name == wanted, "the server is not what its name says; check the address");
        ensure!(until > "2020", "the server's proof has expired; renew it");
        let lines = format!("{}\n{command}\n", self.token);
        answers.get_mut().write_all(lines.as_bytes()).await?;
        Ok(answers)
    }
}

async fn next(answers: &mut Answers) -> anyhow::Result<String> {
    loop {
        let line = timeout(DEADLINE, answers.next_line()).await.context("no answer")??;
        match line.context("the server has closed the connection")?.as_str() {
            "denied" => bail!("the token was denied; give another"),
            "busy" => bail!("the server has too much to do"),
            "alive" => {}
            line => return Ok(line.to_owned()),
        }
    }
}

/// Which revision it is, and what that holds.
fn parse(line: &str) -> anyhow::Result<(u64, anyhow::Result<Sample>)> {
    let (revision, held) = line.split_once(' ').context("an odd line")?;
    let sample = match held.strip_prefix("is ") {
        Some(text) => toml::from_str(text).context("the value is no good"),
        None => Err(anyhow::anyhow!("there is no value; put one")),
    };
    Ok((revision.parse()?, sample))
}

#[async_trait]
impl Reload<Sample, String> for Source {
    type Source = Source;

    async fn new(source: &Source) -> ReloadResult<Self, Sample, String> {
        Ok(source.clone())
    }

    async fn reload(&self) -> ReloadResult<Option<Sample>, Sample, String> {
        let line = next(&mut self.ask("GET").await?).await?;
        let (revision, sample) = parse(&line)?;
        let mut newest = self.newest.lock().unwrap();
        let is_waiting = |tx: &mpsc::Sender<_>| tx.capacity() < tx.max_capacity();
        if newest.events.as_ref().is_some_and(is_waiting) {
            // What is older may be among what waits, and is to be taken before.
            return Ok(None);
        }
        newest.revision = revision;
        Ok(Some(sample?))
    }
}

#[async_trait]
impl RealtimeWatch<Sample, String> for Source {
    async fn watch_realtime(&self) -> ReloadResult<RealtimeWatchHandle<Sample>, Sample, String> {
        let mut answers = self.ask("WATCH").await?;
        // What is there now is going to be loaded.
        next(&mut answers).await?;
        let (tx, rx) = mpsc::channel(1024);
        let newest = Arc::clone(&self.newest);
        newest.lock().unwrap().events = Some(tx.clone());
        let mut following = JoinSet::new();
        following.spawn(async move {
            while let Ok(line) = next(&mut answers).await {
                let Ok((revision, sample)) = parse(&line) else { break };
                let Ok(permit) = tx.reserve().await else { return };
                let mut newest = newest.lock().unwrap();
                if revision > newest.revision {
                    newest.revision = revision;
                    permit.send(match sample {
                        Ok(sample) => WatchEvent::Changed(sample),
                        Err(error) => WatchEvent::Error(format!("{error:#}")),
                    });
                }
            }
            newest.lock().unwrap().events = None;
        });
        Ok(RealtimeWatchHandle::with_cleanup(rx, Box::new(following)))
    }
}

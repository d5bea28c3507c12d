//! A source of what such a server holds, written by hand.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use anyhow::{Context, bail, ensure};
use async_trait::async_trait;
use hot_reload::{
    RealtimeWatch, RealtimeWatchHandle, Reload, ReloadResult, WatchEvent,
    testing::{
        Sample,
        line::{DEADLINE, GREETING},
    },
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    net::TcpStream,
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

#[derive(Clone)]
pub(crate) struct Source {
    pub(crate) address: SocketAddr,
    pub(crate) token: &'static str,
    fault: u8,
    newest: Arc<Mutex<Newest>>,
}

/// What is wrong with a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// Lets events and loads overtake each other, and tells of values twice.
    GoesBack,
    /// Keeps its connection when nobody watches any more.
    Leaks,
    /// Opens a file whenever it watches, and closes none.
    LeaksDescriptors,
    NeverReconnects,
    ReconnectsWithoutNeed,
    /// Believes that an open connection is a good one.
    HasNoDeadline,
    IsDeafAfterABadValue,
    LosesEveryOther,
    /// Takes the first of what comes together, and not the last.
    Debounces,
    /// Has seen a value once it has given it.
    MovesItsCursorFirst,
    TakesNothingForAValue,
    /// Says nothing of a value that is gone.
    SwallowsRemoval,
    TellsItsToken,
    /// As a header has it.
    TellsItsTokenEncoded,
    LogsContent,
    /// Is refused, and tries again at once.
    Spins,
    /// Waits for ten seconds when something has gone wrong.
    Sulks,
    /// Gives up before the answer of a distant server can be there.
    IsImpatient,
    /// Takes each write for a change.
    CountsWrites,
    /// Tries again at every full second.
    RetriesOnTheDot,
    IsVague,
    /// Has the same words for all that may be wrong with a server.
    KnowsOneError,
    /// Tries a hundred times before it says that it can't.
    Hammers,
    /// Talks all the time to the server that it watches.
    Chatters,
    /// Asks so often for one answer that a rule which allows for a few polls hears of it by one.
    AsksTooOften,
    /// Reads a hundred times a second, by a connection that lasts.
    ReadsAllTheTime,
    /// Takes what it polls from the watch as well.
    ReadsByItsChannel,
    /// Takes wrong credentials for a wrong certificate.
    BlamesTheAuthority,
    /// Watches again at once whenever a watch has ended.
    RearmsAtOnce,
    /// Takes a decoder that panics for no news.
    SwallowsPanics,
    /// Tells the last news of a connection that it has lost when it has another.
    TellsOldNews,
    TrustsEveryServer,
}

/// What keeps loads and events in order.
#[derive(Default)]
struct Newest {
    revision: u64,
    has_watched: bool,
    is_deaf: bool,
    told: Option<Instant>,
    last: Option<Sample>,
    reading: JoinSet<()>,
    /// Of the watch there is, which ends with its task, also where that panics.
    events: Option<mpsc::WeakSender<WatchEvent<Sample>>>,
}

type Answers = Lines<BufReader<TcpStream>>;

impl Source {
    pub(crate) fn new(address: SocketAddr, token: &'static str, fault: u8) -> Self {
        Self { address, token, fault, newest: Arc::default() }
    }

    fn has(&self, fault: Fault) -> bool {
        self.fault == fault as u8
    }

    fn deadline(&self) -> Duration {
        match self.fault {
            _ if self.has(Fault::HasNoDeadline) => Duration::from_secs(3600),
            _ if self.has(Fault::IsImpatient) => Duration::from_millis(200),
            _ => DEADLINE,
        }
    }

    /// Asks, and returns the first answer, and where to wait for more.
    async fn ask(&self, command: &str) -> anyhow::Result<(String, Answers)> {
        let mut tries = 0;
        loop {
            tries += 1;
            let asked = self.ask_once(command).await;
            match asked {
                Err(_) if self.has(Fault::Spins) => {}
                Err(_) if self.has(Fault::RetriesOnTheDot) => {
                    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap();
                    sleep(Duration::from_millis(1000 - u64::from(now.subsec_millis()))).await;
                }
                Err(error) if self.has(Fault::Sulks) => {
                    sleep(Duration::from_secs(10)).await;
                    return Err(error);
                }
                Err(error) if self.has(Fault::TellsItsToken) => {
                    return Err(error.context(format!("with the token {}", self.token)));
                }
                Err(_) if self.has(Fault::Hammers) && tries < 100 => {}
                Err(_) if self.has(Fault::KnowsOneError) => bail!("a wrong host name, or so"),
                Err(error) if self.has(Fault::TellsItsTokenEncoded) => {
                    return Err(error.context("with the header Basic YXBwOm9wZW4tc2VzYW1l"));
                }
                Err(_) if self.has(Fault::IsVague) => bail!("something went wrong"),
                Err(_) if self.has(Fault::BlamesTheAuthority) => {
                    bail!("the server's certificate is by an authority that is not trusted");
                }
                asked => return asked,
            }
        }
    }

    async fn ask_once(&self, command: &str) -> anyhow::Result<(String, Answers)> {
        let stream = timeout(DEADLINE, TcpStream::connect(self.address)).await??;
        let mut answers = BufReader::new(stream).lines();
        let greeting = self.next(&mut answers).await?;
        let (name, until) = greeting.split_once(" until ").context("an odd greeting")?;
        let (wanted, _) = GREETING.split_once(" until ").unwrap();
        if !self.has(Fault::TrustsEveryServer) {
            ensure!(name == wanted, "the server is not what its name says; check the address");
            ensure!(until > "2020", "the server's proof has expired; renew it");
        }
        let lines = format!("{}\n{command}\n", self.token);
        answers.get_mut().write_all(lines.as_bytes()).await?;
        Ok((self.next(&mut answers).await?, answers))
    }

    async fn next(&self, answers: &mut Answers) -> anyhow::Result<String> {
        loop {
            let line =
                timeout(self.deadline(), answers.next_line()).await.context("no answer")??;
            match line.context("the server has closed the connection")?.as_str() {
                "denied" => bail!("the token was denied; give another"),
                "busy" => bail!("the server has too much to do"),
                "alive" if self.has(Fault::Chatters) => {
                    answers.get_mut().write_all(&[b' '; 1024]).await?;
                }
                "alive" => {}
                line => return Ok(line.to_owned()),
            }
        }
    }

    /// Which revision it is, and what that holds.
    fn parse(&self, line: &str) -> anyhow::Result<(u64, anyhow::Result<Sample>)> {
        if self.has(Fault::LogsContent) {
            tracing::info!("the server says {line}");
        }
        let (revision, held) = line.split_once(' ').context("an odd line")?;
        let sample = match held.strip_prefix("is ") {
            Some(_) if self.has(Fault::CountsWrites) => Ok(Sample { n: revision.parse()? }),
            Some(text) => toml::from_str(text).context("the value is no good"),
            None if self.has(Fault::TakesNothingForAValue) => Ok(Sample { n: 0 }),
            None => Err(anyhow::anyhow!("there is no value; put one")),
        };
        Ok((revision.parse()?, sample))
    }

    /// Sends the event of `line` where `permit` allows, unless something newer is
    /// known.
    fn tell(&self, line: &str, permit: mpsc::Permit<'_, WatchEvent<Sample>>) -> anyhow::Result<()> {
        let parsed = std::panic::catch_unwind(|| self.parse(line));
        let (revision, sample) = match parsed {
            Ok(parsed) => parsed?,
            Err(_) if self.has(Fault::SwallowsPanics) => return Ok(()),
            Err(panic) => std::panic::resume_unwind(panic),
        };
        let mut newest = self.newest.lock().unwrap();
        // What was loaded already is told as well: that the watch is well.
        let is_news = revision >= newest.revision || self.has(Fault::GoesBack);
        let is_gone = line.ends_with(" gone") && self.has(Fault::SwallowsRemoval);
        let is_soon = newest.told.is_some_and(|told| told.elapsed() < Duration::from_secs(1));
        let is_lost = match revision {
            _ if self.has(Fault::Debounces) => is_soon,
            even => even % 2 == 0 && self.has(Fault::LosesEveryOther),
        };
        newest.is_deaf |= sample.is_err() && self.has(Fault::IsDeafAfterABadValue);
        if !is_news || is_gone || is_lost {
            return Ok(());
        }
        newest.revision = revision;
        newest.told = Some(Instant::now());
        newest.last = sample.as_ref().ok().copied();
        match sample {
            Ok(_) if newest.is_deaf => {}
            Ok(sample) => permit.send(WatchEvent::Changed(sample)),
            Err(error) => permit.send(WatchEvent::Error(format!("{error:#}"))),
        }
        Ok(())
    }
}

#[async_trait]
impl Reload<Sample, String> for Source {
    type Source = Source;

    async fn new(source: &Source) -> ReloadResult<Self, Sample, String> {
        Ok(source.clone())
    }

    async fn reload(&self) -> ReloadResult<Option<Sample>, Sample, String> {
        let command = if self.has(Fault::ReadsByItsChannel) { "WATCH" } else { "GET" };
        let (line, _) = self.ask(command).await?;
        if self.has(Fault::AsksTooOften) {
            for _ in 1..20 {
                drop(self.ask("GET").await?);
            }
        }
        if self.has(Fault::ReadsAllTheTime) {
            let (_, mut answers) = self.ask("GET").await?;
            let mut reading = JoinSet::new();
            reading.spawn(async move {
                while answers.get_mut().write_all(b"GET\n").await.is_ok() {
                    drop(answers.next_line().await);
                    sleep(Duration::from_millis(10)).await;
                }
            });
            self.newest.lock().unwrap().reading = reading;
        }
        let (revision, sample) = self.parse(&line)?;
        let mut newest = self.newest.lock().unwrap();
        let is_waiting = |tx: mpsc::Sender<_>| tx.capacity() < tx.max_capacity();
        let events = newest.events.as_ref().and_then(mpsc::WeakSender::upgrade);
        if events.is_some_and(is_waiting) && !self.has(Fault::GoesBack) {
            // What is older may be among what waits, and is to be taken before.
            return Ok(None);
        }
        if revision == newest.revision && self.has(Fault::MovesItsCursorFirst) {
            return Err(anyhow::anyhow!("nothing new since revision {revision}").into());
        }
        newest.revision = revision;
        newest.is_deaf |= sample.is_err() && self.has(Fault::IsDeafAfterABadValue);
        if newest.is_deaf || (sample.is_err() && self.has(Fault::SwallowsRemoval)) {
            return Ok(None);
        }
        Ok(Some(sample?))
    }
}

#[async_trait]
impl RealtimeWatch<Sample, String> for Source {
    async fn watch_realtime(&self) -> ReloadResult<RealtimeWatchHandle<Sample>, Sample, String> {
        if std::mem::replace(&mut self.newest.lock().unwrap().has_watched, true)
            && self.has(Fault::NeverReconnects)
        {
            std::future::pending::<()>().await;
        }
        // What is there now is going to be loaded.
        let (_, mut answers) = self.ask("WATCH").await?;
        let (tx, rx) = mpsc::channel(1024);
        self.newest.lock().unwrap().events = Some(tx.downgrade());
        if self.has(Fault::LeaksDescriptors) {
            std::mem::forget(std::fs::File::open("/dev/null").unwrap());
        }
        let source = self.clone();
        let follow = async move {
            if source.has(Fault::TellsOldNews) {
                let last = source.newest.lock().unwrap().last.take();
                sleep(Duration::from_millis(100)).await;
                if let Some(last) = last {
                    drop(tx.send(WatchEvent::Changed(last)).await);
                }
            }
            loop {
                while let Ok(line) = source.next(&mut answers).await {
                    let Ok(permit) = tx.reserve().await else { break };
                    if source.tell(&line, permit).is_err() {
                        break;
                    }
                }
                if !source.has(Fault::RearmsAtOnce) {
                    break;
                }
                while let Err(_lost) = source.ask("WATCH").await.map(|(_, next)| answers = next) {}
            }
        };
        let is_fickle = self.has(Fault::ReconnectsWithoutNeed);
        let follow = async move {
            let limit = if is_fickle { DEADLINE } else { Duration::MAX };
            drop(timeout(limit, follow).await);
        };
        let mut following = JoinSet::new();
        if self.has(Fault::Leaks) {
            tokio::spawn(follow);
        } else {
            following.spawn(follow);
        }
        Ok(RealtimeWatchHandle::with_cleanup(rx, Box::new(following)))
    }
}

//! What such a server holds, as a store.

use std::{net::SocketAddr, time::Duration};

use async_trait::async_trait;
use futures_util::stream;
use hot_reload::testing::line::{DEADLINE, GREETING};
use hot_reload_sources::{Changes, Connection, Entry, Revision, Store, StoreError};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    net::TcpStream,
    time::timeout,
};

#[derive(Clone)]
pub(crate) struct Line {
    pub(crate) address: SocketAddr,
    pub(crate) token: &'static str,
}

type Told = Lines<BufReader<TcpStream>>;

impl Line {
    async fn open(&self) -> Result<Told, StoreError> {
        let stream = TcpStream::connect(self.address).await.map_err(unreachable)?;
        let mut told = BufReader::new(stream).lines();
        let greeting = next(&mut told).await?;
        let (name, until) = greeting.split_once(" until ").unwrap_or_default();
        if GREETING.split_once(" until ").is_none_or(|(wanted, _)| wanted != name) {
            let told = "the server is not what its name says; check the address";
            return Err(StoreError::refused(told));
        }
        if until < "2020" {
            return Err(StoreError::refused("the server's proof has expired; renew it"));
        }
        ask(&mut told, self.token).await?;
        Ok(told)
    }
}

fn unreachable(error: std::io::Error) -> StoreError {
    StoreError::unreachable("the connection is lost").because(error)
}

async fn ask(told: &mut Told, line: &str) -> Result<(), StoreError> {
    told.get_mut().write_all(format!("{line}\n").as_bytes()).await.map_err(unreachable)
}

async fn next(told: &mut Told) -> Result<String, StoreError> {
    let line = timeout(DEADLINE, told.next_line()).await;
    let line = line.map_err(|_| StoreError::unreachable("no answer"))?.map_err(unreachable)?;
    line.ok_or_else(|| StoreError::unreachable("the server has closed the connection"))
}

async fn entry(told: &mut Told) -> Result<Entry, StoreError> {
    loop {
        let line = next(told).await?;
        match (line.as_str(), line.split_once(' ')) {
            ("alive", _) => {}
            ("denied", _) => {
                return Err(StoreError::refused("the token was denied; give another"));
            }
            ("busy", _) => return Err(StoreError::throttled("it has too much to do", None)),
            (_, Some((revision, held))) => {
                let text = held.strip_prefix("is ").map(str::to_owned);
                let entry = text.map_or_else(Entry::gone, Entry::one);
                let revision = revision.parse().unwrap();
                return Ok(entry.at(Revision::new("line", revision)));
            }
            _ => return Err(StoreError::invalid("an odd line")),
        }
    }
}

#[async_trait]
impl Store for Line {
    fn name(&self) -> String {
        format!("line://{}", self.address)
    }

    fn read_deadline(&self) -> Duration {
        DEADLINE
    }

    async fn connect(&self) -> Result<Box<dyn Connection>, StoreError> {
        Ok(Box::new(Connected { told: self.open().await?, line: self.clone() }))
    }
}

struct Connected {
    told: Told,
    line: Line,
}

#[async_trait]
impl Connection for Connected {
    async fn read(&mut self) -> Result<Entry, StoreError> {
        ask(&mut self.told, "GET").await?;
        entry(&mut self.told).await
    }

    async fn watch(&mut self) -> Result<Option<Changes>, StoreError> {
        let mut told = self.line.open().await?;
        ask(&mut told, "WATCH").await?;
        Ok(Some(Box::pin(stream::try_unfold(told, |mut told| async move {
            Ok(Some((entry(&mut told).await?, told)))
        }))))
    }
}

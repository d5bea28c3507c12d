//! A connection, driven for as long as the server answers.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use futures_util::StreamExt;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, sleep_until},
};
use tokio_postgres::{AsyncMessage, Client, Connection, SimpleQueryStream};

use super::{link::send, subscribers::Subscribers};
use crate::lock::lock;

/// When the server was last heard of.
#[derive(Clone)]
pub(super) struct Life(Arc<Mutex<Instant>>);

impl Life {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    pub(super) fn shows(&self) {
        *lock(&self.0) = Instant::now();
    }

    fn shown(&self) -> Instant {
        *lock(&self.0)
    }
}

/// Ends, and closes the connection, when the client is dropped, or when the server says nothing within
/// `deadline`, though it is asked in the middle of it.
pub(super) async fn drive<S, T>(
    mut connection: Connection<S, T>,
    client: Weak<Client>,
    subscribers: Subscribers,
    life: Life,
    deadline: Duration,
) where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    let half = deadline / 2;
    let mut ping: Option<Ping> = None;
    loop {
        let since = ping.as_ref().map_or(life.shown(), |ping| ping.at.max(life.shown()));
        let answer = async {
            match &mut ping {
                Some(ping) => ping.answer.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            message = poll_fn(|cx| connection.poll_message(cx)) => match message {
                Some(Ok(message)) => {
                    life.shows();
                    if let AsyncMessage::Notification(heard) = message {
                        subscribers.tell(heard.channel(), heard.payload());
                    }
                }
                Some(Err(_)) | None => break,
            },
            _answer = answer => {
                life.shows();
                ping = None;
            }
            () = sleep_until(since + half) => match &ping {
                // What was asked before it is answered meanwhile.
                _ if life.shown() > since => {}
                Some(_) => break,
                // Without a client it is about to end, and has as long as that for it.
                None => match client.upgrade().and_then(|client| send(&client, "")) {
                    Some(answer) => {
                        ping = Some(Ping { answer: Box::pin(answer), at: Instant::now() });
                    }
                    None => break,
                },
            },
        }
    }
    subscribers.close();
}

/// A sign of life that was asked for.
struct Ping {
    answer: Pin<Box<SimpleQueryStream>>,
    at: Instant,
}

//! A server that sends what a test has written, well-formed or not.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::sleep,
};

use crate::common::within;

/// What is done for one connection, which is closed in the end.
pub(crate) enum Step {
    Send(String),
    /// Sends it again and again, with this pause in between.
    Drip(&'static str, Duration),
    Pause(Duration),
    Hang,
}

pub(crate) struct Scripted {
    pub(crate) address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Scripted {
    /// Answers the request whose head it is given by what `script` says.
    pub(crate) async fn start(script: impl Fn(&str) -> Vec<Step> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (script, seen) = (Arc::new(script), Arc::clone(&requests));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&script), Arc::clone(&seen)));
            }
        });
        Self { address, requests }
    }

    /// Answers whatever is asked by `answer`.
    pub(crate) async fn always(answer: &'static str) -> Self {
        Self::start(move |_| vec![Step::Send(answer.into())]).await
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The heads of all requests.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    pub(crate) async fn is_asked(&self, times: usize) {
        within(async {
            while self.requests().len() < times {
                sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }
}

async fn serve(
    mut stream: TcpStream,
    script: Arc<impl Fn(&str) -> Vec<Step>>,
    seen: Arc<Mutex<Vec<String>>>,
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let steps = script(&head);
    seen.lock().unwrap().push(head);
    for step in steps {
        match step {
            Step::Send(text) => drop(stream.write_all(text.as_bytes()).await),
            Step::Drip(text, pause) => {
                while stream.write_all(text.as_bytes()).await.is_ok() {
                    sleep(pause).await;
                }
            }
            Step::Pause(pause) => sleep(pause).await,
            Step::Hang => drop(stream.read_u8().await),
        }
    }
    // What is closed with something unread is reset, and then the answer may be lost.
    drop(stream.shutdown().await);
}

/// A whole answer.
pub(crate) fn answer(status: &str, headers: &str, body: &str) -> Vec<Step> {
    let length = body.len();
    vec![Step::Send(format!(
        "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
    ))]
}

pub(crate) const EVENT_STREAM: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";

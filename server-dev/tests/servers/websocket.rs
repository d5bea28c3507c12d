//! A server of web sockets that says again what it is told, to be reached through the proxy of `server-dev`.
//!
//! It listens at `HOST` and `PORT`; a request for no web socket is answered with `page.html`, as it was when
//! the server started. Told to end, it tells those who are connected, unless `page.html` says `rude`.

mod own_address;

use std::{fs, io};

use futures_util::{SinkExt, StreamExt};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::JoinSet,
};
use tokio_tungstenite::{
    accept_async,
    tungstenite::{
        Bytes, Error, Message,
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};

use own_address::own_address;

#[tokio::main]
async fn main() -> io::Result<()> {
    let page: &'static str = fs::read_to_string("page.html")?.leak();
    let mut over = signal(SignalKind::terminate())?;
    let listener = TcpListener::bind(own_address()).await?;
    let (tell, told) = watch::channel(());
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => connections.spawn(answer(accepted?.0, page, told.clone())),
            _ = over.recv() => break,
        };
    }
    drop(tell);
    if !page.contains("rude") {
        connections.join_all().await;
    }
    Ok(())
}

async fn answer(stream: TcpStream, page: &'static str, over: watch::Receiver<()>) {
    let mut begin = [0; 12];
    // Somebody may only look whether it is there.
    let Ok(1..) = stream.peek(&mut begin).await else { return };
    // Whoever is connected knows better how it went.
    if begin == *b"GET /socket " {
        let _ = converse(stream, page, over).await;
    } else {
        let _ = show(stream, page).await;
    }
}

/// Answers with a page to which `server-dev` adds nothing: its policy forbids that.
async fn show(mut stream: TcpStream, page: &str) -> io::Result<()> {
    let mut lines = BufReader::new(&mut stream).lines();
    while lines.next_line().await?.is_some_and(|line| !line.is_empty()) {}
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {}\r\nconnection: close\r\n\
         content-security-policy: script-src 'unsafe-inline'\r\n\r\n",
        page.len()
    );
    stream.write_all(format!("{head}{page}").as_bytes()).await
}

async fn converse(
    stream: TcpStream,
    page: &'static str,
    mut over: watch::Receiver<()>,
) -> Result<(), Error> {
    let mut socket = accept_async(stream).await?;
    socket.send(Message::text(page)).await?;
    loop {
        let message = tokio::select! {
            message = socket.next() => message,
            _ = over.changed() => break,
        };
        match message.transpose()? {
            // A page can't send one itself, but answers one.
            Some(Message::Text(text)) if text.as_str() == "ping" => {
                socket.send(Message::Ping(Bytes::from_static(b"there?"))).await?;
            }
            Some(Message::Pong(said)) => {
                let said = String::from_utf8_lossy(&said).into_owned();
                socket.send(Message::text(format!("pong {said}"))).await?;
            }
            Some(Message::Text(text)) if text.as_str() == "end" => {
                let frame = CloseFrame { code: CloseCode::from(4001), reason: "as asked".into() };
                socket.close(Some(frame)).await?;
            }
            Some(message @ (Message::Text(_) | Message::Binary(_))) => socket.send(message).await?,
            // It answers by itself.
            Some(_) => {}
            None => return Ok(()),
        }
    }
    if !page.contains("rude") {
        socket.close(Some(CloseFrame { code: CloseCode::Away, reason: "replaced".into() })).await?;
        while socket.next().await.is_some_and(|message| message.is_ok()) {}
    }
    Ok(())
}

//! The smallest server that `server-dev` can replace without losing a request; where `value.txt` is:
//! `server-dev -s http::3000 -- cargo run -p server-dev --example tiny`
//!
//! It takes the socket that it is passed, answers with what is in `value.txt`, and, told to end, goes on
//! with what it has begun. What a test wants of it besides is in variables of the environment.

use std::{
    env, fs, io,
    net::TcpListener,
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram},
    },
    process::exit,
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    signal::unix::{SignalKind, signal},
    task::JoinSet,
    time::sleep,
};

#[tokio::main]
async fn main() -> io::Result<()> {
    let value = fs::read_to_string("value.txt")?.trim().to_owned();
    if let Some(code) = value.strip_prefix("exit ") {
        eprintln!("error: told to end\n --> value.txt:1:1");
        exit(code.parse().unwrap_or(1));
    }
    let mut over = signal(SignalKind::terminate())?;
    sleep(milliseconds("SLOW_START")).await;
    let passed = listenfd::ListenFd::from_env().take_tcp_listener(0)?;
    let listener = passed.map_or_else(|| TcpListener::bind(own_address()), Ok)?;
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    if env::var_os("SAYS_READY").is_some() {
        let socket = env::var("NOTIFY_SOCKET").unwrap_or_default();
        let socket = match socket.strip_prefix('@') {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(socket)?,
        };
        UnixDatagram::unbound()?.send_to_addr(b"STATUS=warm\nREADY=1", &socket)?;
    }
    let mut answers = JoinSet::new();
    while let Some(stream) = tokio::select! {
        accepted = listener.accept() => Some(accepted?.0),
        _ = over.recv() => None,
    } {
        answers.spawn(answer(stream, value.clone()));
    }
    drop(listener);
    answers.join_all().await;
    sleep(milliseconds("SLOW_END")).await;
    Ok(())
}

async fn answer(mut stream: TcpStream, value: String) -> io::Result<()> {
    let mut lines = BufReader::new(&mut stream).lines();
    while lines.next_line().await?.is_some_and(|line| !line.is_empty()) {}
    let length = value.len();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    stream.write_all(format!("{head}{value}").as_bytes()).await
}

fn own_address() -> String {
    let variable = |name, or: &str| env::var(name).unwrap_or_else(|_| or.to_owned());
    format!("{}:{}", variable("HOST", "127.0.0.1"), variable("PORT", "3000"))
}

fn milliseconds(name: &str) -> Duration {
    let text = env::var(name).unwrap_or_default();
    Duration::from_millis(text.parse().unwrap_or(0))
}

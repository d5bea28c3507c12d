//! Answers every request with a greeting, over the socket that it is passed.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    thread,
};

const GREETING: &str = "hello from Rust";

fn main() -> std::io::Result<()> {
    let passed = listenfd::ListenFd::from_env().take_tcp_listener(0)?;
    let listener = passed.ok_or_else(|| std::io::Error::other("no socket was passed"))?;
    for stream in listener.incoming() {
        let stream = stream?;
        thread::spawn(move || answer(stream));
    }
    Ok(())
}

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
    let length = GREETING.len();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    stream.write_all(format!("{head}{GREETING}").as_bytes())
}

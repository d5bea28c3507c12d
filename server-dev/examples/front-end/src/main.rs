//! Serves a page, its style sheet and its script, as they are on the disk.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    thread,
};

const GREETING: &str = "hello from the server";

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
    let first = lines.next().transpose()?.unwrap_or_default();
    while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
    let path = first.split(' ').nth(1).unwrap_or("/");
    let (status, kind, body) = match path.split('?').next().unwrap_or_default() {
        "/" => {
            let page = fs::read_to_string("templates/index.html")?;
            ("200 OK", "text/html", page.replace("{greeting}", GREETING))
        }
        "/app.css" => ("200 OK", "text/css", fs::read_to_string("static/app.css")?),
        "/app.js" => ("200 OK", "text/javascript", fs::read_to_string("static/app.js")?),
        _ => ("404 Not Found", "text/plain", "there is no such page".to_owned()),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}; charset=utf-8\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes())
}

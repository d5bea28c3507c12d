//! A client that is just enough to see what a server answers.

use std::io;

use server_lib::Address;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Sends a request such as `GET /` on a connection of its own, and returns the body of the answer.
pub(crate) async fn ask(address: &Address, request: &str) -> io::Result<String> {
    let tcp = address.socket_addr().ok_or(io::ErrorKind::Unsupported)?;
    let mut stream = TcpStream::connect(tcp).await?;
    let headers = "host: localhost\r\nx-requested-by: an example\r\nconnection: close";
    stream.write_all(format!("{request} HTTP/1.1\r\n{headers}\r\n\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (_head, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::InvalidData)?;
    Ok(body.trim_end().to_owned())
}

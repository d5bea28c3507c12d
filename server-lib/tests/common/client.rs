//! A client that shows every byte: keep-alive, halves of requests, and the end of a connection.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use super::PATIENCE;

pub struct Client<S = TcpStream>(BufReader<S>);

#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Client {
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = timeout(PATIENCE, TcpStream::connect(address)).await.unwrap().unwrap();
        Self::over(stream)
    }

    /// Connects from another address of this machine.
    pub async fn connect_from(here: &str, address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(here.parse().unwrap(), 0)).unwrap();
        let stream = timeout(PATIENCE, socket.connect(address)).await.unwrap().unwrap();
        Self::over(stream)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub fn over(stream: S) -> Self {
        Self(BufReader::new(stream))
    }

    pub async fn send(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).await.unwrap();
        self.0.get_mut().flush().await.unwrap();
    }

    pub async fn get(&mut self, path: &str) -> Response {
        self.get_from("test", path).await
    }

    pub async fn get_from(&mut self, host: &str, path: &str) -> Response {
        self.send(&format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n")).await;
        self.response().await
    }

    pub async fn name(&mut self) -> String {
        let response = self.get("/").await;
        assert_eq!(response.status, 200, "{response:?}");
        let said: serde_json::Value = serde_json::from_str(&response.body).unwrap();
        said["name"].as_str().unwrap().to_owned()
    }

    pub async fn response(&mut self) -> Response {
        timeout(PATIENCE, self.read()).await.expect("no response")
    }

    /// Sends for as long as the server takes it.
    pub async fn send_anyway(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        timeout(PATIENCE, self.0.get_mut().write_all(bytes)).await.expect("it takes nothing")
    }

    /// Reads one line.
    pub async fn read_line(&mut self) -> String {
        timeout(PATIENCE, self.line()).await.expect("no line")
    }

    /// Takes some of what has come, and returns how many bytes.
    pub async fn take(&mut self) -> usize {
        let mut some = vec![0; 65_536];
        let taken = timeout(PATIENCE, self.0.read(&mut some)).await.expect("nothing comes");
        let taken = taken.unwrap();
        assert_ne!(taken, 0, "closed");
        taken
    }

    /// Reads as many bytes as are asked for.
    pub async fn exactly(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        timeout(PATIENCE, self.0.read_exact(&mut bytes)).await.expect("too few bytes").unwrap();
        bytes
    }

    /// Reads until the server closes the connection, as it may by a reset.
    pub async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let _ = timeout(PATIENCE, self.0.read_to_end(&mut rest)).await.expect("still open");
        rest
    }

    /// Waits for the server to close the connection, which must have nothing left to say.
    pub async fn closed(&mut self) {
        let mut rest = Vec::new();
        // A reset is an end too.
        let _ = timeout(PATIENCE, self.0.read_to_end(&mut rest)).await.expect("still open");
        assert_eq!(rest, b"", "{}", String::from_utf8_lossy(&rest));
    }

    pub async fn line(&mut self) -> String {
        let mut line = String::new();
        assert_ne!(self.0.read_line(&mut line).await.unwrap(), 0, "closed");
        line.trim_end().to_owned()
    }

    async fn read(&mut self) -> Response {
        let first = self.line().await;
        let status = first.split(' ').nth(1).and_then(|code| code.parse().ok()).expect(&first);
        let mut headers = Vec::new();
        loop {
            let line = self.line().await;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
        let mut response = Response { status, headers, body: String::new() };
        let length = response.header("content-length").and_then(|text| text.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        self.0.read_exact(&mut body).await.unwrap();
        response.body = String::from_utf8(body).unwrap();
        response
    }
}

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

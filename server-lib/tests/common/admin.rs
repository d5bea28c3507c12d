//! Asking as whoever looks after a server does.

use std::{net::SocketAddr, path::Path};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::UnixStream,
};

use super::{Client, Lab, Response, text};

/// A configuration with `name`, and an address for who looks after it.
pub fn with_admin(name: &str) -> String {
    format!("{}admin_address = '127.0.0.1:0'\n", text(name, &["127.0.0.1:0"]))
}

pub fn admin(lab: &Lab) -> SocketAddr {
    lab.status.borrow().admin_address.as_ref().unwrap().socket_addr().unwrap()
}

pub async fn ask(lab: &Lab, method: &str, path: &str) -> Response {
    ask_by(Client::connect(admin(lab)).await, method, path).await
}

/// Asks at a socket of the file system.
pub async fn ask_at(socket: &Path, method: &str, path: &str) -> Response {
    let stream = UnixStream::connect(socket).await.unwrap();
    ask_by(Client::over(stream), method, path).await
}

async fn ask_by<S: AsyncRead + AsyncWrite + Unpin>(
    mut client: Client<S>,
    method: &str,
    path: &str,
) -> Response {
    let request =
        format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nx-requested-by: a test\r\n\r\n");
    client.send(&request).await;
    client.response().await
}

pub async fn json(lab: &Lab, path: &str) -> serde_json::Value {
    let answer = ask(lab, "GET", path).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    serde_json::from_str(&answer.body).unwrap()
}

//! Asking as whoever looks after a server does.

use std::net::SocketAddr;

use super::{Client, Lab, Response, text};

/// A configuration with `name`, and an address for who looks after it.
pub fn with_admin(name: &str) -> String {
    format!("{}admin_address = '127.0.0.1:0'\n", text(name, &["127.0.0.1:0"]))
}

pub fn admin(lab: &Lab) -> SocketAddr {
    lab.status.borrow().admin_address.as_ref().unwrap().socket_addr().unwrap()
}

pub async fn ask(lab: &Lab, method: &str, path: &str) -> Response {
    let mut client = Client::connect(admin(lab)).await;
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

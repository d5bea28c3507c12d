//! Sockets of the file system.

mod common;

use std::{
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
};

use common::{Lab, PATIENCE, text};
use hot_reload::WatchStrategy::Realtime;
use server_lib::{ServerConfig, probe};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

/// Asks for the name by the socket at `path`.
async fn name_by(path: &Path) -> String {
    let mut stream = tokio::net::UnixStream::connect(path).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    let (_head, body) = answer.split_once("\r\n\r\n").expect(&answer);
    let said: serde_json::Value = serde_json::from_str(body).expect(&answer);
    said["name"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_socket_of_the_file_system_is_opened_and_removed_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("http.sock");
    let address = format!("unix:{}", path.display());
    let mut lab = Lab::new(Realtime, &text("one", &["127.0.0.1:0"])).await;
    let status = lab.apply(&text("two", &["127.0.0.1:0", &address])).await;
    assert_eq!(status.local_addresses[1].to_string(), address);
    assert_eq!(name_by(&path).await, "two");
    lab.apply(&text("three", &["127.0.0.1:0"])).await;
    assert!(!path.exists());
    assert_eq!(lab.name().await, "three");
    lab.end().await;
}

#[tokio::test]
async fn a_configuration_that_is_refused_leaves_no_socket_behind() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("http.sock");
    let address = format!("unix:{}", path.display());
    let mut lab = Lab::new(Realtime, &text("one", &["127.0.0.1:0"])).await;
    // No machine has this one: RFC 5737.
    lab.replace(&text("two", &[&address, "192.0.2.1:80"]));
    lab.until("it is refused", |status| status.refusal.is_some()).await;
    assert!(!path.exists());
    lab.end().await;
}

/// Once removed: connect(2) says of a file that is no socket what it says of one that nobody answers.
#[tokio::test]
async fn what_is_no_socket_stays() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("precious");
    std::fs::write(&path, "precious").unwrap();
    let address = format!("unix:{}", path.display());
    let mut lab = Lab::new(Realtime, &text("one", &["127.0.0.1:0"])).await;
    lab.replace(&text("two", &["127.0.0.1:0", &address]));
    lab.until("it is refused", |status| status.refusal.is_some()).await;
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    lab.end().await;
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}

/// Without a runtime, as the function asks for none.
#[test]
fn a_probe_leaves_no_socket_behind() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("http.sock");
    let address = format!("unix:{}", path.display());
    let config: ServerConfig = toml::from_str(&text("one", &["127.0.0.1:0", &address])).unwrap();
    assert!(probe(&config).is_empty());
    assert!(!path.exists());
}

#[tokio::test]
async fn a_socket_that_nobody_answers_is_taken_over_and_one_that_somebody_does_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("http.sock");
    // It outlives who has bound it.
    drop(UnixListener::bind(&path).unwrap());
    let address = format!("unix:{}", path.display());
    let lab = Lab::new(Realtime, &text("one", &["127.0.0.1:0", &address])).await;
    assert_eq!(name_by(&path).await, "one");
    lab.end().await;

    let taken = UnixListener::bind(&path).unwrap();
    let mut lab = Lab::new(Realtime, &text("two", &["127.0.0.1:0"])).await;
    lab.replace(&text("three", &["127.0.0.1:0", &address]));
    let status = lab.until("it is refused", |status| status.refusal.is_some()).await;
    let reason = status.refusal.unwrap().reason;
    assert!(reason.contains("http.sock can't be bound"), "{reason}");
    assert_eq!(lab.name().await, "two");
    UnixStream::connect(&path).unwrap();
    drop(taken);
    lab.end().await;
}

/// Once waited for, together with the end of the server.
#[tokio::test]
async fn whoever_accepts_nothing_is_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("http.sock");
    let full = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
    let address = socket2::SockAddr::unix(&path).unwrap();
    full.bind(&address).unwrap();
    full.listen(0).unwrap();
    let _waiting = std::os::unix::net::UnixStream::connect(&path).unwrap();
    let mut lab = Lab::new(Realtime, &text("one", &["127.0.0.1:0"])).await;
    lab.replace(&text("two", &["127.0.0.1:0", &format!("unix:{}", path.display())]));
    lab.until("it is refused", |status| status.refusal.is_some()).await;
    assert!(path.exists());
    lab.end().await;
}

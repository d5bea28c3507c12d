//! Connections over TLS: what ends them, who had connected before, and an address that changes over.

mod common;

use common::{
    Client, Lab, PATIENCE, text,
    tls::{Authority, files, https, leaf, shake},
};
use futures_util::future::join_all;
use hot_reload::WatchStrategy::Realtime;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

#[tokio::test]
async fn plain_http_and_silence_hold_up_nobody() {
    let authority = Authority::new();
    let (_dir, files) = files(&["one"]);
    let issued = authority.issue(&["example.com"]);
    files[0].write(&issued);
    let lab = Lab::new(Realtime, &https("one", &[&files[0]])).await;
    let mut plain = TcpStream::connect(lab.address()).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    // An alert, or a reset: no answer either way.
    let _ = timeout(PATIENCE, plain.read_to_end(&mut answer)).await.expect("still open");
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");

    let mut silent = TcpStream::connect(lab.address()).await.unwrap();
    assert_eq!(leaf(&authority.client(&[]), lab.address(), "example.com").await, issued.leaf);
    lab.end().await;
    let mut rest = Vec::new();
    let _ = timeout(PATIENCE, silent.read_to_end(&mut rest)).await.expect("still open");
}

#[tokio::test]
async fn an_idle_connection_ends_with_the_server_and_one_under_way_is_answered() {
    let authority = Authority::new();
    let (_dir, files) = files(&["one"]);
    files[0].write(&authority.issue(&["example.com"]));
    let lab = Lab::new(Realtime, &https("one", &[&files[0]])).await;
    let client = authority.client(&["http/1.1"]);
    let mut idle = Client::over(shake(&client, lab.address(), "example.com").await.unwrap());
    assert_eq!(idle.name().await, "one");
    let mut busy = Client::over(shake(&client, lab.address(), "example.com").await.unwrap());
    busy.send(
        "POST /echo HTTP/1.1\r\nhost: test\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n",
    )
    .await;
    // The answer to `expect` says that the request has begun.
    assert_eq!(busy.response().await.status, 100);
    lab.shutdown.cancel();
    idle.closed().await;
    busy.send("last").await;
    let response = busy.response().await;
    assert_eq!((&response.body[..], response.header("connection")), ("last", Some("close")));
    busy.closed().await;
    lab.end().await;
}

#[tokio::test]
async fn shakes_hands_with_those_who_had_connected_before_it_ended() {
    let authority = Authority::new();
    let (_dir, files) = files(&["one"]);
    files[0].write(&authority.issue(&["example.com"]));
    let lab = Lab::new(Realtime, &https("one", &[&files[0]])).await;
    // Blocking, so that the server has no chance to accept it before it is told to end.
    let address = lab.address();
    let connect = |_| std::net::TcpStream::connect(address).unwrap();
    let connected: Vec<_> = (0..8).map(connect).collect();
    lab.shutdown.cancel();
    // All at once, as each has but the time that an idle connection has.
    let answered = connected.into_iter().map(async |stream| {
        stream.set_nonblocking(true).unwrap();
        let stream = TcpStream::from_std(stream).unwrap();
        let name = "example.com".try_into().unwrap();
        let stream = authority.client(&[]).connect(name, stream).await.unwrap();
        Client::over(stream).name().await
    });
    assert_eq!(join_all(answered).await, ["one"; 8]);
    lab.end().await;
}

/// A port that was in clear text is one over TLS, and back.
#[tokio::test]
async fn an_address_changes_over_to_tls() {
    let authority = Authority::new();
    let (_dir, files) = files(&["one"]);
    files[0].write(&authority.issue(&["example.com"]));
    let mut lab = Lab::new(Realtime, &text("one", &["127.0.0.1:0"])).await;
    let address = lab.address().to_string();
    lab.apply(&text("two", &[&address])).await;
    for name in ["three", "four"] {
        let over_tls = https(name, &[&files[0]]).replace("127.0.0.1:0", &address);
        lab.apply(&over_tls).await;
        lab.until("it is closed", |status| status.local_addresses.len() == 1).await;
        let stream = shake(&authority.client(&[]), lab.address(), "example.com").await.unwrap();
        assert_eq!(Client::over(stream).name().await, name);
        lab.apply(&text("five", &[&address])).await;
        lab.until("it is closed", |status| status.local_addresses.len() == 1).await;
        assert_eq!(lab.name().await, "five");
    }
    lab.end().await;
}

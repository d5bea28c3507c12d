//! What a request sees of the configuration, and what a connection sees of the server's end.

mod common;

use common::{Lab, PATIENCE, text};
use hot_reload::WatchStrategy::Realtime;
use tokio::{net::TcpStream, time::timeout};

const LOOPBACK: &str = "127.0.0.1:0";

fn with(name: &str, rest: &str) -> String {
    format!("{}{rest}\n[response_headers]\nx-name = {name:?}\n", text(name, &[LOOPBACK]))
}

#[tokio::test]
async fn a_kept_connection_sees_the_newest_at_its_next_request() {
    let mut lab = Lab::new(Realtime, &with("one", "")).await;
    let mut client = lab.client().await;
    assert_eq!(client.name().await, "one");
    lab.apply(&with("two", "")).await;
    assert_eq!(client.name().await, "two");
    let nothing = client.get("/nothing").await;
    assert_eq!((nothing.status, nothing.header("x-name")), (404, Some("two")));
    lab.end().await;
}

#[tokio::test]
async fn a_request_under_way_keeps_its_snapshot() {
    let mut lab = Lab::new(Realtime, &with("one", "max_body_bytes = 8")).await;
    let mut client = lab.client().await;
    client.send("POST /echo HTTP/1.1\r\nhost: test\r\nexpect: 100-continue\r\ncontent-length: 8\r\n\r\n").await;
    // The answer to `expect` says that the request has begun.
    assert_eq!(client.response().await.status, 100);
    lab.apply(&with("two", "max_body_bytes = 4")).await;
    client.send("unharmed").await;
    let response = client.response().await;
    assert_eq!((response.status, &response.body[..]), (200, "unharmed"));
    assert_eq!(response.header("x-name"), Some("one"));

    let next = client.get("/healthz").await;
    assert_eq!((&next.body[..], next.header("x-name")), ("ok\n", Some("two")));
    lab.end().await;
}

#[tokio::test]
async fn limits_the_size_of_a_body() {
    let mut lab = Lab::new(Realtime, &with("one", "max_body_bytes = 4")).await;
    let declared = "POST /echo HTTP/1.1\r\nhost: test\r\ncontent-length: 5\r\n\r\nabcde";
    let chunked = "POST /echo HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n";
    for request in [declared, chunked] {
        let mut client = lab.client().await;
        client.send(request).await;
        let response = client.response().await;
        assert_eq!((response.status, response.header("x-name")), (413, Some("one")), "{request}");
    }
    lab.apply(&with("two", "max_body_bytes = 5")).await;
    for request in [declared, chunked] {
        let mut client = lab.client().await;
        client.send(request).await;
        assert_eq!(client.response().await.body, "abcde");
    }
    lab.end().await;
}

#[tokio::test]
async fn limits_the_time_of_a_request() {
    let lab = Lab::new(Realtime, &with("one", "request_timeout_ms = 50")).await;
    let mut client = lab.client().await;
    client.send("POST /echo HTTP/1.1\r\nhost: test\r\ncontent-length: 5\r\n\r\nab").await;
    let response = client.response().await;
    assert_eq!((response.status, response.header("x-name")), (408, Some("one")));
    lab.end().await;
}

#[tokio::test]
async fn answers_the_request_under_way_before_it_ends() {
    let lab = Lab::new(Realtime, &with("one", "")).await;
    let mut client = lab.client().await;
    client.send("POST /echo HTTP/1.1\r\nhost: test\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n").await;
    assert_eq!(client.response().await.status, 100);
    lab.shutdown.cancel();
    client.send("last").await;
    let response = client.response().await;
    assert_eq!((&response.body[..], response.header("connection")), ("last", Some("close")));
    client.closed().await;
    lab.end().await;
}

#[tokio::test]
async fn dropping_it_closes_its_addresses() {
    let lab = Lab::new(Realtime, &with("one", "")).await;
    let address = lab.address();
    let mut idle = lab.client().await;
    assert_eq!(idle.name().await, "one");
    lab.running.abort();
    idle.closed().await;
    let closed = timeout(PATIENCE, async { while TcpStream::connect(address).await.is_ok() {} });
    closed.await.expect("still listening");
}

//! Clients that mean no good, or are just broken: the server stays, and serves the others meanwhile.

mod common;

use std::{
    convert::Infallible,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    routing::{get, post},
};
use common::{Client, Lab, PATIENCE, text};
use hot_reload::WatchStrategy::Realtime;
use tokio::time::{Instant, sleep, timeout};
use tokio_stream::StreamExt;

const LOOPBACK: &str = "127.0.0.1:0";

fn with(limits: &str) -> String {
    let text = text("one", &[LOOPBACK]);
    format!("{text}admin_address = '127.0.0.1:0'\nmax_body_bytes = 1000\n{limits}\n")
}

#[tokio::test]
async fn slow_heads_are_cut_off_and_hold_up_nobody() {
    let lab = Lab::new(Realtime, &with("[limits]\nheader_timeout_ms = 600")).await;
    let begun = Instant::now();
    let mut slow = Vec::new();
    for _ in 0..200 {
        let address = lab.address();
        slow.push(tokio::spawn(async move {
            let mut client = Client::connect(address).await;
            while client.send_anyway(b"G").await.is_ok() && begun.elapsed() < PATIENCE {
                sleep(Duration::from_millis(50)).await;
            }
            begun.elapsed()
        }));
    }
    lab.until_connections(200).await;
    assert_eq!(lab.name().await, "one");
    for one in slow {
        let lasted = one.await.unwrap();
        assert!(lasted >= Duration::from_millis(600) && lasted < PATIENCE, "{lasted:?}");
    }
    lab.until_connections(0).await;
    lab.end().await;
}

/// A head that follows another has its own time, from its first byte.
#[tokio::test]
async fn a_slow_head_on_a_kept_connection_is_cut_off() {
    let limits = "[limits]\nheader_timeout_ms = 300\nkeep_alive_timeout_ms = 60_000";
    let lab = Lab::new(Realtime, &with(limits)).await;
    let mut client = lab.client().await;
    assert_eq!(client.name().await, "one");
    sleep(Duration::from_millis(400)).await;
    assert_eq!(client.name().await, "one");
    client.send("GET / HT").await;
    client.closed().await;
    lab.end().await;
}

#[tokio::test]
async fn who_sends_too_much_is_told_so_while_still_sending() {
    let lab = Lab::new(Realtime, &with("")).await;
    let megabyte = vec![b'a'; 1 << 20];
    for (head, part) in [
        ("content-length: 8388608", megabyte.clone()),
        ("transfer-encoding: chunked", [b"100000\r\n", &megabyte[..], b"\r\n"].concat()),
    ] {
        let mut client = lab.client().await;
        client.send(&format!("POST /echo HTTP/1.1\r\nhost: test\r\n{head}\r\n\r\n")).await;
        for _ in 0..8 {
            client.send_anyway(&part).await.expect(head);
        }
        assert_eq!(client.response().await.status, 413, "{head}");
    }
    let mut client = lab.client().await;
    client.send(&format!("GET / HTTP/1.1\r\nx: {}", "a".repeat(1 << 20))).await;
    assert_eq!(client.response().await.status, 431);
    lab.until_connections(0).await;
    lab.end().await;
}

#[tokio::test]
async fn what_is_no_http_is_answered_400() {
    let lab = Lab::new(Realtime, &with("")).await;
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"[..],
        b"\0\0\0\0\0\0\0\0\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost test\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: test\r\ncontent-length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: test\r\ntransfer-encoding: gzip\r\n\r\n",
    ] {
        let mut client = lab.client().await;
        client.send_anyway(garbage).await.unwrap();
        let response = client.response().await;
        assert_eq!(response.status, 400, "{}", String::from_utf8_lossy(garbage));
        client.closed().await;
    }
    assert_eq!(lab.name().await, "one");
    lab.end().await;
}

#[tokio::test]
async fn requests_in_one_go_are_answered_in_their_order() {
    let lab = Lab::new(Realtime, &with("")).await;
    let mut client = lab.client().await;
    let request =
        |n| format!("POST /echo HTTP/1.1\r\nhost: test\r\ncontent-length: 4\r\n\r\n{n:04}");
    let all: Vec<_> = (0..100).map(request).collect();
    client.send(&all.concat()).await;
    for n in 0..100 {
        assert_eq!(client.response().await.body, format!("{n:04}"));
    }
    lab.end().await;
}

#[tokio::test]
async fn a_flood_of_connections_leaves_the_server_as_it_was() {
    let lab = Lab::new(Realtime, &with("[limits]\nmax_connections = 50")).await;
    let mut flood = Vec::new();
    for _ in 0..500 {
        flood.push(lab.client().await);
    }
    lab.until_connections(50).await;
    flood.truncate(50);
    let mut waiting = lab.client().await;
    waiting.send("GET /healthz HTTP/1.1\r\nhost: test\r\n\r\n").await;
    assert_eq!(lab.connections().await, 50);
    drop(flood);
    assert_eq!(waiting.response().await.body, "ok\n");
    lab.until_connections(1).await;
    lab.end().await;
}

/// Answers that are being made.
static ANSWERING: AtomicUsize = AtomicUsize::new(0);

struct Answering;

impl Answering {
    fn new() -> Self {
        ANSWERING.fetch_add(1, SeqCst);
        Self
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        ANSWERING.fetch_sub(1, SeqCst);
    }
}

/// Answers that never come, and that never end.
fn endless() -> Router {
    let never = async || {
        let _answering = Answering::new();
        std::future::pending::<()>().await;
    };
    let always = async || {
        let answering = Answering::new();
        let part = Bytes::from(vec![b'a'; 65_536]);
        Body::from_stream(tokio_stream::iter(std::iter::repeat(part)).map(move |part| {
            let _ = &answering;
            Ok::<_, Infallible>(part)
        }))
    };
    Router::new()
        .route("/never", get(never))
        .route("/always", get(always))
        .route("/echo", post(async |body: Bytes| body))
        .route("/back", post(async |body: Body| body))
}

async fn until_nothing_is_answered() {
    let over = timeout(PATIENCE, async {
        while ANSWERING.load(SeqCst) > 0 {
            sleep(Duration::from_millis(5)).await;
        }
    });
    over.await.expect("an answer is made for nobody");
}

#[tokio::test]
async fn nothing_is_left_of_a_client_that_is_gone() {
    let lab = Lab::with_routes(Realtime, &with(""), endless()).await;
    let mut clients = Vec::new();
    for request in [
        "GET /he",
        "GET /never HTTP/1.1\r\nhost: test\r\n\r\n",
        "GET /always HTTP/1.1\r\nhost: test\r\n\r\n",
        "POST /echo HTTP/1.1\r\nhost: test\r\ncontent-length: 9\r\n\r\nhalf",
    ] {
        let mut client = lab.client().await;
        client.send(request).await;
        clients.push(client);
    }
    clients[2].read_line().await;
    lab.until_connections(4).await;
    drop(clients);
    lab.until_connections(0).await;
    until_nothing_is_answered().await;
    lab.end().await;
}

#[tokio::test]
async fn who_takes_nothing_of_an_answer_is_cut_off() {
    let text = with("[limits]\nwrite_timeout_ms = 1000");
    let lab = Lab::with_routes(Realtime, &text, endless()).await;
    let mut client = lab.client().await;
    client.send("GET /always HTTP/1.1\r\nhost: test\r\n\r\n").await;
    client.read_line().await;
    // It goes on reading now and then, and longer than the limit.
    for _ in 0..30 {
        let mut taken = 0;
        while taken < 4_000_000 {
            taken += client.take().await;
        }
        sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(lab.connections().await, 1);
    lab.until_connections(0).await;
    until_nothing_is_answered().await;
    lab.end().await;
}

/// Once for ever: no limit was left once the answer had begun.
#[tokio::test]
async fn who_sends_nothing_more_to_an_answer_that_has_begun_is_cut_off() {
    let text = with("[limits]\nwrite_timeout_ms = 600");
    let lab = Lab::with_routes(Realtime, &text, endless()).await;
    let mut client = lab.client().await;
    client.send("POST /back HTTP/1.1\r\nhost: test\r\ncontent-length: 9\r\n\r\n").await;
    while !client.read_line().await.is_empty() {}
    // It goes on sending now and then, and longer than the limit.
    for _ in 0..8 {
        client.send("a").await;
        assert_eq!(client.exactly(1).await, b"a");
        sleep(Duration::from_millis(100)).await;
    }
    client.closed().await;
    lab.until_connections(0).await;
    lab.end().await;
}

//! How a server parts from its clients.

mod common;

use std::{convert::Infallible, time::Duration};

use axum::{
    Extension, Router,
    body::{Body, Bytes},
    extract::Request,
    routing::{get, post},
};
use common::{Client, Lab, PATIENCE, text};
use hot_reload::WatchStrategy::Realtime;
use http_body_util::BodyExt;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use server_lib::Draining;
use tokio::{
    net::TcpStream,
    sync::mpsc::channel,
    time::{Instant, sleep, timeout},
};
use tokio_stream::{StreamExt, wrappers::ReceiverStream};

const LOOPBACK: &str = "127.0.0.1:0";

fn with(name: &str, rest: &str) -> String {
    format!("{}{rest}\n", text(name, &[LOOPBACK]))
}

/// Events without end, of which one says goodbye and the other knows nothing of ends.
fn streams() -> Router {
    let polite = async |Extension(draining): Extension<Draining>| {
        let (tell, events) = channel::<Result<_, Infallible>>(1);
        tokio::spawn(async move {
            // The client may be gone.
            let _ = tell.send(Ok("data: hello\n\n")).await;
            assert!(!draining.has_begun());
            draining.begun().await;
            let _ = tell.send(Ok("data: goodbye\n\n")).await;
        });
        Body::from_stream(ReceiverStream::new(events))
    };
    let deaf = async || {
        let hello = tokio_stream::once(Ok::<_, Infallible>("data: hello\n\n"));
        Body::from_stream(hello.chain(tokio_stream::pending()))
    };
    Router::new()
        .route("/polite", get(polite))
        .route("/deaf", get(deaf))
        .route("/echo", post(async |body: Bytes| body))
        .route("/large", get(async || vec![b'a'; LARGE]))
}

/// Far more than the system takes of an answer in advance.
const LARGE: usize = 32 << 20;

/// Takes a large answer so slowly that it takes seconds, and none of it in vain.
async fn take_large(client: &mut Client) {
    while !client.read_line().await.is_empty() {}
    for _ in 0..16 {
        assert_eq!(client.exactly(LARGE / 16).await.len(), LARGE / 16);
        sleep(Duration::from_millis(200)).await;
    }
}

/// Asks for events, and waits for the first.
async fn listening(lab: &Lab, path: &str) -> Client {
    let mut client = lab.client().await;
    client.send(&format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n")).await;
    while client.read_line().await != "data: hello" {}
    client
}

#[tokio::test]
async fn a_stream_of_events_may_say_goodbye() {
    let lab = Lab::with_routes(Realtime, &with("one", ""), streams()).await;
    let mut client = listening(&lab, "/polite").await;
    let begun = Instant::now();
    lab.shutdown.cancel();
    let rest = client.rest().await;
    assert!(rest.ends_with(b"data: goodbye\n\n\r\n0\r\n\r\n"), "{rest:?}");
    lab.end().await;
    assert!(begun.elapsed() < Duration::from_secs(5), "and is not waited for any longer");
}

#[tokio::test]
async fn a_stream_without_end_is_cut_off_at_the_deadline() {
    let lab = Lab::with_routes(Realtime, &with("one", "drain_timeout_ms = 300"), streams()).await;
    let mut client = listening(&lab, "/deaf").await;
    let begun = Instant::now();
    lab.end().await;
    assert!(begun.elapsed() >= Duration::from_millis(300));
    let rest = client.rest().await;
    assert!(!rest.ends_with(b"0\r\n\r\n"), "it isn't told as a whole answer: {rest:?}");
}

#[tokio::test]
async fn an_address_that_is_closed_says_goodbye_as_well() {
    let mut lab = Lab::with_routes(Realtime, &with("one", ""), streams()).await;
    let mut client = listening(&lab, "/polite").await;
    lab.apply(&text("two", &["127.0.0.2:0"])).await;
    assert!(client.rest().await.ends_with(b"data: goodbye\n\n\r\n0\r\n\r\n"));
    let mut client = listening(&lab, "/polite").await;
    lab.shutdown.cancel();
    assert!(client.rest().await.ends_with(b"data: goodbye\n\n\r\n0\r\n\r\n"));
    lab.end().await;
}

#[tokio::test]
async fn an_http2_client_is_told_to_go_away_and_has_its_answer() {
    let lab = Lab::with_routes(Realtime, &with("one", ""), streams()).await;
    let stream = TcpStream::connect(lab.address()).await.unwrap();
    let (mut client, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let ask = |path: &str, body| {
        let method = if path == "/echo" { "POST" } else { "GET" };
        let uri = format!("http://test{path}");
        Request::builder().method(method).uri(uri).body(body).unwrap()
    };
    let (tell, body) = channel::<Result<_, Infallible>>(1);
    let body = Body::from_stream(ReceiverStream::new(body));
    let mut events = client.send_request(ask("/polite", Body::empty())).await.unwrap().into_body();
    events.frame().await.unwrap().unwrap();
    let answer = client.send_request(ask("/echo", body));
    let answer = tokio::spawn(answer);
    tell.send(Ok(Bytes::from_static(b"half "))).await.unwrap();

    lab.shutdown.cancel();
    let goodbye = events.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(goodbye, "data: goodbye\n\n");
    // By GOAWAY: nothing more is sent.
    let gone = timeout(PATIENCE, async {
        while client.send_request(ask("/echo", Body::empty())).await.is_ok() {}
    });
    gone.await.expect("it isn't told to go away");
    tell.send(Ok(Bytes::from_static(b"and half"))).await.unwrap();
    drop(tell);
    let answer = timeout(PATIENCE, answer).await.unwrap().unwrap().unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "half and half");
    lab.end().await;
    timeout(PATIENCE, connection).await.expect("still open").unwrap().unwrap();
}

/// Once for as long as the drain may take.
#[tokio::test]
async fn an_http2_client_that_answers_nothing_is_not_waited_for() {
    let lab = Lab::new(Realtime, &with("one", "drain_timeout_ms = 60_000")).await;
    let mut client = lab.client().await;
    // The preface, settings, and a request by the static table of RFC 7541.
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
    let request = b"\0\0\x09\x01\x05\0\0\0\x01\x82\x86\x84\x01\x04test";
    client.send_anyway(request).await.unwrap();
    // The body of the answer is there, and with it all of it.
    let mut said = Vec::new();
    while !said.ends_with(b"}") {
        said.extend(client.exactly(1).await);
    }
    lab.end().await;
}

#[tokio::test]
async fn idle_connections_are_closed_at_once() {
    let lab = Lab::new(Realtime, &with("one", "drain_timeout_ms = 60_000")).await;
    let (mut idle, mut silent) = (lab.client().await, lab.client().await);
    assert_eq!(idle.name().await, "one");
    let refused = idle.get("/nothing").await;
    assert_eq!(refused.status, 404);
    let begun = Instant::now();
    lab.end().await;
    // A drain takes a minute otherwise.
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    idle.closed().await;
    silent.closed().await;
}

/// Once cut off as idle, since all of it had been given to who writes it.
#[tokio::test]
async fn a_large_answer_that_is_being_taken_is_no_idle_connection() {
    let lab = Lab::with_routes(Realtime, &with("one", ""), streams()).await;
    let mut client = lab.client().await;
    client.send("GET /large HTTP/1.1\r\nhost: test\r\n\r\n").await;
    client.read_line().await;
    lab.shutdown.cancel();
    take_large(&mut client).await;
    client.closed().await;
    lab.end().await;

    let limits = "[limits]\nkeep_alive_timeout_ms = 600";
    let lab = Lab::with_routes(Realtime, &with("one", limits), streams()).await;
    let mut client = lab.client().await;
    client.send("GET /large HTTP/1.1\r\nhost: test\r\n\r\n").await;
    take_large(&mut client).await;
    client.closed().await;
    lab.end().await;
}

/// As above.
#[tokio::test]
async fn a_large_answer_of_http2_that_is_being_taken_is_no_idle_connection() {
    let limits = "[limits]\nkeep_alive_timeout_ms = 600";
    for (limits, is_to_end) in [("", true), (limits, false)] {
        let lab = Lab::with_routes(Realtime, &with("one", limits), streams()).await;
        let stream = TcpStream::connect(lab.address()).await.unwrap();
        let (mut client, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        let connection = tokio::spawn(connection);
        let request = Request::get("http://test/large").body(Body::empty()).unwrap();
        let mut answer = client.send_request(request).await.unwrap().into_body();
        if is_to_end {
            lab.shutdown.cancel();
        }
        let (mut taken, mut rested) = (0, 0);
        while let Some(frame) = timeout(PATIENCE, answer.frame()).await.unwrap() {
            taken += frame.expect("cut off").into_data().unwrap().len();
            if taken >= rested + LARGE / 16 {
                rested = taken;
                sleep(Duration::from_millis(200)).await;
            }
        }
        assert_eq!(taken, LARGE);
        lab.end().await;
        timeout(PATIENCE, connection).await.expect("still open").unwrap().unwrap();
    }
}

/// Once dropped without a word, though its limit was not over.
#[tokio::test]
async fn a_head_that_has_begun_on_a_kept_connection_is_waited_for() {
    let get = "GET /nothing HTTP/1.1\r\nhost: test\r\n\r\n";
    let head = "POST /echo HTTP/1.1\r\nhost: test\r\n";
    let together = format!("{get}{head}");
    for parts in [&[get, head][..], &[&together], &[get, &head[..1], &head[1..]]] {
        let lab = Lab::with_routes(Realtime, &with("one", ""), streams()).await;
        let mut client = lab.client().await;
        client.send(parts[0]).await;
        assert_eq!(client.response().await.status, 404);
        for part in &parts[1..] {
            client.send(part).await;
        }
        // It is the same machine, but the part may not have been read yet.
        sleep(Duration::from_millis(50)).await;
        lab.shutdown.cancel();
        sleep(Duration::from_millis(400)).await;
        client.send("content-length: 4\r\n\r\nlast").await;
        let response = client.response().await;
        assert_eq!((&response.body[..], response.header("connection")), ("last", Some("close")));
        client.closed().await;
        lab.end().await;
    }
}

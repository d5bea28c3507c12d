//! HTTP/2 without TLS at the proxy, before servers that speak HTTP/1.1, and one that speaks it as well.

use std::{
    io,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use http_body_util::{BodyExt, Collected, Empty, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    Request, Response, StatusCode, Version,
    body::{Bytes, Frame, Incoming},
    client::conn::http2::{self, SendRequest},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpStream, sync::mpsc, time::timeout};

use crate::common::{Dev, Folder, PATIENCE, example};

type Body = UnsyncBoxBody<Bytes, io::Error>;
type Client = SendRequest<Body>;

async fn connect(address: &str) -> Client {
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (client, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    client
}

fn get(address: &str, path: &str) -> Request<Body> {
    let url = format!("http://{address}{path}");
    Request::get(url).body(empty()).unwrap()
}

fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// A body that goes on as it is sent, until the other end is dropped.
fn pieces() -> (mpsc::Sender<io::Result<&'static str>>, Body) {
    let (tx, mut rx) = mpsc::channel(2);
    let pieces = futures_util::stream::poll_fn(move |cx| {
        rx.poll_recv(cx).map_ok(|piece: &str| Frame::data(Bytes::from(piece)))
    });
    (tx, StreamBody::new(pieces).boxed_unsync())
}

/// Sees that the piece that was sent comes back before there is another, and returns what comes after that.
async fn come_back(
    tx: mpsc::Sender<io::Result<&'static str>>,
    mut body: Incoming,
) -> Collected<Bytes> {
    for piece in ["one", "two"] {
        if piece == "two" {
            tx.send(Ok(piece)).await.unwrap();
        }
        let frame = timeout(PATIENCE, body.frame()).await.unwrap().unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), piece);
    }
    drop(tx);
    timeout(PATIENCE, body.collect()).await.unwrap().unwrap()
}

async fn send(client: &mut Client, request: Request<Body>) -> Response<Incoming> {
    client.ready().await.unwrap();
    timeout(PATIENCE, client.send_request(request)).await.unwrap().unwrap()
}

async fn text(response: Response<Incoming>) -> String {
    let bytes = timeout(PATIENCE, response.into_body().collect()).await.unwrap().unwrap();
    String::from_utf8(bytes.to_bytes().to_vec()).unwrap()
}

fn start(env: &[(&str, &str)], arguments: &[&str]) -> (Folder, Dev, String) {
    let folder = Folder::with(&[("page.html", "<head><p>one")]);
    let server = example("web");
    let before = ["-s", "http::0", "--proxy"];
    let arguments: Vec<&str> =
        before.iter().chain(arguments).copied().chain(["--", &server]).collect();
    let mut dev = folder.dev_with(&arguments, env);
    let address = dev.address();
    (folder, dev, address)
}

#[tokio::test]
async fn requests_of_http2_are_passed_on_as_such_of_http1() {
    let (_folder, _dev, address) = start(&[], &[]);
    let mut client = connect(&address).await;
    let mut request = get(&address, "/echo?a=1");
    for cookie in ["a=1", "b=2"] {
        request.headers_mut().append("cookie", cookie.parse().unwrap());
    }
    let response = send(&mut client, request).await;
    assert_eq!((response.status(), response.version()), (StatusCode::OK, Version::HTTP_2));
    let head = response.headers()["x-head"].to_str().unwrap();
    for part in ["GET /echo?a=1 ", "\"a=1; b=2\"", &format!("\"{address}\"")] {
        assert!(head.contains(part), "{part}: {head}");
    }
    let mut request = get(&address, "/");
    request.headers_mut().insert("sec-fetch-dest", "document".parse().unwrap());
    let page = text(send(&mut client, request).await).await;
    assert!(page.starts_with("<head><script") && page.ends_with("</script><p>one"), "{page}");
    let refused = Request::get("http://rebound.example/").body(empty()).unwrap();
    assert_eq!(send(&mut client, refused).await.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_body_of_http2_goes_through_piece_by_piece() {
    let (_folder, _dev, address) = start(&[], &[]);
    let mut client = connect(&address).await;
    let (tx, body) = pieces();
    let mut request = get(&address, "/echo");
    *request.method_mut() = hyper::Method::POST;
    *request.body_mut() = body;
    tx.send(Ok("one")).await.unwrap();
    let body = send(&mut client, request).await.into_body();
    let rest = come_back(tx, body).await;
    assert_eq!(rest.to_bytes(), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_reset_holds_up_no_replacement() {
    let (folder, mut dev, address) = start(&[], &["--grace", "60s"]);
    dev.wait("ready");
    let mut client = connect(&address).await;
    let mut body = send(&mut client, get(&address, "/endless")).await.into_body();
    timeout(PATIENCE, body.frame()).await.unwrap().unwrap().unwrap();
    drop(body);
    folder.write("page.html", "two");
    let begun = Instant::now();
    dev.wait("drained");
    assert!(begun.elapsed() < Duration::from_secs(30));
    // The connection goes on.
    assert_eq!(text(send(&mut client, get(&address, "/")).await).await, "two");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_reset_is_not_taken_for_a_whole_one() {
    let (_folder, mut dev, address) = start(&[], &[]);
    dev.wait("ready");
    let mut client = connect(&address).await;
    for is_reset in [true, false] {
        let (tx, body) = pieces();
        tx.send(Ok("half")).await.unwrap();
        let mut request = get(&address, "/upload").map(|_empty| body);
        *request.method_mut() = hyper::Method::POST;
        let asks = tokio::spawn(client.send_request(request));
        dev.wait_for("output", |output| output["line"] == "upload begins");
        if is_reset {
            tx.send(Err(io::Error::other("enough"))).await.unwrap();
        }
        drop(tx);
        let ends = dev.wait_for("output", |_| true);
        assert_eq!(ends["line"], if is_reset { "upload breaks off" } else { "upload of 4" });
        // An answer, or the end of the stream.
        assert_eq!(asks.await.unwrap().is_err(), is_reset);
    }
}

#[tokio::test]
async fn headers_may_be_as_long_as_those_of_http1() {
    let (_folder, _dev, address) = start(&[], &[]);
    let mut client = connect(&address).await;
    let mut request = get(&address, "/");
    request.headers_mut().insert("x-long", "a".repeat(100_000).parse().unwrap());
    assert_eq!(send(&mut client, request).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn no_more_than_so_many_requests_wait() {
    let (_folder, dev, address) =
        start(&[("SLOW_START", "600000")], &["--proxy-wait", "4s", "--grace", "100ms"]);
    let mut all = Vec::new();
    for _ in 0..8 {
        let client = connect(&address).await;
        all.extend((0..150).map(|_| {
            let (mut client, request) = (client.clone(), get(&address, "/"));
            async move {
                let response = send(&mut client, request).await;
                assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
                text(response).await
            }
        }));
    }
    let answers = timeout(Duration::from_secs(60), join_all(all)).await.unwrap();
    let crowded = answers.iter().filter(|it| it.contains("1024 requests wait")).count();
    let late = answers.iter().filter(|it| it.contains("not ready within 4s")).count();
    assert_eq!((crowded, late), (8 * 150 - 1024, 1024));
    drop(dev);
}

/// It once went to the server as HTTP/1.1, and none could be answered.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_of_grpc_goes_both_ways_and_ends_with_trailers() {
    let folder = Folder::with(&[("proto", "one")]);
    let arguments = ["-s", "http::0", "--proxy", "--", &example("grpc")];
    let mut dev = folder.dev(&arguments);
    let address = dev.address();
    let mut client = connect(&address).await;
    let mut pids = Vec::new();
    for n in 1..=2 {
        dev.wait_for("ready", |ready| ready["generation"] == n);
        let (tx, body) = pieces();
        let mut request = get(&address, "/echo.Echo/Say").map(|_empty| body);
        *request.method_mut() = hyper::Method::POST;
        request.headers_mut().insert("te", "trailers".parse().unwrap());
        request.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
        tx.send(Ok("one")).await.unwrap();
        let response = send(&mut client, request).await;
        assert_eq!(response.status(), StatusCode::OK);
        let head = response.headers()["x-head"].to_str().unwrap();
        assert_eq!(head, format!("http://{address}/echo.Echo/Say Some(\"trailers\")"));
        pids.push(response.headers()["x-pid"].clone());
        let rest = come_back(tx, response.into_body()).await;
        let trailers = rest.trailers().unwrap();
        assert_eq!((trailers["grpc-status"].as_bytes(), trailers.len()), (&b"0"[..], 2));
        folder.write("proto", "two");
    }
    assert_ne!(pids[0], pids[1]);
    // One without a body, among many at once.
    let all = (0..50).map(|_| {
        let (mut client, request) = (client.clone(), get(&address, "/empty"));
        async move { text(send(&mut client, request).await).await }
    });
    assert!(join_all(all).await.iter().all(String::is_empty));
}

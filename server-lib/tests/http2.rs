//! The same connection speaks HTTP/2 where the client does.

mod common;

use axum::body::Body;
use common::{Lab, PATIENCE, admin, text, with_admin};
use hot_reload::WatchStrategy::Realtime;
use http_body_util::BodyExt;
use hyper::{Request, Version, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpStream, time::timeout};

async fn ask(to: &mut http2::SendRequest<Body>) -> String {
    let request = Request::get("http://test/").version(Version::HTTP_2).body(Body::empty());
    let response = to.send_request(request.unwrap()).await.unwrap();
    assert_eq!(response.status(), 200);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let said: serde_json::Value = serde_json::from_slice(&body).unwrap();
    said["name"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn follows_the_configuration_and_ends_with_the_server() {
    let mut lab = Lab::new(Realtime, &text("one", &["127.0.0.1:0"])).await;
    let stream = TcpStream::connect(lab.address()).await.unwrap();
    let (mut client, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    assert_eq!(ask(&mut client).await, "one");
    lab.apply(&text("two", &["127.0.0.1:0"])).await;
    assert_eq!(ask(&mut client).await, "two");

    lab.end().await;
    timeout(PATIENCE, connection).await.expect("still open").unwrap().unwrap();
}

/// It says its host by `:authority`, RFC 9113, section 8.3.1.
#[tokio::test]
async fn whom_another_name_has_led_to_who_looks_after_the_server_gets_nothing() {
    let lab = Lab::new(Realtime, &with_admin("one")).await;
    let stream = TcpStream::connect(admin(&lab)).await.unwrap();
    let (mut client, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    for (target, want) in [("http://localhost:1/livez", 200), ("http://rebound.example/livez", 403)]
    {
        let request = Request::get(target).version(Version::HTTP_2).body(Body::empty());
        let response = client.send_request(request.unwrap()).await.unwrap();
        assert_eq!(response.status(), want, "{target}");
    }
    drop(client);
    lab.end().await;
    timeout(PATIENCE, connection).await.expect("still open").unwrap().unwrap();
}

//! What whoever looks after a server can ask, and have done.

mod common;

use std::{net::SocketAddr, os::unix::fs::PermissionsExt};

use common::{Client, Lab, Response, text};
use hot_reload::WatchStrategy::Realtime;

/// A configuration with `name`, and an address for who looks after it.
fn with_admin(name: &str) -> String {
    format!("{}admin_address = '127.0.0.1:0'\n", text(name, &["127.0.0.1:0"]))
}

fn admin(lab: &Lab) -> SocketAddr {
    lab.status.borrow().admin_address.as_ref().unwrap().socket_addr().unwrap()
}

async fn ask(lab: &Lab, method: &str, path: &str) -> Response {
    let mut client = Client::connect(admin(lab)).await;
    let request =
        format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nx-requested-by: a test\r\n\r\n");
    client.send(&request).await;
    client.response().await
}

async fn json(lab: &Lab, path: &str) -> serde_json::Value {
    let answer = ask(lab, "GET", path).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    serde_json::from_str(&answer.body).unwrap()
}

#[tokio::test]
async fn it_says_how_it_is_doing() {
    let mut lab = Lab::new(Realtime, &with_admin("one")).await;
    assert_eq!(ask(&lab, "GET", "/livez").await.status, 200);
    assert_eq!(ask(&lab, "GET", "/readyz").await.status, 200);
    let status = json(&lab, "/status").await;
    assert_eq!((&status["health"], &status["generation"]), (&"fresh".into(), &1.into()));
    assert_eq!(status["addresses"][0], lab.address().to_string());

    lab.break_by("name = ").await;
    let status = json(&lab, "/status").await;
    assert_eq!((&status["health"], &status["error_at"]["line"]), (&"retrying".into(), &1.into()));
    assert_eq!(ask(&lab, "GET", "/readyz").await.status, 200, "the last good one serves");
    // The application's routes are elsewhere, and the other way round.
    assert_eq!(ask(&lab, "GET", "/healthz").await.status, 404);
    assert_eq!(lab.client().await.get("/status").await.status, 404);
    lab.apply(&with_admin("two")).await;
    lab.end().await;
}

#[tokio::test]
async fn it_reloads_and_rolls_back() {
    let lab = Lab::with(Realtime, &with_admin("one"), |service| service.history(3)).await;
    let mut lab = lab;
    lab.apply(&with_admin("two")).await;
    let answer = ask(&lab, "POST", "/reload").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "unchanged\n"));
    let history = json(&lab, "/history").await;
    assert_eq!((&history[0]["generation"], &history[1]["reason"]), (&1.into(), &"event".into()));

    let answer = ask(&lab, "POST", "/rollback/1").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "published generation 3\n"));
    assert_eq!(lab.name().await, "one");
    let answer = ask(&lab, "POST", "/reload").await;
    assert!(answer.status == 409 && answer.body.contains("pinned"), "{answer:?}");
    assert_eq!(ask(&lab, "POST", "/rollback/9").await.status, 409);
    assert_eq!(ask(&lab, "POST", "/resume").await.status, 200);
    lab.until("it is resumed", |status| status.generation == 4).await;
    assert_eq!(lab.name().await, "two");
    lab.end().await;
}

#[tokio::test]
async fn nobody_gets_through_whom_a_page_may_have_sent() {
    let lab = Lab::new(Realtime, &with_admin("one")).await;
    for request in [
        "POST /reload HTTP/1.1\r\nhost: localhost\r\n\r\n",
        "GET /status HTTP/1.1\r\nhost: rebound.example\r\n\r\n",
        "GET /status HTTP/1.1\r\nhost: localhost\r\norigin: http://example.com\r\n\r\n",
    ] {
        let mut client = Client::connect(admin(&lab)).await;
        client.send(request).await;
        assert_eq!(client.response().await.status, 403, "{request}");
    }
    lab.end().await;
}

#[tokio::test]
async fn its_socket_is_for_its_owner_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("admin.sock");
    let text =
        format!("{}admin_address = 'unix:{}'\n", text("one", &["127.0.0.1:0"]), path.display());
    let lab = Lab::new(Realtime, &text).await;
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    lab.end().await;
    assert!(!path.exists());
}

#[tokio::test]
async fn an_address_that_others_can_reach_is_refused() {
    let lab = Lab::new(Realtime, &with_admin("one")).await;
    lab.break_by(&with_admin("two").replace("'127.0.0.1:0'\n", "'0.0.0.0:9000'\n")).await;
    let error = lab.receiver.status().last_error.unwrap();
    assert!(error.contains("0.0.0.0:9000 can be reached from elsewhere"), "{error}");
    assert_eq!(lab.name().await, "one");
    lab.end().await;
}

//! What whoever looks after a server can ask, and have done.

mod common;

use std::os::unix::fs::PermissionsExt;

const EVENTS: &str = "GET /events HTTP/1.1\r\nhost: localhost\r\n\r\n";

use common::{Client, Lab, PATIENCE, admin, ask, ask_at, json, text, with_admin};
use hot_reload::WatchStrategy::Realtime;
use tokio::{net::TcpStream, time::timeout};

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
    let answer = ask(&lab, "POST", "/rollback/abc").await;
    let want = "a generation is a number, such as 3\n";
    assert_eq!((answer.status, answer.body.as_str()), (400, want));
    assert_eq!(ask(&lab, "POST", "/resume").await.status, 200);
    lab.until("it is resumed", |status| status.generation == 4).await;
    assert_eq!(lab.name().await, "two");
    lab.end().await;
}

/// Whoever goes back to a time before there was an address to ask at could not be told to go on.
#[tokio::test]
async fn a_rollback_leaves_the_address_to_ask_at_open() {
    let before = text("one", &["127.0.0.1:0"]);
    let mut lab = Lab::with(Realtime, &before, |service| service.history(3)).await;
    lab.apply(&with_admin("two")).await;
    assert_eq!(ask(&lab, "POST", "/rollback/1").await.status, 200);
    lab.until("it went back", |status| status.generation == 3).await;
    assert_eq!(lab.name().await, "one");
    assert_eq!(ask(&lab, "POST", "/resume").await.status, 200);
    lab.until("it is resumed", |status| status.generation == 4).await;
    assert_eq!(lab.name().await, "two");
    lab.end().await;
}

#[tokio::test]
async fn history_has_the_keys_that_changed_and_no_value() {
    let lab = Lab::with(Realtime, &with_admin("one"), |service| service.history(3)).await;
    let mut lab = lab;
    lab.apply(&format!("greeting = 'secret'\n{}", with_admin("two"))).await;
    let history = json(&lab, "/history").await;
    assert_eq!(history[0]["changed"], serde_json::Value::Null, "{history}");
    assert_eq!(history[1]["changed"], serde_json::json!(["name", "greeting"]), "{history}");
    assert!(!history.to_string().contains("secret"), "{history}");
    assert_eq!(ask(&lab, "POST", "/rollback/1").await.status, 200);
    let history = json(&lab, "/history").await;
    let last = history.as_array().unwrap().last().unwrap();
    assert_eq!((&last["of"], &last["changed"]), (&1.into(), &history[0]["changed"]), "{history}");
    lab.end().await;
}

#[tokio::test]
async fn it_says_where_the_configuration_is_from_and_how_that_is_followed() {
    let lab = Lab::new(Realtime, &with_admin("one")).await;
    let status = json(&lab, "/status").await;
    assert_eq!(status["source"], lab.path.to_str().unwrap());
    assert_eq!((&status["strategy"], &status["mechanism"]), (&"realtime".into(), &"events".into()));
    assert_eq!((&status["name"], &status["draining"]), (&"one".into(), &false.into()));
    lab.end().await;
}

#[tokio::test]
async fn it_can_be_seen_draining() {
    let lab = Lab::new(Realtime, &with_admin("one")).await;
    let mut slow = lab.client().await;
    slow.send(
        "POST /echo HTTP/1.1\r\nhost: test\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n",
    )
    .await;
    assert_eq!(slow.response().await.status, 100);
    let (admin, address) = (admin(&lab), lab.address());
    let mut idle = Client::connect(admin).await;
    idle.send("GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert_eq!(idle.response().await.status, 200);

    lab.shutdown.cancel();
    let closed = timeout(PATIENCE, async { while TcpStream::connect(address).await.is_ok() {} });
    closed.await.expect("still listening");
    let ready = ask(&lab, "GET", "/readyz").await;
    assert_eq!((ready.status, ready.body.as_str()), (503, "not ready: shutting down\n"));
    idle.send("GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert_eq!(idle.response().await.status, 200);
    assert_eq!(json(&lab, "/status").await["draining"], true);

    slow.send("last").await;
    assert_eq!(slow.response().await.body, "last");
    lab.end().await;
    idle.closed().await;
    assert!(TcpStream::connect(admin).await.is_err());
}

#[tokio::test]
async fn without_a_daemon_nothing_is_recorded() {
    let lab = Lab::new(Realtime, &with_admin("one")).await;
    let answer = ask(&lab, "GET", "/metrics").await;
    assert_eq!(answer.status, 501);
    assert!(answer.body.contains("no daemon"), "{answer:?}");
    lab.end().await;
}

#[tokio::test]
async fn its_page_runs_nothing_but_its_own() {
    let lab = Lab::new(Realtime, &with_admin("one")).await;
    let (page, other) = (ask(&lab, "GET", "/").await, ask(&lab, "GET", "/").await);
    assert_eq!((page.status, page.header("cache-control")), (200, Some("no-store")));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'nonce-"), "{policy}");
    assert_ne!(Some(policy), other.header("content-security-policy"));
    let nonce = policy.split("'nonce-").nth(1).unwrap().split('\'').next().unwrap();
    assert!(page.body.contains(&format!("<script nonce=\"{nonce}\">")), "{nonce}");
    assert!(!page.body.contains("://"), "it asks for something elsewhere");
    lab.end().await;
}

#[tokio::test]
async fn nobody_gets_through_whom_a_page_may_have_sent() {
    let lab = Lab::new(Realtime, &with_admin("one")).await;
    for request in [
        "POST /reload HTTP/1.1\r\nhost: localhost\r\n\r\n",
        "GET /status HTTP/1.1\r\nhost: rebound.example\r\n\r\n",
        "GET http://rebound.example/status HTTP/1.1\r\nhost: localhost\r\n\r\n",
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

/// A line of the file that is wrong may hold a secret, and the file may be for its owner alone.
#[tokio::test]
async fn at_an_address_for_every_user_nothing_is_told_of_what_the_file_holds() {
    let lab = Lab::new(Realtime, &with_admin("one")).await;
    lab.break_by(&format!("id = 'hunter2'\n{}", with_admin("two"))).await;
    for (method, path) in [("GET", "/status"), ("POST", "/reload"), ("POST", "/resume")] {
        let said = ask(&lab, method, path).await.body;
        assert!(!said.contains("hunter2"), "{path}: {said}");
        let place = format!("{}:1:6: invalid type: string ", lab.path.display());
        assert!(said.contains(&place) && said.contains('…'), "{path}: {said}");
    }
    let mut reader = Client::connect(admin(&lab)).await;
    reader.send(EVENTS).await;
    assert_eq!(reader.response().await.status, 200);
    loop {
        let told = reader.read_line().await;
        assert!(!told.contains("hunter2"), "{told}");
        if told.starts_with("data: ") {
            break;
        }
    }
    lab.end().await;
}

#[tokio::test]
async fn at_its_socket_an_error_is_told_with_the_line_of_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("admin.sock");
    let text = |name| {
        format!("{}admin_address = 'unix:{}'\n", text(name, &["127.0.0.1:0"]), path.display())
    };
    let lab = Lab::new(Realtime, &text("one")).await;
    lab.break_by(&format!("id = 'hunter2'\n{}", text("two"))).await;
    for (method, of) in [("GET", "/status"), ("POST", "/reload"), ("POST", "/resume")] {
        let said = ask_at(&path, method, of).await.body;
        assert!(said.contains("1 | id = 'hunter2'"), "{of}: {said}");
    }
    lab.end().await;
}

/// Connections that say nothing would take the descriptors of the application's.
#[tokio::test]
async fn it_has_few_connections_at_once() {
    let lab = Lab::new(Realtime, &with_admin("one")).await;
    let mut idle = Vec::new();
    for _ in 0..32 {
        let mut client = Client::connect(admin(&lab)).await;
        assert_eq!(client.get_from("localhost", "/livez").await.status, 200);
        idle.push(client);
    }
    let mut waiting = Client::connect(admin(&lab)).await;
    waiting.send("GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    // It may not have been seen yet.
    let kept = &mut idle[0];
    let told = timeout(PATIENCE, async {
        while kept.get_from("localhost", "/livez").await.header("connection").is_none() {}
    });
    told.await.expect("there is room for any number");
    kept.closed().await;
    assert_eq!(waiting.response().await.status, 200);
    assert_eq!(lab.name().await, "one");
    lab.end().await;
}

/// Who reads them never ends by itself, and would leave no connection for who asks whether it lives.
#[tokio::test]
async fn half_of_its_connections_are_left_by_who_reads_events() {
    let lab = Lab::new(Realtime, &with_admin("one")).await;
    let mut readers = Vec::new();
    for _ in 0..16 {
        let mut reader = Client::connect(admin(&lab)).await;
        reader.send(EVENTS).await;
        assert_eq!(reader.response().await.status, 200);
        readers.push(reader);
    }
    let mut another = Client::connect(admin(&lab)).await;
    assert_eq!(another.get_from("localhost", "/events").await.status, 503);
    assert_eq!(another.get_from("localhost", "/livez").await.status, 200);
    lab.end().await;
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

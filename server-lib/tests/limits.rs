//! What a client may ask of the server follows the configuration, for those that are there as well.

mod common;

use common::{Client, Lab, Response, text};
use hot_reload::WatchStrategy::Realtime;
use tokio::time::{Instant, sleep};

const LOOPBACK: &str = "127.0.0.1:0";

fn with(name: &str, limits: &str) -> String {
    format!("{}admin_address = '127.0.0.1:0'\n[limits]\n{limits}\n", text(name, &[LOOPBACK]))
}

async fn large_head(client: &mut Client, bytes: usize) -> Response {
    let filler = "a".repeat(bytes);
    client
        .send(&format!("GET /healthz HTTP/1.1\r\nhost: test\r\nx-filler: {filler}\r\n\r\n"))
        .await;
    client.response().await
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_until_one_ends() {
    let lab = Lab::new(Realtime, &with("one", "max_connections = 2")).await;
    let (mut first, mut second) = (lab.client().await, lab.client().await);
    assert_eq!((first.name().await, second.name().await), ("one".into(), "one".into()));
    let mut waiting = lab.client().await;
    waiting.send("GET /healthz HTTP/1.1\r\nhost: test\r\n\r\n").await;
    // Whoever looks after the server gets through, and sees how it is.
    assert_eq!(lab.connections().await, 2);
    drop(first);
    assert_eq!(waiting.response().await.body, "ok\n");
    lab.end().await;
}

#[tokio::test]
async fn who_has_been_answered_gives_way_to_who_waits() {
    let lab = Lab::new(Realtime, &with("one", "max_connections = 1")).await;
    let mut kept = lab.client().await;
    let answer = kept.get("/healthz").await;
    assert_eq!((answer.status, answer.header("connection")), (200, None));
    let mut waiting = lab.client().await;
    waiting.send("GET /healthz HTTP/1.1\r\nhost: test\r\n\r\n").await;
    // It may not have been seen yet.
    while kept.get("/healthz").await.header("connection").is_none() {}
    kept.closed().await;
    assert_eq!(waiting.response().await.body, "ok\n");
    lab.end().await;
}

#[tokio::test]
async fn the_limit_of_connections_is_hot() {
    let mut lab = Lab::new(Realtime, &with("one", "max_connections = 1")).await;
    let mut first = lab.client().await;
    assert_eq!(first.name().await, "one");
    let mut second = lab.client().await;
    second.send("GET /healthz HTTP/1.1\r\nhost: test\r\n\r\n").await;
    assert_eq!(lab.connections().await, 1);
    lab.apply(&with("two", "max_connections = 2")).await;
    assert_eq!(second.response().await.body, "ok\n");

    lab.apply(&with("three", "max_connections = 1")).await;
    assert_eq!((first.name().await, second.name().await), ("three".into(), "three".into()));
    let mut third = lab.client().await;
    third.send("GET /healthz HTTP/1.1\r\nhost: test\r\n\r\n").await;
    drop(first);
    lab.until_connections(1).await;
    assert_eq!(second.name().await, "three");
    drop(second);
    assert_eq!(third.response().await.body, "ok\n");
    lab.end().await;
}

#[tokio::test]
async fn a_client_with_too_many_connections_takes_them_from_nobody_else() {
    let limits = |most| format!("max_connections = 3\nmax_connections_per_client = {most}");
    let mut lab = Lab::new(Realtime, &with("one", &limits(2))).await;
    let (mut first, mut second) = (lab.client().await, lab.client().await);
    assert_eq!((first.name().await, second.name().await), ("one".into(), "one".into()));
    for _ in 0..20 {
        lab.client().await.closed().await;
    }
    let from_elsewhere = Client::connect_from("127.0.0.9", lab.address()).await.name().await;
    assert_eq!(from_elsewhere, "one");

    lab.until_connections(2).await;
    lab.apply(&with("two", &limits(3))).await;
    assert_eq!(lab.name().await, "two");
    lab.until_connections(2).await;
    lab.apply(&with("three", &limits(1))).await;
    assert_eq!((first.name().await, second.name().await), ("three".into(), "three".into()));
    drop(first);
    lab.until_connections(1).await;
    lab.client().await.closed().await;
    drop(second);
    lab.until_connections(0).await;
    assert_eq!(lab.name().await, "three");
    lab.end().await;
}

#[tokio::test]
async fn the_size_of_a_head_is_limited_for_connections_that_begin() {
    let mut lab = Lab::new(Realtime, &with("one", "max_header_bytes = 8192")).await;
    let mut before = lab.client().await;
    assert_eq!(large_head(&mut before, 6000).await.status, 200);
    assert_eq!(large_head(&mut lab.client().await, 9000).await.status, 431);
    lab.apply(&with("two", "max_header_bytes = 65536")).await;
    assert_eq!(large_head(&mut lab.client().await, 60_000).await.status, 200);
    assert_eq!(large_head(&mut before, 9000).await.status, 431, "as it was when this one began");
    before.closed().await;
    lab.apply(&with("three", "max_header_bytes = 8192")).await;
    assert_eq!(large_head(&mut lab.client().await, 9000).await.status, 431);
    lab.end().await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_one_that_asks_again_is_not() {
    let limits = "keep_alive_timeout_ms = 1000\nheader_timeout_ms = 60_000";
    let lab = Lab::new(Realtime, &with("one", limits)).await;
    let (mut idle, mut asking) = (lab.client().await, lab.client().await);
    assert_eq!(idle.name().await, "one");
    for _ in 0..6 {
        assert_eq!(asking.name().await, "one");
        sleep(std::time::Duration::from_millis(200)).await;
    }
    idle.closed().await;
    // Its first request has another limit.
    let mut silent = lab.client().await;
    sleep(std::time::Duration::from_millis(1200)).await;
    assert_eq!(silent.name().await, "one");
    lab.end().await;
}

fn rate(name: &str, rate: &str) -> String {
    with(name, &format!("[limits.rate]\n{rate}"))
}

#[tokio::test]
async fn too_many_requests_are_refused_and_told_when_to_come_again() {
    let mut lab = Lab::new(Realtime, &rate("one", "requests_per_second = 1\nburst = 2")).await;
    let mut client = lab.client().await;
    assert_eq!(client.get("/healthz").await.status, 200);
    assert_eq!(client.get("/healthz").await.status, 200);
    let refused = client.get("/healthz").await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")));
    assert_eq!(lab.client().await.get("/healthz").await.status, 429, "it is the same client");
    // Whoever looks after the server is no client.
    for _ in 0..5 {
        lab.connections().await;
    }
    lab.apply(&rate("two", "requests_per_second = 1000")).await;
    assert_eq!(client.name().await, "two", "on a connection that is open");
    lab.apply(&with("three", "")).await;
    for _ in 0..5 {
        assert_eq!(client.name().await, "three");
    }
    lab.end().await;
}

#[tokio::test]
async fn who_is_limited_stays_so_when_something_else_is_edited() {
    let limit = "requests_per_second = 1\nburst = 1\nper = 'server'";
    let mut lab = Lab::new(Realtime, &rate("one", limit)).await;
    let mut client = lab.client().await;
    let (begun, mut answered) = (Instant::now(), 0);
    for n in 0..20 {
        answered += u64::from(client.get("/healthz").await.status == 200);
        lab.apply(&rate(&n.to_string(), limit)).await;
    }
    // The burst, and one for each second since.
    let most = 1 + begun.elapsed().as_secs();
    assert!(answered <= most, "{answered} answered, and not {most}");
    lab.end().await;
}

#[tokio::test]
async fn a_limit_that_makes_no_sense_is_refused_with_its_place() {
    let lab = Lab::new(Realtime, &with("one", "")).await;
    for (bad, want) in [
        ("max_header_bytes = 100", ":5:20: it is at least 8192 and at most 1048576"),
        (
            "max_connections = 0",
            ":5:19: invalid value: integer `0`, expected a whole number, at least 1",
        ),
        ("max_conections = 1", ":5:1: unknown field `max_conections`"),
        ("[limits.rate]\nburst = 3", ":5:1: missing field `requests_per_second`"),
        ("[limits.rate]\nrequests_per_second = 0", ":6:23: invalid value: integer `0`"),
    ] {
        lab.break_by(&with("two", bad)).await;
        let error = lab.receiver.status().last_error.unwrap();
        assert!(error.contains(want), "{bad}: {error}");
        assert_eq!(lab.name().await, "one");
    }
    lab.end().await;
}

#[tokio::test]
async fn a_connection_keeps_the_time_outs_that_it_began_with() {
    let mut lab = Lab::new(Realtime, &with("one", "keep_alive_timeout_ms = 60_000")).await;
    let mut before = lab.client().await;
    assert_eq!(before.name().await, "one");
    lab.apply(&with("two", "keep_alive_timeout_ms = 200\nheader_timeout_ms = 200")).await;
    let (mut idle, mut slow) = (lab.client().await, lab.client().await);
    assert_eq!(idle.name().await, "two");
    slow.send("GET /").await;
    idle.closed().await;
    slow.closed().await;
    assert_eq!(before.name().await, "two");

    lab.apply(&with("three", "keep_alive_timeout_ms = 60_000")).await;
    let mut after = lab.client().await;
    assert_eq!(after.name().await, "three");
    sleep(std::time::Duration::from_millis(300)).await;
    assert_eq!((before.name().await, after.name().await), ("three".into(), "three".into()));
    lab.end().await;
}

#[tokio::test]
async fn a_request_has_the_time_out_that_it_begins_with() {
    let slow = "POST /echo HTTP/1.1\r\nhost: test\r\ncontent-length: 5\r\n\r\nab";
    let mut lab = Lab::new(Realtime, &with("one", "")).await;
    let (mut patient, mut hurried) = (lab.client().await, lab.client().await);
    patient.send(&slow.replace("host", "expect: 100-continue\r\nhost").replace("ab", "")).await;
    assert_eq!((patient.response().await.status, hurried.name().await), (100, "one".into()));
    let short = with("two", "").replace("[limits]", "request_timeout_ms = 200\n[limits]");
    lab.apply(&short).await;
    hurried.send(slow).await;
    assert_eq!(hurried.response().await.status, 408);
    patient.send("abcde").await;
    assert_eq!(patient.response().await.body, "abcde");
    lab.end().await;
}

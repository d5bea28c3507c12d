//! What a running server doesn't take from its configuration is said.

mod common;

use common::{Lab, json, text};
use hot_reload::WatchStrategy::Realtime;

fn with(name: &str, rest: &str) -> String {
    format!("{}admin_address = '127.0.0.1:0'\n{rest}\n", text(name, &["127.0.0.1:0"]))
}

async fn needs_restart(lab: &Lab) -> serde_json::Value {
    json(lab, "/status").await["needs_restart"].clone()
}

#[tokio::test]
async fn what_needs_a_restart_is_said_until_it_is_undone() {
    let mut lab = Lab::new(Realtime, &with("one", "worker_threads = 2")).await;
    assert_eq!(needs_restart(&lab).await, serde_json::json!([]));
    let status = lab.apply(&with("two", "worker_threads = 3")).await;
    assert_eq!(status.needs_restart, ["worker_threads"]);
    assert_eq!(needs_restart(&lab).await, serde_json::json!(["worker_threads"]));
    assert_eq!(lab.name().await, "two", "all the rest is in use");

    // Against what it was started with, not against what came last.
    let status = lab.apply(&with("three", "worker_threads = 3")).await;
    assert_eq!(status.needs_restart, ["worker_threads"]);
    let status = lab.apply(&with("four", "worker_threads = 2")).await;
    assert!(status.needs_restart.is_empty());
    lab.end().await;
}

#[tokio::test]
async fn a_number_of_threads_that_makes_no_sense_is_refused_with_its_place() {
    let lab = Lab::new(Realtime, &with("one", "")).await;
    for (bad, want) in [("0", "at least 1"), ("100_000", "at most 1024 threads")] {
        lab.break_by(&with("two", &format!("worker_threads = {bad}"))).await;
        let error = lab.receiver.status().last_error.unwrap();
        assert!(error.contains(":4:18: ") && error.contains(want), "{error}");
    }
    lab.end().await;
}

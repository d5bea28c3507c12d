//! What a daemon counts and measures, as Prometheus reads it.

mod common;

use std::collections::BTreeMap;

use common::{Lab, PATIENCE, ask, with_admin};
use hot_reload::WatchStrategy::Realtime;
use tokio::time::timeout;

/// Reads the text format (<https://prometheus.io/docs/instrumenting/exposition_formats/>): each
/// sample by its name and labels; anything that is none fails.
fn parse(text: &str) -> BTreeMap<String, String> {
    let mut samples = BTreeMap::new();
    let mut kinds = BTreeMap::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Some(comment) = line.strip_prefix("# ") {
            let parts: Vec<&str> = comment.splitn(3, ' ').collect();
            let [keyword, name, rest] = parts[..] else { panic!("{line}") };
            assert!(matches!(keyword, "HELP" | "TYPE"), "{line}");
            if keyword == "TYPE" {
                assert!(matches!(rest, "counter" | "gauge" | "histogram"), "{line}");
                assert_eq!(kinds.insert(name.to_owned(), rest.to_owned()), None, "{line}");
            }
            continue;
        }
        let (series, value) = line.rsplit_once(' ').expect(line);
        let name = series.split('{').next().unwrap();
        let is_named = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        assert!(is_named && series.contains('{') == series.ends_with('}'), "{line}");
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
        let is_known = |name: &str| kinds.contains_key(name);
        assert!(is_known(name) || family.is_some_and(is_known), "{line}");
        assert!(value.parse::<f64>().is_ok(), "{line}");
        assert_eq!(samples.insert(series.to_owned(), value.to_owned()), None, "{line}");
    }
    samples
}

async fn samples(lab: &Lab) -> BTreeMap<String, String> {
    let answer = ask(lab, "GET", "/metrics").await;
    let kind = answer.header("content-type");
    assert_eq!((answer.status, kind), (200, Some("text/plain; version=0.0.4")));
    parse(&answer.body)
}

/// One server, as all of a process share what is recorded.
#[tokio::test]
async fn requests_connections_and_configurations_are_counted() {
    let mut lab = Lab::daemon(Realtime, &with_admin("one")).await;
    let mut client = lab.client().await;
    for (path, status) in [("/", 200), ("/healthz", 200), ("/nothing", 404)] {
        assert_eq!(client.get(path).await.status, status);
    }
    let now = samples(&lab).await;
    assert_eq!(now["server_lib_requests_total{code=\"2xx\"}"], "2");
    assert_eq!(now["server_lib_requests_total{code=\"4xx\"}"], "1");
    assert_eq!(now["server_lib_requests_total{code=\"5xx\"}"], "0");
    assert_eq!(now["server_lib_request_duration_seconds_count"], "3");
    assert_eq!(now["server_lib_request_duration_seconds_bucket{le=\"+Inf\"}"], "3");
    assert_eq!(now["server_lib_connections"], "1", "but for those that ask here");
    assert_eq!(now["server_lib_connections_total"], "1");
    assert_eq!(now["server_lib_generation"], "1");

    lab.apply(&with_admin("two")).await;
    // It parses, and can't work.
    let unfit = with_admin("three").replace("[\"127.0.0.1:0\"]", "[\"192.0.2.1:9\"]");
    lab.break_by(&unfit).await;
    lab.break_by(&unfit).await;
    drop(client);
    let closed =
        timeout(PATIENCE, async { while samples(&lab).await["server_lib_connections"] != "0" {} });
    closed.await.expect("it counts as open");
    let now = samples(&lab).await;
    assert_eq!(now["server_lib_generation"], "2");
    assert_eq!(now["server_lib_refusals_total"], "1", "however often it is tried");
    lab.replace(&with_admin("two"));
    lab.until("it is undone", |status| status.refusal.is_none()).await;
    lab.break_by(&unfit).await;
    lab.until("it is refused again", |status| status.refusal.is_some()).await;
    assert_eq!(samples(&lab).await["server_lib_refusals_total"], "2");
    let source = lab.path.display();
    let generation = format!("hot_reload_generation{{source=\"{source}\"}}");
    assert_eq!(now[&generation], "2");
    lab.end().await;
}

//! A recorder of the application's own stays: it is for the whole process, so this is one.

mod common;

use common::{Lab, ask, with_admin};
use hot_reload::WatchStrategy::Realtime;

#[tokio::test]
async fn a_recorder_of_the_application_stays() {
    metrics::set_global_recorder(metrics::NoopRecorder).unwrap();
    let lab = Lab::daemon(Realtime, &with_admin("one")).await;
    let answer = ask(&lab, "GET", "/metrics").await;
    assert_eq!(answer.status, 501);
    assert!(answer.body.contains("recorder of its own"), "{answer:?}");
    assert_eq!(lab.name().await, "one");
    lab.end().await;
}

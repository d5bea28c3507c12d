//! That a service starts without its server.

use super::case::Case;
use crate::{config::WatchStrategy, testing::Rig};

/// A service that kept its last good value on disk starts with it while the server is gone, says so, and
/// takes what the server has once it is back.
pub async fn the_last_good_value_on_disk_is_there_at_the_start<R: Rig>(strategy: WatchStrategy) {
    let rule = "the last good value on disk is there at the start";
    let case = Case::<R>::begin(rule, strategy).await;
    case.put(1).await;
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("last-good");
    let follow = || {
        let source = case.rig.source(case.proxy.address());
        let mut follow = case.service(source, case.options());
        follow.service = follow.service.last_good(&path);
        follow.start()
    };
    let mut live = follow();
    live.sees(1, "the first value").await;
    live.keeps(&path).await;
    live.stop().await;
    drop(live);

    case.rig.kill().await;
    let mut live = follow();
    live.sees(1, "the last good value, from disk").await;
    live.check(live.status().is_restored, "the status to say that it is from disk");
    live.says_trouble("that the server is gone").await;
    case.rig.restart().await;
    live.says("that it is not from disk any more", |status| !status.is_restored).await;
    case.put(2).await;
    live.sees(2, "a change, once the server is back").await;
}

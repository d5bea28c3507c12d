//! One service, from the first look at its files to its end.

use std::{sync::Arc, time::Duration};

use hot_reload::{ReloaderOptions, ReloaderService};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    failure::Failure,
    report::{Told, WatchedBy, milliseconds},
    runner::Runner,
    tree::{Mechanism, Tree},
};

/// A large tree on another machine takes its time; it is not given up on, as nothing else would help.
const LONGEST_LOOK: Duration = Duration::from_secs(3600);

/// Follows the files of a service, and runs it.
pub(super) async fn serve(runner: Runner) -> Result<(), Failure> {
    let (tree, over) = (runner.tree.clone(), runner.over.clone());
    let options = ReloaderOptions::realtime().load_timeout(LONGEST_LOOK);
    let (service, mut edits) = ReloaderService::from_reloader(tree.clone(), options);
    let service = service.with_shutdown({
        let over = over.clone();
        async move { over.come().await }
    });
    let following = tokio::spawn(async move { service.start_with_realtime().await });
    // The files as they were before the first build.
    tokio::select! {
        biased;
        () = over.come() => {
            let (because, pids) = (over.why(), Vec::new());
            runner.report.tell(&runner.name, Told::Ending { because, pids, milliseconds: 0 });
            runner.report.tell(&runner.name, Told::Ended { because });
            return Ok(());
        }
        read = edits.changed() => read?,
    }
    let mut mechanism = tree.watch_mechanism();
    let now = mechanism.borrow_and_update().clone();
    runner.report.tell(&runner.name, watching(&tree, now));
    if !tree.has_files() {
        let (roots, extensions) = (tree.roots(), tree.extensions().to_vec());
        runner.report.tell(&runner.name, Told::NothingCounts { roots, extensions });
    }
    let _telling = AbortOnDropHandle::new(tokio::spawn({
        let (report, name) = (Arc::clone(&runner.report), runner.name.clone());
        async move {
            while mechanism.changed().await.is_ok() {
                let now = mechanism.borrow_and_update().clone();
                report.tell(&name, watching(&tree, now));
            }
        }
    }));
    runner.run(edits).await;
    following.await??;
    Ok(())
}

fn watching(tree: &Tree, by: Mechanism) -> Told {
    let (files, folders) = tree.size();
    let mechanism = match (by.is_told, by.poll) {
        (true, None) => WatchedBy::Events,
        (true, Some(_)) => WatchedBy::EventsAndPolling,
        (false, _) => WatchedBy::Polling,
    };
    let poll_milliseconds = by.poll.map(milliseconds);
    Told::Watching {
        roots: tree.roots(),
        files,
        folders,
        mechanism,
        poll_milliseconds,
        reason: by.reason,
    }
}

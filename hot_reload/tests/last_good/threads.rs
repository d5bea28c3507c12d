//! No thread is to be had, as at a limit on processes, which counts threads and does not hold for root.

use hot_reload::Reason;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::Builder;

use crate::{
    Run, after_a_run,
    common::{NOBODY, alone_under, within},
};

/// The service ended, with neither the value on disk nor the source once it was there.
#[test]
fn what_is_kept_is_read_once_there_is_a_thread_for_it() {
    let name = "threads::what_is_kept_is_read_once_there_is_a_thread_for_it";
    if !alone_under(name, NOBODY) {
        return;
    }
    let runtime = || Builder::new_current_thread().enable_all().build().unwrap();
    let dir = runtime().block_on(after_a_run("one"));
    // Of its own, so that no thread is left from the run before.
    runtime().block_on(async {
        let limit = getrlimit(Resource::Nproc);
        setrlimit(Resource::Nproc, Rlimit { current: Some(1), ..limit }).unwrap();
        let mut run = Run::new(&dir, |service| service);
        let mut status = run.rx.watch_status();
        within(status.wait_for(|status| status.failures > 1)).await.unwrap();
        assert_eq!(run.rx.get(), None);
        setrlimit(Resource::Nproc, limit).unwrap();
        run.expect("one").await;
        assert_eq!(run.rx.snapshot().unwrap().reason(), Reason::Restored);
    });
}

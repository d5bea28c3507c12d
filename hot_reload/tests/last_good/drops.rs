//! What is yet to be written goes away: with its runtime, or by a `Drop` that panics.

use std::{
    fs,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use async_trait::async_trait;
use hot_reload::{Reload, ReloadResult, ReloaderOptions, ReloaderService};
use serde::{Deserialize, Serialize, Serializer};
use tokio::runtime::Builder;

use crate::common::{PATIENCE, within};

/// Loads what it is made with, at leisure, and says when it has begun.
#[derive(Clone)]
struct Slow(mpsc::Sender<()>);

#[async_trait]
impl Reload<u32> for Slow {
    type Source = ();

    async fn new((): &()) -> ReloadResult<Self, u32> {
        Ok(Self(mpsc::channel().0))
    }

    async fn reload(&self) -> ReloadResult<Option<u32>, u32> {
        self.0.send(()).unwrap();
        // As a parser may be at work, on the runtime's own thread.
        thread::sleep(Duration::from_millis(300));
        Ok(Some(7))
    }
}

/// Whoever ended the runtime, as the end of `main` does, once waited for ever.
#[test]
fn a_runtime_ends_while_a_value_is_published() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kept");
    let (ended, end) = mpsc::channel();
    thread::spawn(move || {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (begun, is_begun) = mpsc::channel();
        let (service, values) =
            ReloaderService::from_reloader(Slow(begun), ReloaderOptions::polling());
        let service = service.last_good(path);
        runtime.spawn(async move { service.start().await });
        is_begun.recv().unwrap();
        drop(runtime);
        ended.send(values.get()).unwrap();
    });
    assert_eq!(end.recv_timeout(PATIENCE), Ok(Some(7)));
}

/// A value that says when it is written, waits for leave, and may panic when it is dropped.
#[derive(Clone, PartialEq, Eq, Deserialize)]
struct Fragile(u32);

/// Whether values may be written.
static LEAVE: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());
/// The value that is being written.
static WRITING: AtomicU32 = AtomicU32::new(0);

/// These panic when they are dropped: one while it is written, one while it waits for that.
const PANICS: [u32; 2] = [1, 2];

impl Serialize for Fragile {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        WRITING.store(self.0, Ordering::SeqCst);
        let (is_given, waits) = &LEAVE;
        drop(waits.wait_while(is_given.lock().unwrap(), |is_given| !*is_given).unwrap());
        self.0.serialize(serializer)
    }
}

impl Drop for Fragile {
    fn drop(&mut self) {
        assert!(!PANICS.contains(&self.0) || thread::panicking(), "it breaks");
    }
}

#[derive(Clone)]
struct Source(Arc<AtomicU32>);

#[async_trait]
impl Reload<Fragile> for Source {
    type Source = ();

    async fn new((): &()) -> ReloadResult<Self, Fragile> {
        Ok(Self(Arc::default()))
    }

    async fn reload(&self) -> ReloadResult<Option<Fragile>, Fragile> {
        Ok(Some(Fragile(self.0.load(Ordering::SeqCst))))
    }
}

/// They once ended the service, or its writing for good.
#[tokio::test(flavor = "multi_thread")]
async fn values_that_panic_when_they_are_dropped_keep_no_other_from_disk() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kept");
    let source = Source(Arc::new(AtomicU32::new(1)));
    let (service, mut values) =
        ReloaderService::from_reloader(source.clone(), ReloaderOptions::polling());
    let service = service.last_good(&path);
    let handle = service.handle();
    let task = tokio::spawn(async move { service.start().await });
    within(values.changed()).await.unwrap();
    within(async {
        while WRITING.load(Ordering::SeqCst) != 1 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    for n in 2..=3 {
        source.0.store(n, Ordering::SeqCst);
        within(handle.trigger()).await;
        assert_eq!(values.borrow().as_ref().map(|value| value.0), Some(n));
    }
    *LEAVE.0.lock().unwrap() = true;
    LEAVE.1.notify_all();
    within(handle.shutdown()).await;
    within(task).await.unwrap().unwrap();
    assert!(fs::read_to_string(&path).unwrap().ends_with("\n3"));
}

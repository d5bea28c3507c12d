//! Watches that tell of problems, again and again: the source is loaded all the same.

use tokio::task::JoinSet;

use super::*;

/// Loads what it holds, for as long as it is told to, and is watched by what its test makes.
#[derive(Clone)]
struct Held {
    value: Arc<AtomicU32>,
    takes: Duration,
    loads: Arc<AtomicU32>,
    watches: Arc<AtomicU32>,
    /// Watches of which the first comes first.
    watch: fn(u32) -> RealtimeWatchHandle<u32>,
}

impl Held {
    fn new(takes: Duration, watch: fn(u32) -> RealtimeWatchHandle<u32>) -> Self {
        let value = Arc::new(AtomicU32::new(1));
        Self { value, takes, loads: Arc::default(), watches: Arc::default(), watch }
    }

    fn loads(&self) -> u32 {
        self.loads.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Reload<u32> for Held {
    type Source = Self;

    async fn new(source: &Self) -> ReloadResult<Self, u32> {
        Ok(source.clone())
    }

    async fn reload(&self) -> ReloadResult<Option<u32>, u32> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        let value = self.value.load(Ordering::SeqCst);
        if !self.takes.is_zero() {
            sleep(self.takes).await;
        }
        Ok(Some(value))
    }
}

#[async_trait]
impl RealtimeWatch<u32> for Held {
    async fn watch_realtime(&self) -> ReloadResult<RealtimeWatchHandle<u32>, u32> {
        Ok((self.watch)(self.watches.fetch_add(1, Ordering::SeqCst)))
    }
}

fn error() -> WatchEvent<u32> {
    WatchEvent::Error("can't connect".into())
}

fn watch_by<F>(tell: impl FnOnce(mpsc::Sender<WatchEvent<u32>>) -> F) -> RealtimeWatchHandle<u32>
where
    F: Future<Output = ()> + Send + 'static,
{
    let (tx, rx) = mpsc::channel(16);
    let mut telling = JoinSet::new();
    telling.spawn(tell(tx));
    RealtimeWatchHandle::with_cleanup(rx, Box::new(telling))
}

/// A first watch that tells of this, and then of errors alone, as fast as they are taken; the others
/// are silent.
fn flood(first: Option<WatchEvent<u32>>, nth: u32) -> RealtimeWatchHandle<u32> {
    watch_by(async move |events| {
        sleep(Duration::from_millis(300)).await;
        if nth == 0 {
            if let Some(first) = first {
                let _ended = events.send(first).await;
            }
            while events.send(error()).await.is_ok() {}
        }
        events.closed().await;
    })
}

/// Whatever was loaded was once thrown away for the errors that came meanwhile.
#[tokio::test(start_paused = true)]
async fn a_load_that_an_error_comes_amid_counts() {
    let source = Held::new(Duration::from_millis(1500), |_| {
        watch_by(async |events| {
            sleep(Duration::from_secs(10)).await;
            while events.send(error()).await.is_ok() {
                sleep(Duration::from_secs(1)).await;
            }
        })
    });
    let options = ReloaderOptions::hybrid().poll_interval(Duration::from_secs(1));
    let (service, mut values) = ReloaderService::from_reloader(source.clone(), options);
    let handle = service.handle();
    tokio::spawn(async move { service.start_with_realtime().await });
    timeout(PATIENCE, values.wait_for(|value| *value == 1)).await.unwrap().unwrap();
    sleep(Duration::from_secs(20)).await;
    source.value.store(2, Ordering::SeqCst);
    // The one that is under way, which found what was there before, and the one that is asked for.
    assert_eq!(handle.trigger().await, Triggered::Published(2));
    assert_eq!(values.get(), Some(2));
    // It is told all the same that the watch is of no use.
    let status = values.status();
    assert_eq!(status.health, Health::Degraded, "{status:?}");
    assert!(format!("{:?}", status.mechanism).contains("can't connect"), "{status:?}");
}

#[tokio::test(start_paused = true)]
async fn an_error_that_comes_amid_a_load_that_fails_is_told_of_too() {
    let (lab, events) = Lab::new().await;
    let handle = lab.handle.clone();
    let asked = tokio::spawn(async move { handle.trigger().await });
    lab.until(|| lab.source.loads.asked() == 2).await;
    events.send(error()).await.unwrap();
    lab.loads.send(Err("not there")).unwrap();
    let Triggered::Failed(why) = asked.await.unwrap() else { panic!("{:?}", lab.values.status()) };
    assert!(why.contains("not there"), "{why}");
    let status = lab.values.status();
    assert!(format!("{:?}", status.mechanism).contains("can't connect"), "{status:?}");
}

/// An error goes before no value that came before it, nor after it.
#[tokio::test(start_paused = true)]
async fn a_value_that_is_pushed_between_errors_goes_before_the_load_it_comes_amid() {
    let (lab, events) = Lab::new().await;
    let handle = lab.handle.clone();
    tokio::spawn(async move { handle.trigger().await });
    lab.until(|| lab.source.loads.asked() == 2).await;
    for event in [error(), error(), WatchEvent::Changed(2), error()] {
        events.send(event).await.unwrap();
    }
    for _ in 0..3 {
        lab.loads.send(Ok(Some(3))).unwrap();
    }
    lab.says(|status| status.generation == 3 && status.health == Health::Fresh).await;
    assert_eq!(*lab.published.lock().unwrap(), [1, 2, 3]);
}

/// It is one that nobody has heard of yet, however long ago the last load was.
#[tokio::test(start_paused = true)]
async fn an_error_that_comes_alone_is_told_of_before_anything_is_loaded() {
    let (lab, events) = Lab::new().await;
    for n in [2, 3] {
        sleep(Duration::from_secs(3600)).await;
        events.send(error()).await.unwrap();
        let status = lab.says(|status| status.health == Health::Retrying).await;
        assert!(status.last_error.is_some_and(|words| words.contains("can't connect")));
        // All is well again, and nothing had to be loaded to find that.
        events.send(WatchEvent::Changed(n)).await.unwrap();
        lab.says(|status| status.health == Health::Fresh).await;
        assert_eq!(lab.source.loads.asked(), 1);
    }
}

/// By the real clock, since the paused one stands still meanwhile; it was once loaded no more.
#[tokio::test]
async fn errors_without_rest_keep_no_source_from_being_polled() {
    let source = Held::new(Duration::ZERO, |nth| flood(None, nth));
    let options = ReloaderOptions::hybrid().poll_interval(Duration::from_millis(500));
    let (service, mut values) = ReloaderService::from_reloader(source.clone(), options);
    let task = tokio::spawn(async move { service.start_with_realtime().await });
    timeout(PATIENCE, values.wait_for(|value| *value == 1)).await.unwrap().unwrap();
    sleep(Duration::from_millis(500)).await;
    source.value.store(2, Ordering::SeqCst);
    let arrived = timeout(Duration::from_secs(10), values.wait_for(|value| *value == 2)).await;
    assert!(arrived.is_ok(), "{} loads; {:?}", source.loads(), values.status());
    // Nor is it loaded for every error.
    assert!(source.loads() < 20, "{} loads", source.loads());
    task.abort();
}

/// By the real clock; an error was once all that whoever asked was told.
#[tokio::test]
async fn errors_without_rest_keep_no_source_from_being_loaded_for_whoever_asks() {
    let source = Held::new(Duration::ZERO, |nth| flood(None, nth));
    let (service, mut values) =
        ReloaderService::from_reloader(source.clone(), ReloaderOptions::realtime());
    let handle = service.handle();
    let task = tokio::spawn(async move { service.start_with_realtime().await });
    timeout(PATIENCE, values.wait_for(|value| *value == 1)).await.unwrap().unwrap();
    sleep(Duration::from_millis(500)).await;
    source.value.store(2, Ordering::SeqCst);
    let answer = timeout(Duration::from_secs(5), handle.trigger()).await;
    assert_eq!(answer, Ok(Triggered::Published(2)));
    task.abort();
}

/// By the real clock; the first was once the last.
#[tokio::test]
async fn errors_without_rest_of_a_watch_in_doubt_keep_no_other_from_being_set() {
    let source = Held::new(Duration::ZERO, |nth| flood(Some(WatchEvent::Removed), nth));
    let (service, mut values) =
        ReloaderService::from_reloader(source.clone(), ReloaderOptions::realtime());
    let task = tokio::spawn(async move { service.start_with_realtime().await });
    timeout(PATIENCE, values.wait_for(|value| *value == 1)).await.unwrap().unwrap();
    sleep(Duration::from_millis(200)).await;
    source.value.store(2, Ordering::SeqCst);
    let arrived = timeout(Duration::from_secs(5), values.wait_for(|value| *value == 2)).await;
    assert!(arrived.is_ok(), "{} loads; {:?}", source.loads(), values.status());
    assert_eq!(source.watches.load(Ordering::SeqCst), 2);
    // The next stands, and what the one before has to complain of is nothing to load for.
    let loads = source.loads();
    sleep(Duration::from_millis(300)).await;
    assert!(source.loads() < loads + 5, "{} loads after {loads}", source.loads());
    task.abort();
}

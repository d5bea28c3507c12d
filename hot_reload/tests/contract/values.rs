//! Sources and watches written by hand.

use std::{
    borrow::Cow,
    fmt::Display,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use hot_reload::{
    RealtimeWatch, RealtimeWatchHandle, Reload, ReloadResult, ReloaderConfig, ReloaderError,
    ReloaderOptions, ReloaderReceiver, ReloaderSender, ReloaderService, WatchEvent, WatchStrategy,
};
use tokio::{sync::mpsc, time::timeout};

use crate::{PATIENCE, expect};

type StoreService = ReloaderService<Store, u32>;

/// A key in a store that lives in this process, loaded by hand.
#[derive(Clone)]
struct Store(Arc<Mutex<Option<u32>>>);

#[async_trait]
impl Reload<u32> for Store {
    type Source = Arc<Mutex<Option<u32>>>;

    async fn new(source: &Self::Source) -> Result<Self, ReloaderError<u32>> {
        Ok(Store(Arc::clone(source)))
    }

    async fn reload(&self) -> Result<Option<u32>, ReloaderError<u32>> {
        match *self.0.lock().unwrap() {
            Some(0) => Ok(None),
            Some(value) => Ok(Some(value)),
            None => Err(ReloaderError::Reload("the store is down")),
        }
    }
}

/// The same, with an error in words of its own, pushing its changes.
#[derive(Clone)]
struct Pushing {
    store: Store,
    senders: Arc<Mutex<Vec<mpsc::Sender<WatchEvent<u32>>>>>,
    dropped: Arc<AtomicU32>,
}

struct Watcher(Arc<AtomicU32>);

impl Drop for Watcher {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Reload<u32, String> for Pushing {
    type Source = Store;

    async fn new(source: &Store) -> ReloadResult<Self, u32, String> {
        Ok(Pushing { store: source.clone(), senders: Arc::default(), dropped: Arc::default() })
    }

    async fn reload(&self) -> ReloadResult<Option<u32>, u32, String> {
        let value = *self.store.0.lock().unwrap();
        value.map(Some).ok_or_else(|| ReloaderError::Reload("the store is down".to_string()))
    }
}

#[async_trait]
impl RealtimeWatch<u32, String> for Pushing {
    async fn watch_realtime(&self) -> ReloadResult<RealtimeWatchHandle<u32>, u32, String> {
        let (tx, rx) = mpsc::channel(10);
        self.senders.lock().unwrap().push(tx);
        let watcher = Watcher(Arc::clone(&self.dropped));
        Ok(RealtimeWatchHandle::with_cleanup(rx, Box::new(watcher)))
    }
}

#[tokio::test]
async fn what_was_pushed_before_a_trouble_is_published() {
    let store = Store(Arc::new(Mutex::new(Some(1))));
    let pushing = Pushing::new(&store).await.unwrap();
    let (service, mut rx) = ReloaderService::<_, u32, String>::from_reloader(
        pushing.clone(),
        ReloaderConfig::realtime(),
    );
    tokio::spawn(async move { service.start_with_realtime().await });
    expect(&mut rx, &1).await;
    // What it would load is not what it has pushed.
    *store.0.lock().unwrap() = None;
    let sender = pushing.senders.lock().unwrap()[0].clone();
    for event in [WatchEvent::Changed(2), WatchEvent::Error("a hiccup".into()), WatchEvent::Removed]
    {
        sender.send(event).await.unwrap();
    }
    expect(&mut rx, &2).await;
}

#[tokio::test]
async fn no_interval_is_too_long() {
    let store = Arc::new(Mutex::new(Some(1)));
    let forever = Duration::MAX;
    let options = ReloaderOptions::polling()
        .poll_interval(forever)
        .settle_window(forever)
        .settle_ceiling(forever)
        .load_timeout(forever)
        .backoff(forever, forever);
    let (service, mut rx) = StoreService::with_options(&store, options).await.unwrap();
    tokio::spawn(async move { service.start().await });
    expect(&mut rx, &1).await;
    let (service, mut rx) =
        StoreService::new(&store, ReloaderConfig::polling(u32::MAX)).await.unwrap();
    tokio::spawn(async move { service.start().await });
    expect(&mut rx, &1).await;
}

/// A service as written by somebody who knows nothing but the bounds of 0.3.6.
async fn generic_start<T, V, S>(service: Arc<ReloaderService<T, V, S>>) -> ReloadResult<(), V, S>
where
    T: Reload<V, S> + Clone,
    V: Eq + PartialEq + Clone,
    S: Into<Cow<'static, str>> + Display,
{
    service.start().await
}

async fn generic_realtime<T, V, S>(service: Arc<ReloaderService<T, V, S>>) -> ReloadResult<(), V, S>
where
    T: RealtimeWatch<V, S> + Clone,
    V: Eq + PartialEq + Clone,
    S: Into<Cow<'static, str>> + Display,
{
    service.start_with_realtime().await
}

#[test]
fn configs_are_what_they_were() {
    let polling = ReloaderConfig::polling(3);
    assert_eq!((polling.watch_delay_sec, polling.strategy), (3, WatchStrategy::Polling));
    assert_eq!(ReloaderConfig::realtime().strategy, WatchStrategy::Realtime);
    let hybrid = ReloaderConfig::hybrid(7);
    assert_eq!((hybrid.watch_delay_sec, hybrid.strategy), (7, WatchStrategy::Hybrid));
    let default = ReloaderConfig::default();
    assert_eq!((default.watch_delay_sec, default.force_reload), (10, false));
    assert_eq!(WatchStrategy::default(), WatchStrategy::Polling);
    let literal =
        ReloaderConfig { watch_delay_sec: 1, force_reload: true, strategy: WatchStrategy::Polling };
    assert!(format!("{:?}", literal.clone()).contains("force_reload: true"));
}

#[test]
fn services_are_send_and_sync() {
    fn is_send_and_sync<T: Send + Sync>() {}
    is_send_and_sync::<StoreService>();
    is_send_and_sync::<ReloaderReceiver<u32>>();
    is_send_and_sync::<ReloaderSender<u32>>();
}

#[tokio::test]
async fn a_manual_source_is_polled() {
    let store = Arc::new(Mutex::new(Some(1)));
    let (service, mut rx) = StoreService::with_delay(&store, 1).await.unwrap();
    assert_eq!(*rx.borrow(), None);
    tokio::spawn(async move { service.start().await });

    // The first load is a change, for a clone that is made later as well.
    timeout(PATIENCE, rx.clone().changed()).await.unwrap().unwrap();
    let mut late = rx.clone();
    timeout(PATIENCE, late.changed()).await.unwrap().unwrap();
    let mut copied = None;
    copied.clone_from(&rx.borrow());
    assert_eq!(copied, Some(1));

    expect(&mut rx, &1).await;
    *store.lock().unwrap() = None;
    // A load that fails changes nothing but the status.
    timeout(PATIENCE, async {
        while rx.status().failures == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .unwrap();
    assert_eq!(rx.status().last_error.as_deref(), Some("the store is down"));
    assert_eq!(rx.get(), Some(1));
    *store.lock().unwrap() = Some(2);
    expect(&mut rx, &2).await;
}

#[tokio::test]
async fn nothing_to_publish_publishes_nothing() {
    let store = Arc::new(Mutex::new(Some(0)));
    let config = ReloaderConfig::polling(0);
    let (service, mut rx) = StoreService::new(&store, config).await.unwrap();
    tokio::spawn(async move { service.start().await });
    assert!(timeout(Duration::from_millis(200), rx.changed()).await.is_err());
    *store.lock().unwrap() = Some(3);
    expect(&mut rx, &3).await;
}

#[tokio::test]
async fn force_reload_publishes_equal_values() {
    let store = Arc::new(Mutex::new(Some(1)));
    let config = ReloaderConfig { force_reload: true, ..ReloaderConfig::polling(0) };
    let (service, mut rx) = StoreService::new(&store, config).await.unwrap();
    tokio::spawn(async move { service.start().await });
    for _ in 0..5 {
        timeout(PATIENCE, rx.changed()).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn start_polls_only_and_says_what_to_call() {
    let store = Arc::new(Mutex::new(Some(1)));
    for config in [ReloaderConfig::realtime(), ReloaderConfig::hybrid(1)] {
        let (service, _rx) = StoreService::new(&store, config).await.unwrap();
        let error = service.start().await.unwrap_err();
        assert!(error.to_string().contains("start_with_realtime"), "{error}");
    }
}

#[tokio::test]
async fn a_shared_service_stops_with_its_task_and_starts_again() {
    let store = Arc::new(Mutex::new(Some(1)));
    let (service, mut rx) = StoreService::with_defaults(&store).await.unwrap();
    let service = Arc::new(service);
    let task = tokio::spawn(generic_start(Arc::clone(&service)));
    expect(&mut rx, &1).await;

    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    *store.lock().unwrap() = Some(2);
    // It was merely stopped, so nobody is told of an end.
    assert!(timeout(Duration::from_millis(100), rx.changed()).await.is_err());

    let task = tokio::spawn(generic_start(Arc::clone(&service)));
    expect(&mut rx, &2).await;
    task.abort();
    drop(service);
    let _aborted = task.await;
    let ended = timeout(PATIENCE, rx.changed()).await.unwrap();
    assert!(matches!(ended, Err(ReloaderError::WatchRecvError(_))));
    assert_eq!(rx.get(), Some(2));
}

#[tokio::test]
async fn the_last_receiver_ends_the_service_without_an_error() {
    let store = Arc::new(Mutex::new(Some(1)));
    let (service, rx) = StoreService::with_defaults(&store).await.unwrap();
    let task = tokio::spawn(async move { service.start().await });
    drop(rx);
    timeout(PATIENCE, task).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_manual_watch_pushes_and_is_cleaned_up() {
    for config in [ReloaderConfig::realtime(), ReloaderConfig::hybrid(60)] {
        let store = Store(Arc::new(Mutex::new(Some(1))));
        let pushing = Pushing::new(&store).await.unwrap();
        let (service, mut rx) =
            ReloaderService::<_, u32, String>::from_reloader(pushing.clone(), config);
        let task = tokio::spawn(generic_realtime(Arc::new(service)));
        expect(&mut rx, &1).await;

        let newest = || pushing.senders.lock().unwrap().last().unwrap().clone();
        newest().send(WatchEvent::Changed(2)).await.unwrap();
        expect(&mut rx, &2).await;
        newest().send(WatchEvent::Error("a hiccup".into())).await.unwrap();
        newest().send(WatchEvent::Removed).await.unwrap();
        newest().send(WatchEvent::Changed(3)).await.unwrap();
        expect(&mut rx, &3).await;

        // A watch that ends is set again, and what changed meanwhile is loaded.
        *store.0.lock().unwrap() = Some(4);
        pushing.senders.lock().unwrap().clear();
        expect(&mut rx, &4).await;
        newest().send(WatchEvent::Changed(5)).await.unwrap();
        expect(&mut rx, &5).await;

        let watches = u32::try_from(pushing.senders.lock().unwrap().len()).unwrap() + 1;
        task.abort();
        let _aborted = task.await;
        assert_eq!(pushing.dropped.load(Ordering::SeqCst), watches);
    }
}

#[tokio::test]
async fn a_store_that_is_down_at_start_is_waited_for() {
    let store = Store(Arc::new(Mutex::new(None)));
    let pushing = Pushing::new(&store).await.unwrap();
    let (service, mut rx) =
        ReloaderService::<_, u32, String>::from_reloader(pushing, ReloaderConfig::realtime());
    tokio::spawn(async move { service.start_with_realtime().await });
    assert!(timeout(Duration::from_millis(300), rx.changed()).await.is_err());
    *store.0.lock().unwrap() = Some(1);
    expect(&mut rx, &1).await;
}

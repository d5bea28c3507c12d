//! Every item of the interface of 0.3.6, used as its clients in production use it.
#![cfg(feature = "file-reloader")]

use std::{
    borrow::Cow,
    fmt::{Debug, Display},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use hot_reload::{
    AsyncFileLoad, FileReloader, RealtimeWatch, RealtimeWatchHandle, Reload, ReloadResult,
    ReloaderConfig, ReloaderError, ReloaderOptions, ReloaderReceiver, ReloaderSender,
    ReloaderService, WatchEvent, WatchStrategy,
};
use tokio::{sync::mpsc, time::timeout};

const PATIENCE: Duration = Duration::from_secs(20);

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

/// A file with both loaders written by hand.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Motd(String);

#[derive(Debug, thiserror::Error)]
enum MotdError {
    #[error("can't read: {0}")]
    Io(#[from] std::io::Error),
    #[error("no message")]
    NoMessage,
}

impl Motd {
    fn parse(text: String) -> Result<Self, MotdError> {
        if text.starts_with("motd ") { Ok(Self(text)) } else { Err(MotdError::NoMessage) }
    }
}

impl TryFrom<&PathBuf> for Motd {
    type Error = MotdError;

    fn try_from(path: &PathBuf) -> Result<Self, Self::Error> {
        Self::parse(std::fs::read_to_string(path)?)
    }
}

#[async_trait]
impl AsyncFileLoad for Motd {
    type Error = MotdError;

    async fn async_load_from<T: AsRef<Path> + Send>(path: T) -> Result<Self, Self::Error> {
        let path = path.as_ref().to_path_buf();
        Self::parse(tokio::fs::read_to_string(path).await?)
    }

    fn dependent_paths(&self) -> Vec<PathBuf> {
        Vec::new()
    }
}

/// An application's own error.
#[derive(Debug, thiserror::Error)]
enum AppError {
    #[error("reloader: {0}")]
    Reloader(#[from] ReloaderError<u32>),
    #[error("file reloader: {0}")]
    FileReloader(#[from] ReloaderError<Motd, String>),
}

type StoreService = ReloaderService<Store, u32>;
type MotdService = ReloaderService<FileReloader<Motd>, Motd, String>;

async fn expect<V, S>(rx: &mut ReloaderReceiver<V, S>, want: &V)
where
    V: Eq + Clone + Debug,
    S: Into<Cow<'static, str>> + Display,
{
    let arrived = timeout(PATIENCE, async {
        while rx.get().as_ref() != Some(want) {
            rx.changed().await.expect("the service has ended");
        }
    });
    arrived.await.unwrap_or_else(|_| panic!("{want:?} did not arrive, but {:?}", rx.get()));
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
fn errors_are_errors_that_others_can_wrap() {
    fn is_error<E: std::error::Error + Send + Sync + 'static>() {}
    fn fails() -> Result<(), AppError> {
        Err(ReloaderError::Reload("text"))?
    }
    is_error::<ReloaderError<u32>>();
    is_error::<ReloaderError<u32, String>>();
    is_error::<ReloaderError<Motd, String>>();

    assert!(fails().unwrap_err().to_string().contains("text"));
    let wrapped: AppError = ReloaderError::<Motd, String>::from(anyhow::anyhow!("why")).into();
    assert!(wrapped.to_string().contains("why"));
    assert!(format!("{wrapped:?}").contains("Other"));
    let same: ReloadResult<(), u32> = Result::<(), ReloaderError<u32>>::Ok(());
    assert!(same.is_ok());
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
    is_send_and_sync::<MotdService>();
    is_send_and_sync::<ReloaderReceiver<u32>>();
    is_send_and_sync::<ReloaderSender<u32>>();
    is_send_and_sync::<FileReloader<Motd>>();
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

async fn file_in_all_its_states(config: ReloaderConfig, by_start: bool) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("motd");
    let (service, mut rx) =
        MotdService::new(&path.display().to_string(), config).await.expect("missing is no error");
    let task = tokio::spawn(async move {
        if by_start { service.start().await } else { service.start_with_realtime().await }
    });
    std::fs::write(&path, "motd one").unwrap();
    expect(&mut rx, &Motd("motd one".into())).await;
    std::fs::write(&path, "broken").unwrap();
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "motd two").unwrap();
    expect(&mut rx, &Motd("motd two".into())).await;
    assert!(!task.is_finished());
}

#[tokio::test]
async fn a_file_by_polling() {
    file_in_all_its_states(ReloaderConfig::polling(1), true).await;
}

#[tokio::test]
async fn a_file_by_polling_through_the_realtime_start() {
    file_in_all_its_states(ReloaderConfig::polling(1), false).await;
}

#[tokio::test]
async fn a_file_in_realtime() {
    file_in_all_its_states(ReloaderConfig::realtime(), false).await;
}

#[tokio::test]
async fn a_file_in_hybrid() {
    file_in_all_its_states(ReloaderConfig::hybrid(5), false).await;
}

#[tokio::test]
async fn a_file_reloader_by_hand() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("motd");
    let reloader = FileReloader::<Motd>::new(&path.display().to_string()).await.unwrap();
    assert_eq!(reloader.file_path, path);
    assert!(reloader.clone().reload().await.is_err());
    std::fs::write(&path, "motd one").unwrap();
    assert_eq!(reloader.reload().await.unwrap(), Some(Motd("motd one".into())));

    let mut handle = reloader.watch_realtime().await.unwrap();
    let mut newest = Motd::default();
    std::fs::write(&path, "motd two").unwrap();
    let two = timeout(PATIENCE, async {
        while newest.0 != "motd two" {
            if let Some(WatchEvent::Changed(value)) = handle.rx.recv().await {
                newest = value;
            }
        }
    });
    two.await.unwrap();
    std::fs::remove_file(&path).unwrap();
    let removed = timeout(PATIENCE, async {
        while !matches!(handle.rx.recv().await, Some(WatchEvent::Removed)) {}
    });
    removed.await.unwrap();
}

/// A file that includes the one beside it, by a relative path, as 0.3.6 took it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Including(String);

impl TryFrom<&PathBuf> for Including {
    type Error = std::io::Error;

    fn try_from(path: &PathBuf) -> Result<Self, Self::Error> {
        let included = std::fs::read_to_string(path.with_file_name("included"))?;
        Ok(Self(std::fs::read_to_string(path)? + &included))
    }
}

#[async_trait]
impl AsyncFileLoad for Including {
    type Error = std::io::Error;

    async fn async_load_from<T: AsRef<Path> + Send>(path: T) -> Result<Self, Self::Error> {
        Self::try_from(&path.as_ref().to_path_buf())
    }

    fn dependent_paths(&self) -> Vec<PathBuf> {
        vec!["included".into()]
    }
}

#[tokio::test]
async fn a_relative_dependency_is_beside_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("main");
    std::fs::write(&path, "main ").unwrap();
    std::fs::write(dir.path().join("included"), "one").unwrap();
    let (service, mut rx) = ReloaderService::<FileReloader<Including>, Including, String>::new(
        &path.display().to_string(),
        ReloaderConfig::realtime(),
    )
    .await
    .unwrap();
    tokio::spawn(async move { service.start_with_realtime().await });
    expect(&mut rx, &Including("main one".into())).await;
    std::fs::write(dir.path().join("included"), "two").unwrap();
    expect(&mut rx, &Including("main two".into())).await;
}

#[tokio::test]
async fn the_synchronous_loader_never_blocks_an_async_worker() {
    #[derive(Clone, PartialEq, Eq, Debug)]
    struct Slow;
    impl TryFrom<&PathBuf> for Slow {
        type Error = String;
        fn try_from(_path: &PathBuf) -> Result<Self, String> {
            std::thread::sleep(Duration::from_millis(500));
            Ok(Slow)
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("slow");
    std::fs::write(&path, "slow").unwrap();
    let (service, mut rx) = ReloaderService::<FileReloader<Slow>, Slow, String>::new(
        &path.display().to_string(),
        ReloaderConfig::polling(1),
    )
    .await
    .unwrap();
    // One worker: were it blocked, the ticks would be missing.
    let loaded = tokio::spawn(async move { service.start().await });
    let mut ticks = 0;
    let mut tick = tokio::time::interval(Duration::from_millis(10));
    loop {
        tokio::select! {
            changed = rx.changed() => break changed.unwrap(),
            _ = tick.tick() => ticks += 1,
        }
    }
    assert!(ticks > 20, "{ticks} ticks in 500 ms");
    loaded.abort();
}

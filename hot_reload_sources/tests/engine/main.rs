//! What holds for every store: by one in memory, and a clock that only moves when nothing else does.

#[path = "../common/mod.rs"]
mod common;

mod channel;
mod content;
mod order;
mod reconnect;

use std::{sync::Arc, time::Duration};

use common::fake::{Fake, one};
use hot_reload::{Health, Mechanism, ReloaderOptions, ReloaderReceiver, ReloaderService, Status};
use hot_reload_sources::{FromStore, Store};
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};

type Texts = ReloaderService<FromStore<String>, String, String>;

const HOUR: Duration = Duration::from_secs(3600);

/// A service that follows a store.
struct Followed {
    service: Arc<Texts>,
    receiver: ReloaderReceiver<String, String>,
    running: JoinHandle<()>,
}

impl Followed {
    fn new(store: &Fake, options: ReloaderOptions) -> Self {
        Self::from(store.clone().text(), options, |service| service)
    }

    fn from(
        source: FromStore<String>,
        options: ReloaderOptions,
        with: impl FnOnce(Texts) -> Texts,
    ) -> Self {
        let (service, receiver) = ReloaderService::from_reloader(source, options);
        let service = Arc::new(with(service));
        let running = tokio::spawn({
            let service = Arc::clone(&service);
            async move { service.start_with_realtime().await.unwrap() }
        });
        Self { service, receiver, running }
    }

    async fn expect(&self, want: &str) {
        let mut receiver = self.receiver.clone();
        let found = timeout(HOUR, async {
            while receiver.get().as_deref() != Some(want) {
                receiver.changed().await.unwrap();
            }
        });
        assert!(found.await.is_ok(), "want {want:?}: {:?}", self.receiver.status());
    }

    async fn until(&self, what: impl FnMut(&Status) -> bool) -> Status {
        let mut statuses = self.receiver.watch_status();
        let found = timeout(HOUR, statuses.wait_for(what)).await;
        found.unwrap_or_else(|_| panic!("{:?}", self.receiver.status())).unwrap()
    }

    async fn until_health(&self, want: Health) -> Status {
        self.until(|status| status.health == want).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_pushes_is_asked_nothing() {
    let store = Fake::new(one("one", 1));
    let followed = Followed::new(&store, ReloaderOptions::realtime());
    followed.expect("one").await;
    sleep(24 * HOUR).await;
    store.put(one("two", 2));
    followed.expect("two").await;
    assert_eq!((store.connects(), store.reads()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn hybrid_reads_once_every_poll_interval() {
    let store = Fake::new(one("one", 1));
    let options = ReloaderOptions::hybrid().poll_interval(Duration::from_secs(10));
    let followed = Followed::new(&store, options);
    followed.expect("one").await;
    sleep(Duration::from_secs(605)).await;
    // The first is early, by lot.
    assert!((60..=61).contains(&store.reads()), "{}", store.reads());
    assert_eq!(store.connects(), 1);

    store.put_silently(one("two", 2));
    followed.expect("two").await;
}

#[tokio::test(start_paused = true)]
async fn polling_keeps_its_connection() {
    let store = Fake::new(one("one", 1));
    let options = ReloaderOptions::polling().poll_interval(Duration::from_secs(10));
    let followed = Followed::new(&store, options);
    followed.expect("one").await;
    store.put_silently(one("two", 2));
    followed.expect("two").await;
    sleep(Duration::from_secs(100)).await;
    assert_eq!(store.connects(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_stopped_leaves_no_connection() {
    let store = Fake::new(one("one", 1));
    for options in [ReloaderOptions::polling(), ReloaderOptions::realtime()] {
        let followed = Followed::new(&store, options);
        followed.expect("one").await;
        assert!(store.open() > 0);
        followed.running.abort();
        assert!(followed.running.await.unwrap_err().is_cancelled());
        assert_eq!(store.open(), 0);
        // It was the future that held them.
        drop(followed.service);
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_without_a_channel_is_polled_and_said_so() {
    let store = Fake::new(one("one", 1));
    store.channel(common::fake::Channel::None);
    let followed = Followed::new(&store, ReloaderOptions::realtime());
    let status = followed.until_health(Health::Degraded).await;
    assert!(status.mechanism.unwrap().to_string().contains("no channel"));
    store.put_silently(one("two", 2));
    followed.expect("two").await;
    assert_eq!(store.connects(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_load_without_a_service_leaves_no_connection() {
    use hot_reload::Reload;

    let store = Fake::new(one("one", 1));
    assert_eq!(store.clone().text().reload().await.unwrap().as_deref(), Some("one"));
    assert_eq!((store.connects(), store.open()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_handle_without_a_service_tells_of_changes() {
    use hot_reload::{RealtimeWatch, WatchEvent};

    let store = Fake::new(one("one", 1));
    let mut handle = store.clone().text().watch_realtime().await.unwrap();
    assert_eq!(handle.rx.recv().await, Some(WatchEvent::Changed("one".into())));
    store.put(one("two", 2));
    assert_eq!(handle.rx.recv().await, Some(WatchEvent::Changed("two".into())));
    drop(handle);
    tokio::task::yield_now().await;
    assert_eq!(store.open(), 0);
}

#[tokio::test(start_paused = true)]
async fn one_line_is_enough() {
    let store = Fake::new(one("n = 1", 1));
    let source = store.clone().toml::<std::collections::BTreeMap<String, u32>>();
    let mut receiver = source.watch().await.unwrap();
    assert_eq!(receiver.get().unwrap()["n"], 1);
    receiver.changed().await.unwrap();
    store.put(one("n = 2", 2));
    receiver.changed().await.unwrap();
    assert_eq!(receiver.get().unwrap()["n"], 2);
    drop(receiver);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(store.open(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_polls_watches_nothing() {
    let store = Fake::new(one("one", 1));
    let followed = Followed::new(&store, ReloaderOptions::polling());
    followed.expect("one").await;
    // A watch would be counted beside it.
    assert_eq!(store.open(), 1);
    store.put(one("two", 2));
    followed.expect("two").await;
    let status = followed.until_health(Health::Fresh).await;
    assert_eq!(status.mechanism, Some(Mechanism::Polling));
}

#[tokio::test(start_paused = true)]
async fn a_poll_interval_of_minutes_is_kept() {
    let minute = Duration::from_secs(60);
    for options in [ReloaderOptions::polling(), ReloaderOptions::hybrid()] {
        let store = Fake::new(one("one", 1));
        store.channel(common::fake::Channel::None);
        let followed = Followed::new(&store, options.poll_interval(5 * minute));
        followed.expect("one").await;
        let reads = store.reads();
        sleep(60 * minute).await;
        let more = store.reads() - reads;
        assert!((12..=13).contains(&more), "{more}");
    }
}

#[tokio::test(start_paused = true)]
async fn those_that_connected_together_do_not_read_together() {
    let store = Fake::new(one("one", 1));
    let mut all = Vec::new();
    for _ in 0..100 {
        let options = ReloaderOptions::hybrid().poll_interval(Duration::from_secs(10));
        all.push(Followed::new(&store, options));
    }
    for followed in &all {
        followed.expect("one").await;
    }
    sleep(Duration::from_secs(60)).await;
    let before = store.reads();
    sleep(Duration::from_secs(1)).await;
    let in_a_second = store.reads() - before;
    assert!(in_a_second < 30, "{in_a_second}");
}

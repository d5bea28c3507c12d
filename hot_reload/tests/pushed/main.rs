//! Sources that push values, and what becomes of their watches.

mod alone;
mod asked;
mod drops;
mod errors;
mod gone;
mod hung;
mod storm;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use hot_reload::{
    Health, RealtimeWatch, RealtimeWatchHandle, Reload, ReloadResult, ReloaderError,
    ReloaderHandle, ReloaderOptions, ReloaderReceiver, ReloaderService, Status, Triggered,
    WatchEvent,
};
use tokio::{
    sync::{Mutex as AsyncMutex, mpsc},
    time::{Instant, sleep, timeout},
};

/// By the paused clock.
const PATIENCE: Duration = Duration::from_secs(600);
/// More than any service asks for that is not in a spin.
const SPIN: u32 = 2_000;

type Events = mpsc::Receiver<WatchEvent<u32>>;
type Loaded = Result<Option<u32>, &'static str>;

/// What a source does, one call after another; it waits until it is told.
struct Queue<T> {
    next: AsyncMutex<mpsc::UnboundedReceiver<T>>,
    asked: AtomicU32,
}

impl<T> Queue<T> {
    fn new() -> (mpsc::UnboundedSender<T>, Arc<Self>) {
        let (tx, rx) = mpsc::unbounded_channel();
        (tx, Arc::new(Self { next: AsyncMutex::new(rx), asked: AtomicU32::new(0) }))
    }

    async fn next(&self) -> T {
        if self.asked.fetch_add(1, Ordering::SeqCst) < SPIN
            && let Some(next) = self.next.lock().await.recv().await
        {
            return next;
        }
        std::future::pending().await
    }

    fn asked(&self) -> u32 {
        self.asked.load(Ordering::SeqCst)
    }
}

#[derive(Clone)]
struct Source {
    loads: Arc<Queue<Loaded>>,
    watches: Arc<Queue<Events>>,
}

#[async_trait]
impl Reload<u32> for Source {
    type Source = Self;

    async fn new(source: &Self) -> ReloadResult<Self, u32> {
        Ok(source.clone())
    }

    async fn reload(&self) -> ReloadResult<Option<u32>, u32> {
        self.loads.next().await.map_err(ReloaderError::Reload)
    }
}

#[async_trait]
impl RealtimeWatch<u32> for Source {
    async fn watch_realtime(&self) -> ReloadResult<RealtimeWatchHandle<u32>, u32> {
        Ok(RealtimeWatchHandle::new(self.watches.next().await))
    }
}

/// A service that has the value 1, and what its source is told.
struct Lab {
    values: ReloaderReceiver<u32>,
    handle: ReloaderHandle,
    published: Arc<Mutex<Vec<u32>>>,
    source: Source,
    loads: mpsc::UnboundedSender<Loaded>,
    watches: mpsc::UnboundedSender<Events>,
}

impl Lab {
    /// With the first watch standing.
    async fn new() -> (Self, mpsc::Sender<WatchEvent<u32>>) {
        let mut lab = Self::start();
        let events = lab.watch();
        lab.loads.send(Ok(Some(1))).unwrap();
        timeout(PATIENCE, lab.values.changed()).await.unwrap().unwrap();
        (lab, events)
    }

    fn start() -> Self {
        let ((loads, loading), (watches, watching)) = (Queue::new(), Queue::new());
        let source = Source { loads: loading, watches: watching };
        let options = ReloaderOptions::realtime();
        let (service, values) = ReloaderService::from_reloader(source.clone(), options);
        let published = Arc::<Mutex<Vec<u32>>>::default();
        let record = Arc::clone(&published);
        let service = service.validate(move |new, _| {
            record.lock().unwrap().push(*new);
            Ok::<_, &str>(())
        });
        let handle = service.handle();
        tokio::spawn(async move { service.start_with_realtime().await });
        Self { values, handle, published, source, loads, watches }
    }

    /// Has the next watch stand.
    fn watch(&self) -> mpsc::Sender<WatchEvent<u32>> {
        let (tx, rx) = mpsc::channel(16);
        self.watches.send(rx).unwrap();
        tx
    }

    async fn says(&self, is_it: impl FnMut(&Status) -> bool) -> Status {
        let said = timeout(PATIENCE, self.values.watch_status().wait_for(is_it)).await;
        said.unwrap_or_else(|_| panic!("{:?}", self.values.status())).unwrap()
    }

    async fn until(&self, mut is_so: impl FnMut() -> bool) {
        let waiting = async {
            while !is_so() {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("{:?}", self.values.status()));
    }
}

/// A load that had read something newer once went before them, and the value then went back.
#[tokio::test(start_paused = true)]
async fn events_that_arrive_while_a_load_runs_go_before_it() {
    let (lab, events) = Lab::new().await;
    let handle = lab.handle.clone();
    tokio::spawn(async move { handle.trigger().await });
    lab.until(|| lab.source.loads.asked() == 2).await;
    for n in [2, 3] {
        events.send(WatchEvent::Changed(n)).await.unwrap();
    }
    lab.loads.send(Ok(Some(3))).unwrap();
    lab.says(|status| status.generation == 3).await;
    sleep(Duration::from_secs(60)).await;
    assert_eq!(*lab.published.lock().unwrap(), [1, 2, 3]);
    assert_eq!(lab.values.status().health, Health::Fresh);
}

/// A service without a gate, which has the value 1.
async fn plain() -> (ReloaderHandle, ReloaderReceiver<u32>, mpsc::Sender<WatchEvent<u32>>) {
    let ((loads, loading), (watches, watching)) = (Queue::new(), Queue::new());
    let source = Source { loads: loading, watches: watching };
    let (service, mut values) = ReloaderService::from_reloader(source, ReloaderOptions::realtime());
    let handle = service.handle();
    tokio::spawn(async move { service.start_with_realtime().await });
    let (events, rx) = mpsc::channel(16);
    watches.send(rx).unwrap();
    loads.send(Ok(Some(1))).unwrap();
    timeout(PATIENCE, values.changed()).await.unwrap().unwrap();
    (handle, values, events)
}

/// On one thread, which the loop would otherwise keep for as long as there is anything to take.
#[tokio::test(start_paused = true)]
async fn a_source_that_tells_much_at_once_leaves_readers_their_turn() {
    let (_handle, mut values, events) = plain().await;
    for n in 2..10 {
        events.try_send(WatchEvent::Changed(n)).unwrap();
    }
    let mut seen = Vec::new();
    while seen.last() != Some(&9) {
        timeout(PATIENCE, values.changed()).await.unwrap().unwrap();
        seen.extend(values.get());
    }
    assert_eq!(seen, [2, 3, 4, 5, 6, 7, 8, 9]);
}

#[tokio::test(start_paused = true)]
async fn what_is_wanted_in_the_turn_that_is_left_goes_before_what_was_heard() {
    for ends in [false, true] {
        let (handle, mut values, events) = plain().await;
        for n in 2..4 {
            events.try_send(WatchEvent::Changed(n)).unwrap();
        }
        timeout(PATIENCE, values.wait_for(|value| *value == 2)).await.unwrap().unwrap();
        if ends {
            handle.shutdown().await;
        } else {
            handle.pause();
        }
        sleep(Duration::from_secs(1)).await;
        assert_eq!(values.get(), Some(2), "ends: {ends}");
    }
}

/// Whoever pauses a service has it look at nothing that comes to be after.
#[tokio::test(start_paused = true)]
async fn what_is_wanted_goes_before_what_is_heard() {
    let (lab, events) = Lab::new().await;
    sleep(Duration::from_secs(60)).await;
    // The loop is polled with both there.
    lab.handle.pause();
    events.try_send(WatchEvent::Changed(2)).unwrap();
    lab.says(|status| status.is_paused).await;
    sleep(Duration::from_secs(60)).await;
    assert_eq!(*lab.published.lock().unwrap(), [1]);
    lab.handle.resume();
    lab.loads.send(Ok(Some(2))).unwrap();
    lab.says(|status| status.generation == 2).await;
    assert_eq!(*lab.published.lock().unwrap(), [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_is_left_to_take_is_not_looked_at() {
    let (lab, events) = Lab::new().await;
    sleep(Duration::from_secs(60)).await;
    // The loop is polled with both there.
    drop(lab.values);
    events.try_send(WatchEvent::Changed(2)).unwrap();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(*lab.published.lock().unwrap(), [1]);
}

/// The service was once degraded until the next change, though all was well.
#[tokio::test(start_paused = true)]
async fn a_problem_that_was_told_is_over_once_a_load_finds_a_value() {
    let (lab, events) = Lab::new().await;
    for again in [Some(1), Some(2)] {
        events.send(WatchEvent::Error("a hiccup".into())).await.unwrap();
        lab.says(|status| status.health == Health::Retrying).await;
        lab.loads.send(Ok(again)).unwrap();
        lab.says(|status| status.health == Health::Fresh).await;
    }
    assert_eq!(lab.values.get(), Some(2));
    // It is watched as before.
    let asked = lab.source.loads.asked();
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(lab.source.loads.asked(), asked);
    assert_eq!(lab.source.watches.asked(), 1);
}

/// A load that finds nothing to publish has not found that all is well.
#[tokio::test(start_paused = true)]
async fn a_problem_that_was_told_is_not_over_while_there_is_no_value() {
    let (lab, events) = Lab::new().await;
    events.send(WatchEvent::Error("a hiccup".into())).await.unwrap();
    lab.loads.send(Ok(None)).unwrap();
    lab.says(|status| status.health == Health::Degraded).await;
    lab.loads.send(Ok(Some(1))).unwrap();
    lab.says(|status| status.health == Health::Fresh).await;
}

/// It was once watched again at once, for ever.
#[tokio::test(start_paused = true)]
async fn a_watch_that_ends_at_once_each_time_is_set_ever_more_seldom() {
    for tells in [false, true] {
        let (lab, events) = Lab::new().await;
        for n in 2..2 * SPIN {
            let next = lab.watch();
            if tells {
                next.try_send(WatchEvent::Changed(n)).unwrap();
            }
            lab.loads.send(Ok(Some(1))).unwrap();
        }
        drop(events);
        sleep(Duration::from_secs(3600)).await;
        // Every ten seconds at the least, of which the jitter takes off up to half.
        let (watches, loads) = (lab.source.watches.asked(), lab.source.loads.asked());
        assert!((300..750).contains(&watches), "{tells}: {watches} watches, {loads} loads");
        assert!(loads < 1_500, "{tells}: {watches} watches, {loads} loads");
        assert_eq!(lab.values.status().health, Health::Degraded, "{tells}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_has_lasted_is_set_again_at_once() {
    let (lab, mut events) = Lab::new().await;
    for n in 2..5 {
        sleep(Duration::from_secs(60)).await;
        drop(events);
        let lost = Instant::now();
        events = lab.watch();
        lab.loads.send(Ok(Some(n))).unwrap();
        lab.says(|status| u64::from(n) == status.generation).await;
        assert!(lost.elapsed() < Duration::from_millis(10), "{:?}", lost.elapsed());
        assert_eq!(lab.values.status().health, Health::Fresh);
    }
}

/// All was once said to be well for as long as a load may take, which is a minute.
#[tokio::test(start_paused = true)]
async fn a_lost_watch_that_is_not_set_again_soon_is_told_and_done_without() {
    let (lab, events) = Lab::new().await;
    drop(events);
    let lost = Instant::now();
    lab.says(|status| status.health != Health::Fresh).await;
    assert!(lost.elapsed() <= Duration::from_millis(1010), "{:?}", lost.elapsed());
    let told = lab.values.status().last_error.unwrap();
    assert!(told.contains("watch is yet to stand"), "{told}");

    // Of a load that hangs as well, nothing else would be said.
    lab.until(|| lab.source.loads.asked() == 2).await;
    assert_eq!(lab.values.status().health, Health::Retrying);
    lab.loads.send(Ok(Some(2))).unwrap();
    lab.says(|status| status.generation == 2 && status.health == Health::Degraded).await;
    assert!(lost.elapsed() < Duration::from_secs(2), "{:?}", lost.elapsed());
    // It is the same attempt that stands in the end, and what it may have missed is loaded.
    let _events = lab.watch();
    lab.loads.send(Ok(Some(3))).unwrap();
    lab.says(|status| status.generation == 3 && status.health == Health::Fresh).await;
    assert_eq!(lab.source.watches.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_hangs_is_given_up_on_and_tried_again() {
    let (lab, events) = Lab::new().await;
    drop(events);
    for n in 2..SPIN {
        lab.loads.send(Ok(Some(n))).unwrap();
    }
    sleep(Duration::from_secs(3600)).await;
    let (watches, loads) = (lab.source.watches.asked(), lab.source.loads.asked());
    assert!((40..70).contains(&watches), "{watches} watches, {loads} loads");
    assert!((300..900).contains(&loads), "{watches} watches, {loads} loads");
    assert_eq!(lab.values.status().health, Health::Degraded);
}

/// A first watch that takes long is no failure.
#[tokio::test(start_paused = true)]
async fn a_first_watch_that_takes_long_keeps_no_value_back() {
    let mut lab = Lab::start();
    let begun = Instant::now();
    lab.loads.send(Ok(Some(1))).unwrap();
    timeout(PATIENCE, lab.values.changed()).await.unwrap().unwrap();
    assert!(begun.elapsed() <= Duration::from_millis(1010), "{:?}", begun.elapsed());
    let status = lab.values.status();
    assert_eq!((status.health, status.failures), (Health::Degraded, 0));
    let _events = lab.watch();
    lab.loads.send(Ok(Some(1))).unwrap();
    lab.says(|status| status.health == Health::Fresh).await;
}

//! Sources that say that they are gone, and what becomes of their watches then.

use super::*;

/// Once nothing more was heard of a file that was replaced, by a watch on the file itself.
#[tokio::test(start_paused = true)]
async fn what_is_gone_is_watched_anew_once_it_is_back() {
    let (lab, mut events) = Lab::new().await;
    for n in [3, 5, 7] {
        sleep(Duration::from_secs(1)).await;
        events.send(WatchEvent::Removed).await.unwrap();
        lab.says(|status| status.health == Health::Retrying).await;
        let (gone, next) = (Instant::now(), lab.watch());
        lab.loads.send(Ok(Some(n - 1))).unwrap();
        lab.says(|status| status.generation == u64::from(n - 1)).await;
        assert!(gone.elapsed() <= Duration::from_millis(100), "{:?}", gone.elapsed());
        assert_eq!(lab.values.status().health, Health::Fresh);
        // Either may be the one that hears of the next.
        assert!(!events.is_closed());
        next.send(WatchEvent::Changed(n)).await.unwrap();
        lab.says(|status| status.generation == u64::from(n)).await;
        assert!(events.is_closed());
        events = next;
    }
    assert_eq!(lab.source.watches.asked(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_outlives_the_source_is_heard_while_no_other_stands() {
    let (lab, events) = Lab::new().await;
    events.send(WatchEvent::Removed).await.unwrap();
    lab.says(|status| status.health == Health::Retrying).await;
    // The next is being set, and that hangs.
    lab.until(|| lab.source.watches.asked() == 2).await;
    events.send(WatchEvent::Changed(2)).await.unwrap();
    lab.says(|status| status.generation == 2).await;
    let _next = lab.watch();
    lab.loads.send(Ok(Some(2))).unwrap();
    lab.says(|status| status.health == Health::Fresh).await;
    // What it tells may be old by now.
    for n in [4, 3] {
        events.send(WatchEvent::Changed(n)).await.unwrap();
    }
    lab.loads.send(Ok(Some(5))).unwrap();
    lab.says(|status| status.generation == 3).await;
    drop(events);
    sleep(Duration::from_secs(3600)).await;
    assert_eq!((lab.source.watches.asked(), lab.values.status().health), (2, Health::Fresh));
    assert_eq!(*lab.published.lock().unwrap(), [1, 2, 5]);
}

/// What was told before, by a watch that is deaf since.
#[tokio::test(start_paused = true)]
async fn what_a_doubted_watch_tells_goes_before_no_load_under_another() {
    for is_late in [false, true] {
        let (lab, events) = Lab::new().await;
        events.send(WatchEvent::Removed).await.unwrap();
        lab.until(|| lab.source.watches.asked() == 2).await;
        if is_late {
            lab.until(|| lab.source.loads.asked() == 2).await;
            lab.loads.send(Ok(Some(1))).unwrap();
            sleep(Duration::from_millis(5)).await;
        }
        let asked = lab.source.loads.asked();
        let _next = lab.watch();
        if !is_late {
            lab.until(|| lab.source.loads.asked() == asked + 1).await;
        }
        events.try_send(WatchEvent::Changed(2)).unwrap();
        for _ in 0..5 {
            lab.loads.send(Ok(Some(3))).unwrap();
        }
        sleep(Duration::from_secs(60)).await;
        assert_eq!((lab.values.get(), lab.values.status().health), (Some(3), Health::Fresh));
        assert!(lab.source.loads.asked() > asked, "{is_late}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_can_be_watched_once_is_heard_on() {
    #[derive(Clone)]
    struct Once {
        watch: Arc<Mutex<Option<Events>>>,
        value: Arc<AtomicU32>,
        hangs: bool,
    }

    #[async_trait]
    impl Reload<u32> for Once {
        type Source = Self;

        async fn new(source: &Self) -> ReloadResult<Self, u32> {
            Ok(source.clone())
        }

        async fn reload(&self) -> ReloadResult<Option<u32>, u32> {
            Ok(Some(self.value.load(Ordering::SeqCst)))
        }
    }

    #[async_trait]
    impl RealtimeWatch<u32> for Once {
        async fn watch_realtime(&self) -> ReloadResult<RealtimeWatchHandle<u32>, u32> {
            let watch = self.watch.lock().unwrap().take();
            match watch {
                Some(watch) => Ok(RealtimeWatchHandle::new(watch)),
                None if self.hangs => std::future::pending().await,
                None => Err(ReloaderError::Reload("it is watched already")),
            }
        }
    }

    for hangs in [false, true] {
        let (events, watch) = mpsc::channel(16);
        let (watch, value) = (Arc::new(Mutex::new(Some(watch))), Arc::new(AtomicU32::new(1)));
        let source = Once { watch, value: Arc::clone(&value), hangs };
        let (service, mut values) =
            ReloaderService::from_reloader(source, ReloaderOptions::realtime());
        tokio::spawn(async move { service.start_with_realtime().await });
        timeout(PATIENCE, values.changed()).await.unwrap().unwrap();
        events.send(WatchEvent::Removed).await.unwrap();
        for n in [2, 3] {
            sleep(Duration::from_secs(300)).await;
            value.store(n, Ordering::SeqCst);
            events.send(WatchEvent::Changed(n)).await.unwrap();
            timeout(PATIENCE, values.wait_for(|value| *value == n)).await.unwrap().unwrap();
        }
        sleep(Duration::from_secs(300)).await;
        assert_eq!(values.status().health, Health::Fresh, "{hangs}: {:?}", values.status());
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_tells_of_a_problem_leaves_the_one_before_heard() {
    let (lab, events) = Lab::new().await;
    events.send(WatchEvent::Removed).await.unwrap();
    lab.says(|status| status.health == Health::Retrying).await;
    let next = lab.watch();
    lab.loads.send(Ok(Some(1))).unwrap();
    lab.says(|status| status.health == Health::Fresh).await;
    next.send(WatchEvent::Error("a hiccup".into())).await.unwrap();
    lab.says(|status| status.health == Health::Retrying).await;
    lab.loads.send(Ok(Some(1))).unwrap();
    lab.says(|status| status.health == Health::Fresh).await;
    let asked = lab.source.loads.asked();
    events.send(WatchEvent::Changed(2)).await.unwrap();
    lab.until(|| lab.source.loads.asked() > asked).await;
}

/// One that says so each time, right after it was set or a little later.
#[tokio::test(start_paused = true)]
async fn a_watch_of_what_is_never_there_is_set_ever_more_seldom() {
    for (after, loads) in [(0, Ok(Some(1))), (0, Err("not there")), (150, Err("not there"))] {
        let (lab, events) = Lab::new().await;
        let (source, watches) = (lab.source.clone(), lab.watches.clone());
        for _ in 0..2 * SPIN {
            lab.loads.send(loads).unwrap();
        }
        tokio::spawn(async move {
            for n in 1.. {
                while source.watches.asked() <= n {
                    sleep(Duration::from_millis(10)).await;
                }
                let (tx, rx) = mpsc::channel(16);
                watches.send(rx).unwrap();
                sleep(Duration::from_millis(after)).await;
                let _gone = tx.send(WatchEvent::Removed).await;
                tokio::spawn(async move { tx.closed().await });
            }
        });
        events.send(WatchEvent::Removed).await.unwrap();
        sleep(Duration::from_secs(600)).await;
        let (watches, loads) = (lab.source.watches.asked(), lab.source.loads.asked());
        assert!((50..200).contains(&watches), "{after}: {watches} watches, {loads} loads");
        assert!(loads < 300, "{after}: {watches} watches, {loads} loads");
    }
}

/// A watch as many are written: on the file itself, and of no use once another is in its place.
#[cfg(target_os = "linux")]
mod by_inode {
    use std::{io, mem::MaybeUninit, os::fd::OwnedFd, path::PathBuf};

    use rustix::fs::inotify::{CreateFlags, ReadFlags, Reader, WatchFlags, add_watch, init};
    use tokio::task::JoinSet;

    use super::*;

    #[derive(Clone)]
    struct Number(PathBuf);

    impl Number {
        fn read(&self) -> io::Result<Option<u32>> {
            Ok(std::fs::read_to_string(&self.0)?.parse().ok())
        }

        fn replace(&self, number: u32) {
            let next = self.0.with_extension("next");
            std::fs::write(&next, number.to_string()).unwrap();
            std::fs::rename(next, &self.0).unwrap();
        }
    }

    #[async_trait]
    impl Reload<u32> for Number {
        type Source = PathBuf;

        async fn new(path: &PathBuf) -> ReloadResult<Self, u32> {
            Ok(Self(path.clone()))
        }

        async fn reload(&self) -> ReloadResult<Option<u32>, u32> {
            self.read().map_err(|error| ReloaderError::Other(error.into()))
        }
    }

    #[async_trait]
    impl RealtimeWatch<u32> for Number {
        async fn watch_realtime(&self) -> ReloadResult<RealtimeWatchHandle<u32>, u32> {
            let (tx, rx) = mpsc::channel(16);
            let inotify = init(CreateFlags::NONBLOCK).expect("an inotify instance");
            add_watch(&inotify, &self.0, WatchFlags::CLOSE_WRITE | WatchFlags::DELETE_SELF)
                .map_err(|error| ReloaderError::Other(error.into()))?;
            let (number, mut watching) = (self.clone(), JoinSet::new());
            watching.spawn(async move {
                loop {
                    for is_gone in events(&inotify) {
                        let event = match number.read() {
                            _ if is_gone => WatchEvent::Removed,
                            Ok(Some(value)) => WatchEvent::Changed(value),
                            _ => continue,
                        };
                        let _gone = tx.send(event).await;
                    }
                    sleep(Duration::from_millis(1)).await;
                }
            });
            Ok(RealtimeWatchHandle::with_cleanup(rx, Box::new(watching)))
        }
    }

    /// Whether each of the events that are there tells of the end.
    fn events(inotify: &OwnedFd) -> Vec<bool> {
        let mut buffer = [MaybeUninit::uninit(); 1024];
        let mut reader = Reader::new(inotify, &mut buffer);
        let events = std::iter::from_fn(|| Some(reader.next().ok()?.events()));
        events.map(|event| event.contains(ReadFlags::DELETE_SELF)).collect()
    }

    #[tokio::test]
    async fn a_file_that_is_replaced_again_and_again_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let number = Number(dir.path().join("number"));
        number.replace(1);
        let (service, mut values) =
            ReloaderService::from_reloader(number.clone(), ReloaderOptions::realtime());
        tokio::spawn(async move { service.start_with_realtime().await });
        for n in 1..6 {
            number.replace(n);
            let arrived = timeout(Duration::from_secs(20), values.wait_for(|value| *value == n));
            arrived.await.unwrap_or_else(|_| panic!("{n}: {:?}", values.status())).unwrap();
        }
    }
}

/// A source that always holds something, and whose watches can fail to be set.
#[derive(Clone)]
struct Flaky(Arc<Queue<Result<Events, &'static str>>>);

#[async_trait]
impl Reload<u32> for Flaky {
    type Source = Self;

    async fn new(source: &Self) -> ReloadResult<Self, u32> {
        Ok(source.clone())
    }

    async fn reload(&self) -> ReloadResult<Option<u32>, u32> {
        Ok(None)
    }
}

#[async_trait]
impl RealtimeWatch<u32> for Flaky {
    async fn watch_realtime(&self) -> ReloadResult<RealtimeWatchHandle<u32>, u32> {
        self.0.next().await.map(RealtimeWatchHandle::new).map_err(ReloaderError::Reload)
    }
}

/// The next was once let go of for it, and no other ever set.
#[tokio::test(start_paused = true)]
async fn a_watch_in_doubt_is_not_trusted_for_a_failure_that_is_over() {
    let (watches, watching) = Queue::new();
    let (service, mut values) =
        ReloaderService::from_reloader(Flaky(Arc::clone(&watching)), ReloaderOptions::realtime());
    tokio::spawn(async move { service.start_with_realtime().await });
    let stand = || {
        let (tx, rx) = mpsc::channel(16);
        watches.send(Ok(rx)).unwrap();
        tx
    };
    let first = stand();
    first.send(WatchEvent::Changed(1)).await.unwrap();
    timeout(PATIENCE, values.changed()).await.unwrap().unwrap();
    // It is gone; another can't be had at first, then it can.
    watches.send(Err("not yet")).unwrap();
    first.send(WatchEvent::Removed).await.unwrap();
    sleep(Duration::from_secs(1)).await;
    let second = stand();
    sleep(Duration::from_secs(60)).await;
    // The one in doubt tells of something, and of more while a third is being set.
    first.send(WatchEvent::Changed(1)).await.unwrap();
    sleep(Duration::from_millis(1)).await;
    drop(second);
    sleep(Duration::from_millis(1)).await;
    first.send(WatchEvent::Changed(3)).await.unwrap();
    sleep(Duration::from_millis(500)).await;
    let third = stand();
    sleep(Duration::from_secs(600)).await;
    third.send(WatchEvent::Changed(5)).await.unwrap();
    timeout(PATIENCE, values.wait_for(|value| *value == 5)).await.unwrap().unwrap();
}

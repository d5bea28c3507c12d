//! Watches in doubt that are the only ones to be had.

use super::*;

/// A source that can be watched twice.
#[derive(Clone)]
struct Twice {
    value: Arc<AtomicU32>,
    watches: Arc<Mutex<Vec<Events>>>,
}

#[async_trait]
impl Reload<u32> for Twice {
    type Source = Self;

    async fn new(source: &Self) -> ReloadResult<Self, u32> {
        Ok(source.clone())
    }

    async fn reload(&self) -> ReloadResult<Option<u32>, u32> {
        Ok(Some(self.value.load(Ordering::SeqCst)))
    }
}

#[async_trait]
impl RealtimeWatch<u32> for Twice {
    async fn watch_realtime(&self) -> ReloadResult<RealtimeWatchHandle<u32>, u32> {
        let watch = self.watches.lock().unwrap().pop();
        let none = || ReloaderError::Reload("none to be had");
        watch.map(RealtimeWatchHandle::new).ok_or_else(none)
    }
}

/// A value that came with an error before it was once passed over, and the watch not trusted again
/// though no other was to be had.
#[tokio::test(start_paused = true)]
async fn a_watch_in_doubt_that_has_told_of_an_error_and_a_value_is_trusted_again() {
    for errs in [false, true] {
        let ((first, first_rx), (second, second_rx)) = (mpsc::channel(16), mpsc::channel(16));
        let watches = Arc::new(Mutex::new(vec![second_rx, first_rx]));
        let source = Twice { value: Arc::new(AtomicU32::new(1)), watches };
        let (service, mut values) =
            ReloaderService::from_reloader(source.clone(), ReloaderOptions::realtime());
        tokio::spawn(async move { service.start_with_realtime().await });
        timeout(PATIENCE, values.changed()).await.unwrap().unwrap();
        sleep(Duration::from_secs(30)).await;
        first.send(WatchEvent::Removed).await.unwrap();
        sleep(Duration::from_secs(1)).await;
        assert!(source.watches.lock().unwrap().is_empty());
        source.value.store(2, Ordering::SeqCst);
        if errs {
            first.try_send(WatchEvent::Error("a hiccup".into())).unwrap();
        }
        first.try_send(WatchEvent::Changed(2)).unwrap();
        timeout(PATIENCE, values.wait_for(|value| *value == 2)).await.unwrap().unwrap();
        drop(second);
        sleep(Duration::from_secs(300)).await;
        assert_eq!(values.status().health, Health::Fresh, "{errs}: {:?}", values.status());
        first.send(WatchEvent::Changed(5)).await.unwrap();
        timeout(PATIENCE, values.wait_for(|value| *value == 5)).await.unwrap().unwrap();
    }
}

//! Events that come one after another without a pause.

use super::*;

/// By the real clock, since the paused one stands still meanwhile.
#[tokio::test]
async fn a_value_becomes_stale_in_time_though_the_next_failure_is_always_there() {
    let ((loads, loading), (watches, watching)) = (Queue::new(), Queue::new());
    let source = Source { loads: loading, watches: watching };
    let options = ReloaderOptions::realtime().max_staleness(Duration::from_millis(300));
    let (service, mut values) = ReloaderService::from_reloader(source, options);
    tokio::spawn(async move { service.start_with_realtime().await });
    let (events, watch) = mpsc::channel(16);
    watches.send(watch).unwrap();
    loads.send(Ok(Some(1))).unwrap();
    timeout(PATIENCE, values.changed()).await.unwrap().unwrap();
    let error = || WatchEvent::Error("no".into());
    let storm = tokio::spawn(async move { while events.send(error()).await.is_ok() {} });
    let mut status = values.watch_status();
    let stale = status.wait_for(|status| status.health == Health::Stale);
    let is_stale = timeout(Duration::from_secs(10), stale).await.is_ok();
    storm.abort();
    assert!(is_stale, "{:?}", values.status());
}

/// An event that was there at once is taken after others have had their turn, and they may have gone.
#[tokio::test(start_paused = true)]
async fn what_nobody_is_left_to_take_is_not_looked_at() {
    let (mut lab, events) = Lab::new().await;
    for n in [2, 3] {
        events.try_send(WatchEvent::Changed(n)).unwrap();
    }
    timeout(PATIENCE, lab.values.wait_for(|value| *value == 2)).await.unwrap().unwrap();
    drop(lab.values);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(*lab.published.lock().unwrap(), [1, 2]);
}

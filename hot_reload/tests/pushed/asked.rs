//! Sources that are asked for what they hold, when they have told of values that nobody has taken.

use super::*;

/// A service that is paused, whose source has told of three values since.
async fn with_untaken() -> (Lab, mpsc::Sender<WatchEvent<u32>>) {
    let (lab, events) = Lab::new().await;
    lab.handle.pause();
    lab.says(|status| status.is_paused).await;
    for n in [2, 3, 4] {
        events.send(WatchEvent::Changed(n)).await.unwrap();
    }
    (lab, events)
}

/// One that is paused, whose watch has room for one event, while the others wait.
async fn with_room_for_one(
    told: impl IntoIterator<Item = WatchEvent<u32>, IntoIter: Send> + Send + 'static,
) -> Lab {
    let mut lab = Lab::start();
    let (events, watch) = mpsc::channel(1);
    lab.watches.send(watch).unwrap();
    lab.loads.send(Ok(Some(1))).unwrap();
    timeout(PATIENCE, lab.values.changed()).await.unwrap().unwrap();
    lab.handle.pause();
    lab.says(|status| status.is_paused).await;
    tokio::spawn(async move {
        for event in told {
            events.send(event).await.unwrap();
        }
        events.closed().await;
    });
    sleep(Duration::from_secs(1)).await;
    lab
}

/// The oldest was once taken for the answer, and the service, which is paused, stayed with it.
#[tokio::test(start_paused = true)]
async fn a_trigger_of_a_paused_service_publishes_nothing_older_than_the_source_holds() {
    let (lab, _events) = with_untaken().await;
    // What the source has told of it may have been overtaken by.
    lab.loads.send(Ok(Some(5))).unwrap();
    assert_eq!(lab.handle.trigger().await, Triggered::Published(2));
    sleep(Duration::from_secs(60)).await;
    assert_eq!(*lab.published.lock().unwrap(), [1, 5]);
    assert_eq!(lab.source.loads.asked(), 2);
}

/// Whoever tells of values one by one had the rest arrive while the load ran, as if they were newer.
#[tokio::test(start_paused = true)]
async fn values_that_waited_for_room_are_older_than_a_load_too() {
    let lab = with_room_for_one([2, 3, 4].map(WatchEvent::Changed)).await;
    let handle = lab.handle.clone();
    let asked = tokio::spawn(async move { handle.trigger().await });
    lab.until(|| lab.source.loads.asked() == 2).await;
    sleep(Duration::from_secs(1)).await;
    lab.loads.send(Ok(Some(4))).unwrap();
    assert_eq!(asked.await.unwrap(), Triggered::Published(2));
    assert_eq!(*lab.published.lock().unwrap(), [1, 4]);
}

/// A source that loads what is new only, or can't be loaded, has values in its events alone.
#[tokio::test(start_paused = true)]
async fn the_newest_value_that_was_told_of_is_published_where_a_load_has_none() {
    for loaded in [Ok(None), Err("not there")] {
        for resumes in [false, true] {
            let (lab, _events) = with_untaken().await;
            lab.loads.send(loaded).unwrap();
            if resumes {
                lab.handle.resume();
                lab.says(|status| status.generation == 2 && !status.is_paused).await;
            } else {
                assert_eq!(lab.handle.trigger().await, Triggered::Published(2));
            }
            assert_eq!(*lab.published.lock().unwrap(), [1, 4], "{loaded:?}, {resumes}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_newest_value_that_was_told_of_outlives_a_load_that_hangs() {
    let (lab, _events) = with_untaken().await;
    lab.handle.resume();
    lab.says(|status| status.generation == 2).await;
    assert_eq!(*lab.published.lock().unwrap(), [1, 4]);
    assert_eq!(lab.source.loads.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_value_that_comes_while_a_load_that_was_asked_for_runs_goes_before_it() {
    let (lab, events) = with_untaken().await;
    let handle = lab.handle.clone();
    let asked = tokio::spawn(async move { handle.trigger().await });
    lab.until(|| lab.source.loads.asked() == 2).await;
    events.send(WatchEvent::Changed(5)).await.unwrap();
    lab.loads.send(Ok(Some(4))).unwrap();
    assert_eq!(asked.await.unwrap(), Triggered::Published(2));
    assert_eq!(*lab.published.lock().unwrap(), [1, 5]);
}

/// The last it held is no proof that all is well; it is published once a load has found that there is
/// nothing newer.
#[tokio::test(start_paused = true)]
async fn a_source_that_is_gone_by_the_time_it_is_asked_is_watched_anew() {
    let (lab, events) = with_untaken().await;
    events.send(WatchEvent::Removed).await.unwrap();
    let _next = lab.watch();
    lab.loads.send(Err("not there")).unwrap();
    let Triggered::Failed(why) = lab.handle.trigger().await else { panic!("it is gone") };
    assert!(why.contains("not there"), "{why}");
    assert_eq!(lab.source.watches.asked(), 2);
    lab.loads.send(Ok(None)).unwrap();
    assert_eq!(lab.handle.trigger().await, Triggered::Published(2));
    assert_eq!(*lab.published.lock().unwrap(), [1, 4]);
}

/// Whoever asks has the source loaded, once; what it tells of after that goes on as before.
#[tokio::test(start_paused = true)]
async fn a_value_that_was_refused_has_the_next_not_wait_for_a_load() {
    let ((loads, loading), (watches, watching)) = (Queue::new(), Queue::new());
    let source = Source { loads: loading, watches: watching };
    let options = ReloaderOptions::realtime();
    let (service, mut values) = ReloaderService::from_reloader(source.clone(), options);
    let service = service.validate(|new, _| if *new == 2 { Err("two") } else { Ok(()) });
    tokio::spawn(async move { service.start_with_realtime().await });
    let (events, watch) = mpsc::channel(16);
    watches.send(watch).unwrap();
    loads.send(Ok(Some(1))).unwrap();
    timeout(PATIENCE, values.changed()).await.unwrap().unwrap();
    for n in [2, 3] {
        events.try_send(WatchEvent::Changed(n)).unwrap();
    }
    timeout(PATIENCE, values.wait_for(|value| *value == 3)).await.unwrap().unwrap();
    assert_eq!(source.loads.asked(), 1);
}

/// A watch in doubt once told of them after the load, while the next was late.
#[tokio::test(start_paused = true)]
async fn values_that_waited_for_room_when_the_source_went_are_older_than_a_load_too() {
    let told = (2..=9).map(WatchEvent::Changed);
    let lab = with_room_for_one([WatchEvent::Removed].into_iter().chain(told)).await;
    lab.loads.send(Ok(Some(9))).unwrap();
    lab.handle.resume();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(*lab.published.lock().unwrap(), [1, 9]);
}

/// It was once dropped, and what the service had before was said to be fresh.
#[tokio::test(start_paused = true)]
async fn what_was_loaded_once_outlives_the_end_of_the_source_meanwhile() {
    let (lab, events) = Lab::new().await;
    let handle = lab.handle.clone();
    let asked = tokio::spawn(async move { handle.trigger().await });
    lab.until(|| lab.source.loads.asked() == 2).await;
    events.send(WatchEvent::Removed).await.unwrap();
    lab.loads.send(Ok(Some(5))).unwrap();
    let Triggered::Failed(why) = asked.await.unwrap() else { panic!("it is gone") };
    assert!(why.contains("gone"), "{why}");
    let _next = lab.watch();
    lab.loads.send(Ok(None)).unwrap();
    lab.says(|status| status.generation == 2 && status.health == Health::Fresh).await;
    assert_eq!(*lab.published.lock().unwrap(), [1, 5]);
}

/// What it finds is newer, though nothing came of it.
#[tokio::test(start_paused = true)]
async fn what_was_loaded_once_takes_the_place_of_what_was_told_of_before() {
    let (lab, events) = with_untaken().await;
    lab.handle.resume();
    lab.until(|| lab.source.loads.asked() == 2).await;
    events.send(WatchEvent::Removed).await.unwrap();
    lab.loads.send(Ok(Some(5))).unwrap();
    lab.says(|status| status.health == Health::Retrying).await;
    let _next = lab.watch();
    lab.loads.send(Ok(None)).unwrap();
    lab.says(|status| status.generation == 2).await;
    assert_eq!(*lab.published.lock().unwrap(), [1, 5]);
}

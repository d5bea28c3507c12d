//! A source that does as it is told.

use std::time::Duration;

use hot_reload::{
    Health, ReloaderOptions, ReloaderReceiver, ReloaderService, WatchEvent,
    testing::{Answer, Script, Scripted},
};
use tokio::time::{Instant, sleep};

type Values = ReloaderReceiver<u32, String>;

fn follow(options: ReloaderOptions) -> (Values, Script<u32>) {
    let (source, script) = Scripted::new(Answer::Value(1));
    let (service, values) = ReloaderService::from_reloader(source, options);
    tokio::spawn(async move { service.start_with_realtime().await });
    (values, script)
}

#[tokio::test(start_paused = true)]
async fn loads_answer_what_was_said_in_that_order() {
    let (mut values, script) = follow(ReloaderOptions::polling());
    values.changed().await.unwrap();
    script.answer_once(Answer::Error("no answer".into()));
    script.answer_once(Answer::Panic("out of cheese".into()));
    script.answer(Answer::Value(2));
    for words in ["no answer", "out of cheese"] {
        let told = |status: &hot_reload::Status| {
            status.last_error.as_deref().is_some_and(|told| told.contains(words))
        };
        values.watch_status().wait_for(told).await.unwrap();
        assert_eq!(values.get(), Some(1));
    }
    values.changed().await.unwrap();
    assert_eq!(values.get(), Some(2));
    assert_eq!(script.loads(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_load_that_hangs_is_given_up_at_its_timeout_and_not_before() {
    let limit = Duration::from_secs(7);
    let (mut values, script) = follow(ReloaderOptions::polling().load_timeout(limit));
    values.changed().await.unwrap();
    script.answer_once(Answer::Hang);
    script.was_loaded(2).await;
    let begun = Instant::now();
    values.watch_status().wait_for(|now| now.failures == 1).await.unwrap();
    assert!(begun.elapsed() >= limit, "{:?}", begun.elapsed());
    assert!(begun.elapsed() <= limit + Duration::from_millis(1), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn events_are_what_was_pushed() {
    let (mut values, script) = follow(ReloaderOptions::realtime());
    values.changed().await.unwrap();
    script.push(2);
    values.changed().await.unwrap();
    assert_eq!(values.get(), Some(2));
    script.tell(&WatchEvent::Removed);
    values.watch_status().wait_for(|now| now.health == Health::Retrying).await.unwrap();
    assert_eq!(values.get(), Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_refused_is_tried_again() {
    let (mut values, script) = follow(ReloaderOptions::realtime());
    values.changed().await.unwrap();
    script.refuse_watch("no more descriptors");
    values.watch_status().wait_for(|now| now.health == Health::Degraded).await.unwrap();
    script.answer(Answer::Value(2));
    values.changed().await.unwrap();
    assert_eq!(values.get(), Some(2));
    script.allow_watch();
    values.watch_status().wait_for(|now| now.health == Health::Fresh).await.unwrap();
    assert!(script.watches() > 2);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_loaded_while_events_are_to_be_had() {
    let (mut values, script) = follow(ReloaderOptions::realtime());
    values.changed().await.unwrap();
    sleep(Duration::from_secs(24 * 60 * 60)).await;
    assert_eq!((script.loads(), script.watches()), (1, 1));
}

//! A store that can't be reached, or won't have it.

use std::{iter::repeat_with, time::Duration};

use hot_reload::{Health, ReloaderOptions};
use hot_reload_sources::StoreError;
use tokio::time::{Instant, sleep};

use super::{
    Followed,
    common::fake::{Answers, Attempt, Fake, one},
};

const MINUTE: Duration = Duration::from_secs(60);

fn away(store: &Fake, error: fn() -> StoreError) {
    store.next_attempts(repeat_with(|| Attempt::Fails(error)).take(10_000));
}

fn unreachable() -> StoreError {
    StoreError::unreachable("connection refused")
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_back_is_found_within_a_second() {
    let store = Fake::new(one("one", 1));
    let followed = Followed::new(&store, ReloaderOptions::realtime());
    followed.expect("one").await;
    away(&store, unreachable);
    store.cut();
    let status = followed.until_health(Health::Retrying).await;
    assert_eq!(status.last_error.as_deref(), Some("fake://store/key: connection refused"));
    store.put_silently(one("two", 2));
    sleep(MINUTE).await;
    let attempts = store.connects();
    assert!((75..600).contains(&attempts), "{attempts}");

    store.forget_attempts();
    let healed = Instant::now();
    followed.expect("two").await;
    assert!(healed.elapsed() < Duration::from_secs(1), "{:?}", healed.elapsed());
    followed.until_health(Health::Fresh).await;
}

#[tokio::test(start_paused = true)]
async fn not_there_at_the_start_is_waited_for() {
    let store = Fake::new(one("one", 1));
    away(&store, unreachable);
    let followed = Followed::new(&store, ReloaderOptions::realtime());
    sleep(MINUTE).await;
    assert_eq!(followed.receiver.get(), None);
    store.forget_attempts();
    followed.expect("one").await;
}

#[tokio::test(start_paused = true)]
async fn who_is_refused_asks_ever_more_seldom() {
    let store = Fake::new(one("one", 1));
    away(&store, || StoreError::refused("wrong password"));
    let _followed = Followed::new(&store, ReloaderOptions::realtime());
    sleep(10 * MINUTE).await;
    let before = store.connects();
    sleep(10 * MINUTE).await;
    // Every five seconds, by the mean of what is drawn from zero to ten.
    let attempts = store.connects() - before;
    assert!((60..240).contains(&attempts), "{attempts}");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_says_when_is_not_asked_before() {
    let store = Fake::new(one("one", 1));
    store.next_attempts([Attempt::Fails(|| StoreError::throttled("busy", Some(MINUTE)))]);
    let followed = Followed::new(&store, ReloaderOptions::hybrid());
    let begun = Instant::now();
    followed.expect("one").await;
    assert!(begun.elapsed() >= MINUTE);
    assert_eq!(store.connects(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_hangs_is_given_up() {
    let store = Fake::new(one("one", 1));
    store.next_attempts([Attempt::Hangs]);
    let followed = Followed::new(&store, ReloaderOptions::realtime());
    let status = followed.until_health(Health::Retrying).await;
    assert!(status.last_error.unwrap().contains("no answer within 5s"));
    followed.expect("one").await;
}

#[tokio::test(start_paused = true)]
async fn a_read_that_hangs_has_it_connect_anew() {
    let store = Fake::new(one("one", 1));
    let options = ReloaderOptions::hybrid().poll_interval(Duration::from_secs(10));
    let followed = Followed::new(&store, options);
    followed.expect("one").await;
    store.hold(true);
    store.put_silently(one("two", 2));
    // The new watch tells it, whatever became of the read.
    followed.expect("two").await;
    assert_eq!(store.connects(), 2);
}

#[tokio::test(start_paused = true)]
async fn watches_that_end_together_do_not_begin_together() {
    let store = Fake::new(one("one", 1));
    let mut all = Vec::new();
    for _ in 0..100 {
        let followed = Followed::new(&store, ReloaderOptions::realtime());
        followed.expect("one").await;
        all.push(followed);
    }
    let before = store.connects();
    store.cut();
    sleep(Duration::from_millis(100)).await;
    let early = store.connects() - before;
    assert!((10..70).contains(&early), "{early}");
    sleep(Duration::from_secs(1)).await;
    assert_eq!(store.connects() - before, 100);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_ends_each_watch_is_asked_ever_more_seldom() {
    let store = Fake::new(one("one", 1));
    let followed = Followed::new(&store, ReloaderOptions::realtime());
    followed.expect("one").await;
    for _ in 0..600 {
        store.cut();
        sleep(Duration::from_millis(100)).await;
    }
    assert!((5..60).contains(&store.connects()), "{}", store.connects());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_stays_away_is_asked_ever_more_seldom() {
    let store = Fake::new(one("one", 1));
    away(&store, unreachable);
    let _followed = Followed::new(&store, ReloaderOptions::realtime());
    sleep(60 * MINUTE).await;
    let before = store.connects();
    sleep(10 * MINUTE).await;
    // Every five seconds, by the mean of what is drawn from zero to ten.
    let attempts = store.connects() - before;
    assert!((60..240).contains(&attempts), "{attempts}");
}

#[tokio::test(start_paused = true)]
async fn a_short_poll_interval_hurries_nobody_who_refuses() {
    let store = Fake::new(one("one", 1));
    away(&store, || StoreError::refused("wrong password"));
    let options = ReloaderOptions::polling().poll_interval(Duration::from_millis(500));
    let _followed = Followed::new(&store, options);
    sleep(10 * MINUTE).await;
    let attempts = store.connects();
    assert!(attempts < 300, "{attempts}");
}

/// Once it was asked again after a millisecond, from the first audit on.
#[tokio::test(start_paused = true)]
async fn a_client_that_panics_is_asked_ever_more_seldom() {
    let store = Fake::new(one("one", 1));
    let options = ReloaderOptions::hybrid().poll_interval(Duration::from_secs(10));
    let followed = Followed::new(&store, options);
    followed.expect("one").await;
    store.next_attempts(repeat_with(|| Attempt::Panics).take(100_000));
    store.answers(Answers::Panic);
    sleep(MINUTE).await;
    assert!((50..300).contains(&store.connects()), "{}", store.connects());
    store.forget_attempts();
    store.answers(Answers::Come);
    store.put_silently(one("two", 2));
    followed.expect("two").await;
}

#[tokio::test(start_paused = true)]
async fn a_look_that_is_given_up_is_not_repeated_at_once() {
    let store = Fake::new(one("one", 1));
    let options = ReloaderOptions::polling().poll_interval(Duration::from_secs(10));
    let followed = Followed::new(&store, options.load_timeout(Duration::from_secs(2)));
    followed.expect("one").await;
    store.answers(Answers::Take(Duration::from_millis(2100)));
    let connects = store.connects();
    let begun = Instant::now();
    while store.connects() < connects + 100 {
        sleep(Duration::from_secs(1)).await;
    }
    // Each takes two seconds, and then a pause of 0.4 s by the mean.
    assert!(begun.elapsed() > Duration::from_secs(225), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_is_missing_is_asked_for_by_the_connection_there_is() {
    let store = Fake::new(one("one", 1));
    let missing = || StoreError::missing("no bucket config; create it");
    store.channel(super::common::fake::Channel::Fails(missing));
    let followed = Followed::new(&store, ReloaderOptions::realtime());
    sleep(MINUTE).await;
    assert_eq!(store.connects(), 1);
    store.channel(super::common::fake::Channel::Pushes);
    followed.expect("one").await;
    assert_eq!(store.connects(), 1);
}

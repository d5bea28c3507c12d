//! A channel that can't be had, or not now, while what there is can be read.

use std::time::Duration;

use hot_reload::{Health, Mechanism, ReloaderOptions};
use hot_reload_sources::{Entry, Store, StoreError};
use tokio::time::{Instant, sleep, timeout};

use super::{
    Followed, HOUR,
    common::{
        fake::{Answers, Channel, Fake, one},
        within,
    },
};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

fn hybrid(poll_interval: Duration) -> ReloaderOptions {
    ReloaderOptions::hybrid().poll_interval(poll_interval)
}

fn busy() -> StoreError {
    StoreError::throttled("too many watches", None)
}

fn busy_for_a_minute() -> StoreError {
    StoreError::throttled("come back later", Some(MINUTE))
}

fn lost() -> StoreError {
    StoreError::unreachable("the proxy has no upgrade")
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_is_refused_is_asked_for_again() {
    let store = Fake::new(one("one", 1));
    store.channel(Channel::Refused);
    let followed = Followed::new(&store, ReloaderOptions::realtime());
    let status = followed.until_health(Health::Degraded).await;
    assert!(status.mechanism.unwrap().to_string().contains("grant it"));
    store.put_silently(one("two", 2));
    followed.expect("two").await;

    store.channel(Channel::Pushes);
    followed.until_health(Health::Fresh).await;
    let reads = store.reads();
    sleep(HOUR).await;
    assert_eq!(store.reads(), reads);
}

/// Once one that was throttled was, and in hybrid for ever.
#[tokio::test(start_paused = true)]
async fn a_broken_channel_is_no_reason_to_have_no_value() {
    for channel in [
        Channel::Fails(lost),
        Channel::Hangs,
        Channel::Fails(busy),
        Channel::Fails(busy_for_a_minute),
        Channel::Disappoints(lost),
        Channel::Disappoints(busy),
    ] {
        for options in [ReloaderOptions::realtime(), ReloaderOptions::hybrid()] {
            let store = Fake::new(one("one", 1));
            store.channel(channel);
            let followed = Followed::new(&store, options);
            followed.expect("one").await;
            followed.until_health(Health::Degraded).await;
            store.put_silently(one("two", 2));
            let put = Instant::now();
            followed.expect("two").await;
            assert!(put.elapsed() <= 11 * SECOND, "{channel:?}: {:?}", put.elapsed());

            store.channel(Channel::Pushes);
            followed.until_health(Health::Fresh).await;
            store.put(one("three", 3));
            followed.expect("three").await;
        }
    }
}

/// Once the first failure that the status told was the answer.
#[tokio::test(start_paused = true)]
async fn a_broken_channel_keeps_nobody_from_beginning() {
    for channel in [Channel::Hangs, Channel::Disappoints(lost), Channel::Disappoints(busy)] {
        let store = Fake::new(one("one", 1));
        store.channel(channel);
        let values = within(store.clone().text().watch()).await.unwrap();
        assert_eq!(values.get().as_deref(), Some("one"), "{channel:?}");
    }
}

/// Once each look asked for the channel anew, as none had come to an end of its own.
#[tokio::test(start_paused = true)]
async fn a_channel_that_hangs_for_longer_than_a_look_may_is_done_without() {
    for options in [ReloaderOptions::realtime(), ReloaderOptions::hybrid()] {
        let store = Fake::new(one("one", 1));
        store.channel(Channel::Hangs);
        let followed = Followed::new(&store, options.load_timeout(2 * SECOND));
        followed.expect("one").await;
        store.put_silently(one("two", 2));
        followed.expect("two").await;
    }
}

/// Servers of events say once how soon to be back, and proxies end each stream after a minute.
#[tokio::test(start_paused = true)]
async fn a_watch_that_ends_to_be_begun_anew_in_a_moment_is_no_trouble() {
    let store = Fake::new(one("one", 1));
    let followed = Followed::new(&store, ReloaderOptions::realtime());
    followed.expect("one").await;
    let watched = store.watched();
    store.end(|| StoreError::throttled("over", Some(3 * SECOND)));
    while store.watched() == watched {
        let mechanism = followed.receiver.status().mechanism;
        assert_eq!(mechanism, Some(Mechanism::Events));
        sleep(SECOND / 100).await;
    }
}

/// Once it was off until the next audit, minutes later where that is how often one looks.
#[tokio::test(start_paused = true)]
async fn a_channel_that_is_back_is_found_soon_whatever_the_poll_interval() {
    for channel in [Channel::Fails(lost), Channel::Hangs] {
        let store = Fake::new(one("one", 1));
        store.channel(channel);
        let followed = Followed::new(&store, hybrid(5 * MINUTE));
        followed.until_health(Health::Degraded).await;
        sleep(MINUTE / 2).await;
        store.channel(Channel::Pushes);
        sleep(6 * SECOND).await;
        let reads = store.reads();
        store.put(one("two", 2));
        let put = Instant::now();
        followed.expect("two").await;
        assert!(put.elapsed() < SECOND, "{channel:?}: {:?}", put.elapsed());
        assert_eq!(store.reads(), reads);
    }
}

/// By a clock that never stands still.
#[tokio::test]
async fn a_channel_that_is_back_is_found_in_real_time() {
    let store = Fake::new(one("one", 1));
    store.channel(Channel::Fails(lost));
    let followed = Followed::new(&store, ReloaderOptions::realtime());
    within(followed.until_health(Health::Degraded)).await;
    store.channel(Channel::Pushes);
    within(followed.until_health(Health::Fresh)).await;
}

/// Once each poll was a new connection.
#[tokio::test(start_paused = true)]
async fn a_channel_that_is_refused_is_asked_for_ever_more_seldom() {
    let store = Fake::new(one("one", 1));
    store.channel(Channel::Refused);
    let _followed = Followed::new(&store, hybrid(SECOND));
    sleep(10 * MINUTE).await;
    // Every five seconds, by the mean of what is drawn from zero to ten.
    assert!((60..240).contains(&store.connects()), "{}", store.connects());
    assert!(store.reads() >= 590, "{}", store.reads());
}

/// Once each attempt at it kept reads waiting, and the status said that events were to be had again.
#[tokio::test(start_paused = true)]
async fn while_a_channel_hangs_what_there_is_is_read_and_nothing_else_is_said() {
    let store = Fake::new(one("0", 1));
    store.channel(Channel::Hangs);
    let followed = Followed::new(&store, hybrid(SECOND));
    followed.until_health(Health::Degraded).await;
    let mut statuses = followed.receiver.watch_status();
    let is_else = statuses.wait_for(|status| {
        status.failures > 0 || !matches!(status.mechanism, Some(Mechanism::Degraded(_)))
    });
    let changes = async {
        for n in 1..100_u64 {
            store.put_silently(one(&n.to_string(), 1 + n));
            let put = Instant::now();
            followed.expect(&n.to_string()).await;
            assert!(put.elapsed() <= 2 * SECOND, "{n}: {:?}", put.elapsed());
        }
    };
    tokio::select! {
        status = is_else => panic!("{:?}", status.unwrap()),
        () = changes => {}
    }
}

/// Once half of the deadline was all that a read in the place of a watch had.
#[tokio::test(start_paused = true)]
async fn a_slow_read_in_the_place_of_a_watch_has_its_time() {
    let store = Fake::new(one("one", 1));
    store.channel(Channel::Refused);
    store.answers(Answers::Take(3 * SECOND));
    let followed = Followed::new(&store, ReloaderOptions::realtime());
    followed.expect("one").await;
    assert_eq!(store.reads(), 1);
}

/// Once it was thrown away by each read that was throttled, and none but those was to bring it.
#[tokio::test(start_paused = true)]
async fn what_is_pushed_is_taken_while_reads_are_throttled() {
    let store = Fake::new(Entry::one("one"));
    let followed = Followed::new(&store, hybrid(10 * SECOND));
    followed.expect("one").await;
    store.answers(Answers::Fail(|| StoreError::throttled("busy", Some(10 * MINUTE))));
    sleep(MINUTE).await;
    assert_eq!(store.reads(), 1);
    for text in ["two", "three", "four"] {
        store.put(Entry::one(text));
        assert!(timeout(SECOND, followed.expect(text)).await.is_ok(), "{text}");
    }
    assert_eq!((store.reads(), store.connects()), (1, 1));

    // It is read again when it has said that it may be.
    store.answers(Answers::Come);
    store.put_silently(Entry::one("five"));
    followed.expect("five").await;
}

/// The push that comes just when a read is due, too.
#[tokio::test(start_paused = true)]
async fn what_is_pushed_while_a_read_is_about_to_be_throttled_is_taken() {
    for _ in 0..20 {
        let store = Fake::new(Entry::one("0"));
        let followed = Followed::new(&store, hybrid(SECOND));
        followed.expect("0").await;
        store.answers(Answers::Fail(|| StoreError::throttled("busy", Some(HOUR))));
        let mut last = String::new();
        for n in 1..30 {
            last = n.to_string();
            store.put(Entry::one(last.clone()));
            sleep(SECOND / 10).await;
        }
        assert!(timeout(SECOND, followed.expect(&last)).await.is_ok());
        assert_eq!(store.reads(), 1);
    }
}

/// Once the next audit asked for it anew.
#[tokio::test(start_paused = true)]
async fn a_watch_that_is_not_to_come_back_before_a_minute_does_not() {
    let store = Fake::new(one("one", 1));
    let followed = Followed::new(&store, hybrid(10 * SECOND));
    followed.expect("one").await;
    store.end(busy_for_a_minute);
    sleep(59 * SECOND).await;
    assert_eq!(store.watched(), 1);
    assert_eq!(store.connects(), 2);
    // What there is is read as ever.
    assert!(store.reads() >= 5, "{}", store.reads());
    store.put_silently(one("two", 2));
    followed.expect("two").await;
    followed.until_health(Health::Fresh).await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_not_to_be_read_before_a_minute_is_not_watched_before() {
    let store = Fake::new(one("one", 1));
    let followed = Followed::new(&store, hybrid(10 * SECOND));
    followed.expect("one").await;
    store.answers(Answers::Fail(busy_for_a_minute));
    followed.until_health(Health::Retrying).await;
    store.cut();
    sleep(59 * SECOND).await;
    assert_eq!((store.connects(), store.watched(), store.reads()), (1, 1, 1));
    // A person may ask all the same.
    store.answers(Answers::Come);
    store.put_silently(one("two", 2));
    let triggered = followed.service.handle().trigger().await;
    assert_eq!(triggered, hot_reload::Triggered::Published(2));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_ends_each_watch_is_asked_ever_more_seldom_though_it_is_polled() {
    let store = Fake::new(one("one", 1));
    let followed = Followed::new(&store, hybrid(SECOND / 2));
    followed.expect("one").await;
    for _ in 0..600 {
        store.cut();
        sleep(SECOND / 10).await;
    }
    assert!((5..60).contains(&store.connects()), "{}", store.connects());
    assert!(store.reads() >= 50, "{}", store.reads());
}

/// Once three requests were made of each attempt, two of them reads.
#[tokio::test(start_paused = true)]
async fn while_reads_fail_nothing_else_is_asked_for() {
    let store = Fake::new(one("one", 1));
    store.channel(Channel::Disappoints(lost));
    store.answers(Answers::Fail(lost));
    let followed = Followed::new(&store, ReloaderOptions::realtime());
    sleep(MINUTE).await;
    assert_eq!(store.watched(), 1);
    assert!(store.reads() + 1 >= store.connects(), "{}", store.connects());
    store.channel(Channel::Pushes);
    store.answers(Answers::Come);
    let healed = Instant::now();
    followed.expect("one").await;
    assert!(healed.elapsed() < SECOND, "{:?}", healed.elapsed());
    sleep(SECOND).await;
    followed.until_health(Health::Fresh).await;
}

/// What the new watch had found first may be older than what was read meanwhile.
#[tokio::test(start_paused = true)]
async fn a_channel_that_is_back_lands_on_nothing_newer() {
    let store = Fake::new(Entry::one("one"));
    store.channel(Channel::Refused);
    let followed = Followed::new(&store, hybrid(SECOND));
    followed.until_health(Health::Degraded).await;
    store.channel(Channel::Pushes);
    followed.until_health(Health::Fresh).await;
    store.put(Entry::one("two"));
    followed.expect("two").await;
    sleep(MINUTE).await;
    assert_eq!(followed.receiver.status().generation, 2);
}

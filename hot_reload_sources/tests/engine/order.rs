//! An older revision never lands on a newer, and the newest is never lost.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use hot_reload::{Health, ReloaderOptions};
use hot_reload_sources::{Entry, Revision, Store};
use tokio::time::sleep;

use super::{
    Followed,
    common::fake::{Fake, one},
};

const POLL: Duration = Duration::from_secs(10);

fn hybrid() -> ReloaderOptions {
    ReloaderOptions::hybrid().poll_interval(POLL)
}

/// Waits for the next read, whose answer is held.
async fn until_it_reads(store: &Fake) {
    let reads = store.reads();
    while store.reads() == reads {
        sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_does_not_replace_what_was_pushed_meanwhile() {
    let store = Fake::new(one("six", 6));
    let followed = Followed::new(&store, hybrid());
    followed.expect("six").await;
    store.hold(true);
    until_it_reads(&store).await;
    store.put(one("seven", 7));
    store.hold(false);
    followed.expect("seven").await;
    sleep(POLL * 3).await;
    assert_eq!(followed.receiver.status().generation, 2);
}

#[tokio::test(start_paused = true)]
async fn a_late_push_does_not_replace_what_was_read_meanwhile() {
    let store = Fake::new(one("six", 6));
    let followed = Followed::new(&store, hybrid());
    followed.expect("six").await;
    store.put_silently(one("eight", 8));
    followed.expect("eight").await;
    store.push(&one("seven", 7));
    sleep(POLL * 3).await;
    assert_eq!(followed.receiver.get().as_deref(), Some("eight"));
    assert_eq!(followed.receiver.status().generation, 2);
}

#[tokio::test(start_paused = true)]
async fn pushes_out_of_order_end_at_the_newest() {
    let store = Fake::new(one("one", 1));
    let followed = Followed::new(&store, ReloaderOptions::realtime());
    followed.expect("one").await;
    store.push(&one("three", 3));
    store.push(&one("two", 2));
    followed.expect("three").await;
    store.push(&one("two", 2));
    sleep(POLL).await;
    assert_eq!(followed.receiver.status().generation, 2);
}

#[tokio::test(start_paused = true)]
async fn without_revisions_what_was_read_meanwhile_is_read_again() {
    let store = Fake::new(Entry::one("six"));
    let followed = Followed::new(&store, hybrid());
    followed.expect("six").await;
    store.hold(true);
    until_it_reads(&store).await;
    store.put(Entry::one("seven"));
    store.hold(false);
    followed.expect("seven").await;
    sleep(POLL * 3).await;
    assert_eq!(followed.receiver.status().generation, 2);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_counts_from_the_start_again_is_believed() {
    let store = Fake::new(one("old", 5000));
    let followed = Followed::new(&store, hybrid());
    followed.expect("old").await;
    store.put_silently(Entry::one("new").at(Revision::new("another", 1)));
    store.cut();
    followed.expect("new").await;
}

#[tokio::test(start_paused = true)]
async fn of_a_burst_the_last_wins_and_few_are_parsed() {
    let store = Fake::new(one("0", 1));
    let parsed = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&parsed);
    let source = store.clone().with(move |_, content| {
        counting.fetch_add(1, SeqCst);
        match content {
            hot_reload_sources::Content::One(bytes) => Ok(String::from_utf8(bytes.to_vec())?),
            hot_reload_sources::Content::Set(_) => anyhow::bail!("a set"),
        }
    });
    let options = ReloaderOptions::realtime();
    let followed = Followed::from(source, options, |service| service);
    followed.expect("0").await;
    for n in 1..=10_000 {
        store.put(one(&n.to_string(), 1 + n));
    }
    followed.expect("10000").await;
    // Tokio has a task rest after 128 messages.
    assert!(parsed.load(SeqCst) <= 100, "{parsed:?}");
}

#[tokio::test(start_paused = true)]
async fn what_a_gate_refused_is_not_lost_with_the_connection() {
    let store = Fake::new(one("one", 1));
    let is_open = Arc::new(AtomicBool::new(true));
    let gate = Arc::clone(&is_open);
    let source = store.clone().text();
    let followed = Followed::from(source, ReloaderOptions::realtime(), |service| {
        service.validate(move |_, _| if gate.load(SeqCst) { Ok(()) } else { Err("not now") })
    });
    followed.expect("one").await;
    is_open.store(false, SeqCst);
    store.put(one("two", 2));
    followed.until_health(Health::Retrying).await;
    store.cut();
    sleep(POLL).await;
    is_open.store(true, SeqCst);
    followed.expect("two").await;
}

#[tokio::test(start_paused = true)]
async fn a_trigger_reads() {
    let store = Fake::new(one("one", 1));
    let followed = Followed::new(&store, ReloaderOptions::realtime());
    followed.expect("one").await;
    store.put_silently(one("two", 2));
    let triggered = followed.service.handle().trigger().await;
    assert_eq!(triggered, hot_reload::Triggered::Published(2));
}

/// Once landed on what the new connection had read, when it was taken at last.
#[tokio::test(start_paused = true)]
async fn what_arrived_by_a_connection_that_is_lost_is_forgotten() {
    let store = Fake::new(Entry::one("one"));
    let is_open = Arc::new(AtomicBool::new(true));
    let gate = Arc::clone(&is_open);
    let source = store.clone().text();
    let followed = Followed::from(source, ReloaderOptions::realtime(), |service| {
        service.validate(move |_, _| if gate.load(SeqCst) { Ok(()) } else { Err("not now") })
    });
    followed.expect("one").await;
    is_open.store(false, SeqCst);
    store.put(Entry::one("refused"));
    followed.until_health(Health::Retrying).await;
    store.push(&Entry::one("older"));
    store.cut();
    store.put_silently(Entry::one("newer"));
    sleep(POLL).await;
    is_open.store(true, SeqCst);
    followed.expect("newer").await;
    sleep(POLL * 10).await;
    assert_eq!(followed.receiver.get().as_deref(), Some("newer"));
}

//! What can be done with a receiver beside reading it.

mod drops;
#[path = "../common/patience.rs"]
mod patience;
#[path = "../common/source.rs"]
mod source;
mod wakers;

use std::{
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    task::{Context, Wake, Waker},
    thread,
    time::{Duration, Instant},
};

use hot_reload::{Health, ReloaderConfig, ReloaderReceiver, ReloaderService, WatchEvent};
use patience::{PATIENCE, within};
use source::{Held, Store};
use tokio::{task::JoinHandle, time::timeout};
use tokio_stream::StreamExt;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Config {
    name: String,
    limits: Limits,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Limits {
    body: u64,
    rate: u64,
}

fn config(name: &str, body: u64, rate: u64) -> Config {
    Config { name: name.to_owned(), limits: Limits { body, rate } }
}

/// A source that publishes what it is given.
fn source() -> Store<Config> {
    Store::of(Held::Value(config("first", 1, 1)))
}

/// A service whose first value has arrived.
struct Lab {
    source: Store<Config>,
    rx: ReloaderReceiver<Config>,
    task: JoinHandle<()>,
}

impl Lab {
    async fn new() -> Self {
        let source = source();
        let (service, rx) =
            ReloaderService::from_reloader(source.clone(), ReloaderConfig::realtime());
        let task = tokio::spawn(async move { service.start_with_realtime().await.unwrap() });
        let mut lab = Self { source, rx, task };
        within(lab.rx.changed()).await.unwrap();
        lab
    }

    async fn publish(&mut self, next: Config) {
        within(self.source.push(WatchEvent::Changed(next))).await;
        within(self.rx.changed()).await.unwrap();
    }
}

/// Checks that `part` was not woken, and has the value that it had: no publication of the whole is
/// seen before that of its part.
async fn is_as_it_was<V: Eq>(part: &mut ReloaderReceiver<V>, generation: u64) {
    assert_eq!(part.borrow().generation(), generation);
    assert!(timeout(Duration::ZERO, part.changed()).await.is_err(), "woken for nothing");
}

/// Programs there are that go on to ask.
#[tokio::test]
async fn whoever_asks_on_after_the_end_holds_nobody_up() {
    let mut lab = Lab::new().await;
    lab.task.abort();
    within(async { while lab.rx.changed().await.is_ok() {} }).await;
    let mut rx = lab.rx.clone();
    let asking = tokio::spawn(async move {
        loop {
            let _ended = rx.changed().await;
        }
    });
    // On the same thread.
    tokio::time::sleep(Duration::from_millis(10)).await;
    asking.abort();
    assert!(asking.await.unwrap_err().is_cancelled());
}

#[tokio::test]
async fn a_borrowed_value_tells_whether_one_is_yet_to_be_awaited() {
    let mut lab = Lab::new().await;
    let mut other = lab.rx.clone();
    assert!(!other.borrow().has_changed());
    lab.publish(config("next", 1, 1)).await;
    assert!(other.borrow().has_changed() && !lab.rx.borrow().has_changed());
    within(other.changed()).await.unwrap();
    assert!(!other.borrow().has_changed());
}

/// As whatever has one in it may be logged.
#[tokio::test]
async fn what_is_printed_of_a_receiver_is_not_its_value() {
    let mut lab = Lab::new().await;
    lab.publish(config("secret", 1, 1)).await;
    let read = (lab.rx.cached(), lab.rx.project(|config| &config.name), lab.rx.watch_status());
    for printed in [
        format!("{:?}", lab.rx),
        format!("{read:?}"),
        format!("{:?}", lab.rx.clone().into_stream()),
    ] {
        assert!(!printed.contains("secret"), "{printed}");
    }
    assert_eq!(format!("{:?}", lab.rx), "ReloaderReceiver { generation: 2, .. }");
}

#[tokio::test]
async fn waits_for_what_a_predicate_accepts() {
    let mut lab = Lab::new().await;
    // What is there already is accepted at once.
    let now = within(lab.rx.wait_for(|config| config.name == "first")).await.unwrap();
    assert_eq!(now.generation(), 1);
    let mut rx = lab.rx.clone();
    let waiting = tokio::spawn(async move { rx.wait_for(|config| config.limits.body > 2).await });
    for n in 1..=3 {
        lab.publish(config("more", n, 0)).await;
    }
    let found = within(waiting).await.unwrap().unwrap();
    assert_eq!(*found, config("more", 3, 0));
}

#[tokio::test]
async fn waits_for_a_generation_or_a_later_one() {
    let mut lab = Lab::new().await;
    let mut rx = lab.rx.clone();
    let waiting = tokio::spawn(async move { rx.wait_for_generation(3).await });
    lab.publish(config("two", 1, 1)).await;
    assert!(!waiting.is_finished());
    lab.publish(config("three", 1, 1)).await;
    assert_eq!(within(waiting).await.unwrap().unwrap().name, "three");
    assert_eq!(within(lab.rx.wait_for_generation(1)).await.unwrap().generation(), 3);
}

#[tokio::test]
async fn a_wait_ends_with_the_service() {
    let mut lab = Lab::new().await;
    lab.task.abort();
    assert!(within(lab.rx.wait_for(|_| false)).await.is_err());
    assert!(within(lab.rx.wait_for_generation(9)).await.is_err());
    // What is there is found all the same.
    assert!(within(lab.rx.wait_for(|config| config.name == "first")).await.is_ok());
}

#[tokio::test]
async fn a_stream_yields_each_value_and_ends_with_the_service() {
    let mut lab = Lab::new().await;
    let mut stream = lab.rx.clone().into_stream();
    lab.publish(config("two", 1, 1)).await;
    assert_eq!(within(stream.next()).await.unwrap().name, "two");
    // A consumer that is slow gets the newest.
    lab.publish(config("three", 1, 1)).await;
    lab.publish(config("four", 1, 1)).await;
    assert_eq!(within(stream.next()).await.unwrap().name, "four");
    lab.task.abort();
    assert!(within(stream.next()).await.is_none());
}

#[tokio::test]
async fn a_stream_starts_with_what_was_not_awaited() {
    let mut lab = Lab::new().await;
    let behind = lab.rx.clone();
    lab.publish(config("two", 1, 1)).await;
    assert_eq!(within(behind.into_stream().next()).await.unwrap().name, "two");
}

#[tokio::test]
async fn a_projection_is_woken_only_when_its_part_changes() {
    let mut lab = Lab::new().await;
    let mut limits = lab.rx.project(|config| &config.limits);
    assert_eq!(limits.get(), Some(Limits { body: 1, rate: 1 }));
    // Like any receiver it has its first value to await.
    within(limits.changed()).await.unwrap();
    lab.publish(config("renamed", 1, 1)).await;
    is_as_it_was(&mut limits, 1).await;
    lab.publish(config("renamed", 2, 1)).await;
    within(limits.changed()).await.unwrap();
    assert_eq!(limits.borrow().as_ref().unwrap().body, 2);
    assert_eq!(limits.borrow().generation(), 2);
}

#[tokio::test]
async fn a_projection_is_projected_again() {
    let mut lab = Lab::new().await;
    let mut body = lab.rx.project(|config| &config.limits).project(|limits| &limits.body);
    within(body.changed()).await.unwrap();
    lab.publish(config("first", 1, 9)).await;
    is_as_it_was(&mut body, 1).await;
    lab.publish(config("first", 7, 9)).await;
    within(body.changed()).await.unwrap();
    assert_eq!(body.get(), Some(7));
    assert_eq!(body.cached().load(), Some(&7));
}

#[tokio::test]
async fn a_projection_is_in_place_before_anyone_is_woken() {
    let mut lab = Lab::new().await;
    let rate = lab.rx.project(|config| &config.limits.rate);
    for n in 2..200 {
        lab.publish(config("first", 1, n)).await;
        assert_eq!(rate.get(), Some(n));
    }
}

/// The whole and its parts.
type Sight = (Option<Config>, Option<String>, Option<u64>);

/// Looks at them as it is woken.
struct AtWake {
    whole: ReloaderReceiver<Config>,
    name: ReloaderReceiver<String>,
    body: ReloaderReceiver<u64>,
    seen: Mutex<Vec<Sight>>,
}

impl Wake for AtWake {
    fn wake(self: Arc<Self>) {
        let Self { whole, name, body, seen } = &*self;
        seen.lock().unwrap().push((whole.get(), name.get(), body.get()));
    }
}

/// The whole was once the one before, for whoever a part had woken, and so was another part.
#[tokio::test]
async fn whoever_a_part_wakes_finds_the_whole_and_every_other_part_in_place() {
    let mut lab = Lab::new().await;
    let mut name = lab.rx.project(|config| &config.name);
    let mut limits = lab.rx.project(|config| &config.limits);
    let mut body = limits.project(|limits| &limits.body);
    let (whole, name_too, body_too) = (lab.rx.clone(), name.clone(), body.clone());
    let at_wake = AtWake { whole, name: name_too, body: body_too, seen: Mutex::default() };
    let at_wake = Arc::new(at_wake);
    let waker = Waker::from(Arc::clone(&at_wake));
    name.changed().await.unwrap();
    limits.changed().await.unwrap();
    body.changed().await.unwrap();
    let mut name = pin!(name.changed());
    let mut limits = pin!(limits.changed());
    let mut body = pin!(body.changed());
    let cx = &mut Context::from_waker(&waker);
    assert!(name.as_mut().poll(cx).is_pending());
    assert!(limits.as_mut().poll(cx).is_pending());
    assert!(body.as_mut().poll(cx).is_pending());
    lab.publish(config("next", 2, 2)).await;
    let want = (Some(config("next", 2, 2)), Some("next".to_owned()), Some(2));
    assert_eq!(*at_wake.seen.lock().unwrap(), vec![want; 3]);
}

#[tokio::test]
async fn a_projection_made_before_the_first_value_gets_it() {
    let (service, rx) = ReloaderService::from_reloader(source(), ReloaderConfig::realtime());
    let mut name = rx.project(|config| &config.name);
    assert_eq!(name.get(), None);
    let _task = tokio::spawn(async move { service.start_with_realtime().await });
    within(name.changed()).await.unwrap();
    assert_eq!(name.get().as_deref(), Some("first"));
}

#[tokio::test]
async fn a_service_goes_on_for_a_projection_alone_and_ends_with_it() {
    let lab = Lab::new().await;
    let mut body = lab.rx.project(|config| &config.limits).project(|limits| &limits.body);
    within(body.changed()).await.unwrap();
    let Lab { source, rx, task } = lab;
    drop(rx);
    within(source.push(WatchEvent::Changed(config("first", 5, 5)))).await;
    within(body.changed()).await.unwrap();
    assert_eq!(body.get(), Some(5));
    assert_eq!(body.status().generation, 2);
    drop(body);
    within(task).await.unwrap();
}

#[tokio::test]
async fn a_projection_hears_of_the_end() {
    let lab = Lab::new().await;
    let mut name = lab.rx.project(|config| &config.name);
    within(name.changed()).await.unwrap();
    lab.task.abort();
    assert!(within(name.changed()).await.is_err());
    assert_eq!(name.get().as_deref(), Some("first"));
    // One that is made after the end has the last value, and no more to come.
    let mut late = lab.rx.project(|config| &config.name);
    within(late.changed()).await.unwrap();
    assert!(within(late.changed()).await.is_err());
}

#[tokio::test]
async fn a_projection_that_panics_stays_as_it_was_and_harms_nobody() {
    let mut lab = Lab::new().await;
    let mut fragile = lab.rx.project(|config| {
        assert_ne!(config.name, "poison");
        &config.name
    });
    let body = lab.rx.project(|config| &config.limits.body);
    within(fragile.changed()).await.unwrap();
    lab.publish(config("poison", 2, 2)).await;
    assert_eq!((fragile.get().as_deref(), body.get()), (Some("first"), Some(2)));
    lab.publish(config("antidote", 3, 3)).await;
    within(fragile.changed()).await.unwrap();
    assert_eq!(fragile.get().as_deref(), Some("antidote"));
}

#[tokio::test]
async fn a_projection_nobody_has_is_not_computed() {
    let mut lab = Lab::new().await;
    let calls = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&calls);
    let name = lab.rx.project(move |config| {
        counted.fetch_add(1, Ordering::SeqCst);
        &config.name
    });
    lab.publish(config("two", 1, 1)).await;
    assert_eq!(calls.load(Ordering::SeqCst), 2);
    drop(name);
    lab.publish(config("three", 1, 1)).await;
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

/// They piled up until there was a new value.
#[tokio::test]
async fn projections_nobody_has_do_not_pile_up() {
    let lab = Lab::new().await;
    let alive = Arc::new(());
    let project = || {
        let alive = Arc::clone(&alive);
        lab.rx.project(move |config| {
            assert!(Arc::strong_count(&alive) > 0);
            &config.name
        })
    };
    let held: Vec<_> = (0..100).map(|_| project()).collect();
    for _ in 0..10_000 {
        // What it holds may be a receiver of the same value.
        let inside = lab.rx.project(|config| &config.limits);
        drop(lab.rx.project(move |config| {
            let _inside = &inside;
            &config.name
        }));
        drop(project());
    }
    let left = Arc::strong_count(&alive) - 1;
    assert!((100..400).contains(&left), "{left} projections of which a hundred are held");
    assert!(held.iter().all(|name| name.get().as_deref() == Some("first")));
}

#[tokio::test]
async fn ten_thousand_receivers_get_the_newest_value_and_a_slow_one_blocks_nobody() {
    let mut lab = Lab::new().await;
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..10_000 {
        let mut rx = lab.rx.clone();
        waiting.spawn(async move { rx.wait_for(|config| config.name == "last").await.is_ok() });
    }
    let slow = lab.rx.clone();
    let held = slow.borrow();
    for n in 0..100 {
        lab.publish(config("next", n, n)).await;
    }
    lab.publish(config("last", 0, 0)).await;
    assert!(within(waiting.join_all()).await.into_iter().all(|found| found));
    assert_eq!(held.as_ref().unwrap().name, "first");
    drop(held);
    assert_eq!(slow.get().unwrap().name, "last");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_reads_a_value_finds_its_status_and_the_other_way_round() {
    let mut lab = Lab::new().await;
    let rx = lab.rx.clone();
    let reader = thread::spawn(move || {
        loop {
            let read = rx.borrow().generation();
            let told = rx.status().generation;
            assert!(told >= read, "the status is of {told} with {read} in use");
            let read = rx.borrow().generation();
            assert!(read >= told, "{read} is in use with a status of {told}");
            if read > 5_000 {
                break;
            }
        }
    });
    for n in 0..5_000 {
        lab.publish(config("next", n, n)).await;
    }
    reader.join().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thread_outside_the_runtime_waits_and_reads() {
    let mut lab = Lab::new().await;
    let mut rx = lab.rx.clone();
    let (tx, heard) = mpsc::channel();
    let thread = thread::spawn(move || {
        while rx.blocking_changed().is_ok() {
            tx.send(rx.get().unwrap().name).unwrap();
        }
    });
    lab.publish(config("two", 1, 1)).await;
    assert_eq!(heard.recv_timeout(PATIENCE).unwrap(), "two");
    lab.task.abort();
    // It hears of the end as well.
    assert_eq!(heard.recv_timeout(PATIENCE), Err(mpsc::RecvTimeoutError::Disconnected));
    thread.join().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thread_outside_the_runtime_waits_no_longer_than_it_wants() {
    let lab = Lab::new().await;
    let mut rx = lab.rx.clone();
    let patience = Duration::from_millis(50);
    let thread = thread::spawn(move || {
        let begun = Instant::now();
        assert!(!rx.blocking_changed_within(patience).unwrap());
        begun.elapsed()
    });
    assert!(thread.join().unwrap() >= patience);
}

/// In half of the rounds it waits already, in the others the value comes first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thread_outside_the_runtime_that_would_wait_for_ever_is_woken() {
    const ROUNDS: u64 = 40;
    let mut lab = Lab::new().await;
    let mut rx = lab.rx.clone();
    let (tx, heard) = mpsc::channel();
    let thread = thread::spawn(move || {
        for round in 1..=ROUNDS {
            let patience = if round % 4 < 2 { Duration::MAX } else { 2 * PATIENCE };
            assert!(rx.blocking_changed_within(patience).unwrap());
            tx.send(rx.get().unwrap().limits.body).unwrap();
        }
    });
    for round in 1..=ROUNDS {
        if round % 2 == 0 {
            thread::sleep(Duration::from_millis(5));
        }
        lab.publish(config("next", round, 0)).await;
        assert_eq!(heard.recv_timeout(PATIENCE), Ok(round));
    }
    thread.join().unwrap();
}

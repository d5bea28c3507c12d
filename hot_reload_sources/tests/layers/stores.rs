//! A store among the layers.

use std::time::{Duration, Instant};

use hot_reload::{
    Health, ReloaderOptions, ReloaderService, Status, Triggered, file_reloader::Toml,
    read_last_good,
};
use hot_reload_sources::{
    Store,
    layers::{Layer, Layers, Tree},
};
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use crate::{
    Place, Running,
    common::{self, within},
    defaults,
    fake::Fake,
};

#[tokio::test]
async fn a_store_is_a_layer() {
    let (place, store) = (Place::new(), Fake::new("limits.rps = 5"));
    let layers = Layers::new()
        .with(defaults())
        .with(store.clone().toml::<Tree>())
        .with(place.file("a.toml", "name = 'a'"));
    let provenance = layers.provenance();
    let mut running = Running::realtime(layers);
    running.holds(|config| config.limits.rps == 5).await;
    assert_eq!(&*provenance.of("limits.rps").unwrap(), "fake://host/key");
    store.put("limits.rps = 6");
    running.holds(|config| config.limits.rps == 6).await;
    place.write("a.toml", "name = 'b'");
    running.holds(|config| config.name == "b" && config.limits.rps == 6).await;

    store.put("limits.rps = ");
    running.says("fake://host/key:1:").await;
    store.delete();
    running.says("fake://host/key: nothing there").await;
    place.write("a.toml", "name = 'c'");
    running.holds(|config| config.name == "c" && config.limits.rps == 6).await;
    store.put("limits.rps = 7");
    running.holds(|config| config.limits.rps == 7).await;
    running.status(|status| status.health == Health::Fresh).await;
}

#[tokio::test]
async fn an_optional_key_comes_and_goes() {
    let store = Fake::new("limits.rps = 5");
    store.delete();
    let layer = Layer::from(store.clone().toml::<Tree>()).optional();
    let mut running = Running::realtime(Layers::new().with(defaults()).with(layer));
    running.holds(|config| config.limits.rps == 1).await;
    for rps in [5, 6] {
        store.put(&format!("limits.rps = {rps}"));
        running.holds(|config| config.limits.rps == rps).await;
        store.delete();
        running.holds(|config| config.limits.rps == 1).await;
        assert_eq!(running.status.get().health, Health::Fresh);
    }
}

#[tokio::test]
async fn a_store_that_is_away_holds_up_nobody() {
    let (place, store) = (Place::new(), Fake::new("limits.rps = 5"));
    let layers = Layers::new()
        .with(defaults())
        .with(store.clone().toml::<Tree>())
        .with(place.file("a.toml", "limits.burst = 0"));
    let mut running = Running::realtime(layers);
    running.holds(|config| config.limits.rps == 5).await;
    store.fall_silent();
    running.says("fake://host/key: no answer").await;
    for n in 1..=5 {
        let since = Instant::now();
        place.write("a.toml", &format!("limits.burst = {n}"));
        let config = running.holds(|config| config.limits.burst == n).await;
        assert_eq!(config.limits.rps, 5);
        // An attempt to reach it takes 5 s.
        assert!(since.elapsed() < Duration::from_secs(3), "{:?}", since.elapsed());
        assert!(running.status.get().last_error.unwrap().contains("fake://host/key"));
    }
    store.put("limits.rps = 6");
    running.holds(|config| config.limits.rps == 6).await;
    running.status(|status| status.health == Health::Fresh).await;
}

#[tokio::test]
async fn a_store_that_is_not_there_at_the_start_is_waited_for() {
    let store = Fake::new("limits.rps = 5");
    store.refuse();
    let mut running =
        Running::realtime(Layers::new().with(defaults()).with(store.clone().toml::<Tree>()));
    assert_eq!(running.says("nobody listens").await.generation, 0);
    store.put("limits.rps = 6");
    running.holds(|config| config.limits.rps == 6).await;

    let optional = Layer::from(store.clone().toml::<Tree>()).optional();
    store.refuse();
    let mut running = Running::realtime(Layers::new().with(defaults()).with(optional));
    running.holds(|config| config.limits.rps == 1).await;
    running.says("nobody listens").await;
    store.put("limits.rps = 7");
    running.holds(|config| config.limits.rps == 7).await;
}

#[tokio::test]
async fn what_holds_an_optional_key_is_not_taken_for_the_key() {
    let store = Fake::new("limits.rps = 5");
    let layer = Layer::from(store.clone().toml::<Tree>()).optional();
    let mut running = Running::realtime(Layers::new().with(defaults()).with(layer));
    running.holds(|config| config.limits.rps == 5).await;
    store.lose_bucket();
    running.says("no such bucket").await;
    assert_eq!(running.receiver.get().unwrap().limits.rps, 5);
    store.delete();
    running.holds(|config| config.limits.rps == 1).await;
    running.status(|status| status.health == Health::Fresh).await;
}

#[tokio::test]
async fn who_asks_is_told_of_a_store_that_has_not_answered() {
    let store = Fake::new("limits.rps = 5");
    let layers = Layers::new().with(defaults()).with(store.clone().toml::<Tree>());
    let mut running = Running::realtime(layers);
    running.holds(|config| config.limits.rps == 5).await;
    store.fall_silent();
    let answer = within(running.handle.trigger()).await;
    let Triggered::Failed(words) = answer else { panic!("{answer:?}") };
    assert!(words.contains("fake://host/key: no answer"), "{words}");
    store.put("limits.rps = 6");
    running.holds(|config| config.limits.rps == 6).await;
    running.status(|status| status.health == Health::Fresh).await;
}

#[tokio::test(start_paused = true)]
async fn a_text_that_is_no_good_is_left_where_it_is() {
    let store = common::fake::Fake::new(common::fake::one("limits.rps = 5", 1));
    let layer = Layer::text::<Toml, _, _, _>("flags", store.clone().text());
    let mut running = Running::realtime(Layers::new().with(defaults()).with(layer));
    running.holds(|config| config.limits.rps == 5).await;
    store.put(common::fake::one("limits.rps = ", 2));
    running.says("flags:1:").await;
    let reads = store.reads();
    sleep(Duration::from_secs(60)).await;
    let more = store.reads() - reads;
    assert!(more < 30, "{more} reads of what is the same");
    store.put(common::fake::one("limits.rps = 6", 3));
    running.holds(|config| config.limits.rps == 6).await;
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    rps: u16,
    burst: u16,
}

#[tokio::test]
async fn a_value_without_an_optional_store_takes_no_place_of_a_whole_one_from_disk() {
    let (place, store) = (Place::new(), Fake::new("rps = 5"));
    let path = place.path("kept");
    let on_disk = || read_last_good::<Kept>(&path);
    let started = |burst: u16| {
        let layers = Layers::<Kept>::new()
            .with(Layer::constant("defaults", &Kept { rps: 1, burst: 0 }))
            .with(place.file("a.toml", &format!("burst = {burst}")))
            .with(Layer::from(store.clone().toml::<Tree>()).optional());
        let (service, receiver) =
            ReloaderService::from_reloader(layers, ReloaderOptions::realtime());
        let service = service.last_good(&path);
        (tokio::spawn(async move { service.start_with_realtime().await }), receiver)
    };
    // Nothing is better yet than what there is, and that is not kept.
    store.refuse();
    let (task, mut receiver) = started(1);
    within(receiver.changed()).await.unwrap();
    assert_eq!(receiver.get(), Some(Kept { rps: 1, burst: 1 }));
    store.put("rps = 5");
    within(receiver.changed()).await.unwrap();
    drop(receiver);
    within(task).await.unwrap().unwrap();
    assert_eq!(on_disk(), Some(Kept { rps: 5, burst: 1 }));

    store.refuse();
    let (task, mut receiver) = started(2);
    within(receiver.changed()).await.unwrap();
    assert_eq!(receiver.get(), Some(Kept { rps: 5, burst: 1 }));
    let mut status = receiver.watch_status();
    let is_said = |status: &Status| {
        status.is_restored
            && status.last_error.as_ref().is_some_and(|why| why.contains("nobody listens"))
    };
    within(status.wait_for(is_said)).await.unwrap();
    // Nor does one that comes later.
    place.write("a.toml", "burst = 3");
    let failures = status.get().failures;
    within(status.wait_for(|status| status.failures > failures)).await.unwrap();
    assert_eq!(receiver.get(), Some(Kept { rps: 5, burst: 1 }));
    assert_eq!(on_disk(), Some(Kept { rps: 5, burst: 1 }));
    store.put("rps = 6");
    within(receiver.changed()).await.unwrap();
    assert_eq!(receiver.get(), Some(Kept { rps: 6, burst: 3 }));
    assert!(!receiver.status().is_restored);
    drop(receiver);
    within(task).await.unwrap().unwrap();
    assert_eq!(on_disk(), Some(Kept { rps: 6, burst: 3 }));
}

#[tokio::test]
async fn ten_thousand_changes_end_with_the_last() {
    let store = Fake::new("limits.rps = 0");
    let layers = Layers::new().with(defaults()).with(store.clone().toml::<Tree>());
    let mut running = Running::realtime(layers);
    for n in 1..=10_000 {
        store.put(&format!("limits.rps = {n}"));
        if n % 100 == 0 {
            tokio::task::yield_now().await;
        }
    }
    running.holds(|config| config.limits.rps == 10_000).await;
}

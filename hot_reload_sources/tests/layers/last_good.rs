//! Each layer has a last good of its own.

use std::{
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    time::Duration,
};

use hot_reload::{Health, ReloaderOptions, ReloaderService};
use hot_reload_sources::layers::Layers;
use serde::Deserialize;

use crate::{Config, Place, Running, Variables, common::within, defaults};

#[tokio::test]
async fn a_bad_layer_keeps_what_it_had_while_others_move() {
    let place = Place::new();
    let layers = Layers::new()
        .with(defaults())
        .with(place.file("a.toml", "limits.rps = 10"))
        .with(place.file("b.toml", "limits.burst = 20"));
    let mut running = Running::realtime(layers);
    running.holds(|config| config.limits.rps == 10).await;
    place.write("a.toml", "limits.rps = ");
    let status = running.says("a.toml:1:").await;
    assert_eq!(status.last_error_at.unwrap().line, Some(1));

    place.write("b.toml", "limits.burst = 21");
    let config = running.holds(|config| config.limits.burst == 21).await;
    assert_eq!(config.limits.rps, 10);
    // Published, and said in the same breath.
    let status = running.status.get();
    assert_eq!((status.generation, status.health), (2, Health::Retrying));
    assert!(status.last_error.unwrap().contains("a.toml:1:"));

    place.write("a.toml", "limits.rps = 11");
    running.holds(|config| config.limits.rps == 11).await;
    running.status(|status| status.health == Health::Fresh && status.failures == 0).await;
}

#[tokio::test]
async fn a_layer_that_does_not_fit_keeps_what_it_had_while_others_move() {
    let place = Place::new();
    let layers = Layers::new()
        .with(defaults())
        .with(place.file("a.toml", "limits.rps = 10"))
        .with(place.file("b.toml", "limits.burst = 20"));
    let mut running = Running::realtime(layers);
    running.holds(|config| config.limits.rps == 10).await;
    place.write("a.toml", "limits.rps = 'many'");
    running.says("limits.rps: invalid type").await;
    place.write("b.toml", "limits.burst = 21");
    let config = running.holds(|config| config.limits.burst == 21).await;
    assert_eq!(config.limits.rps, 10);
    assert!(running.status.get().last_error.unwrap().contains("limits.rps: invalid type"));
    place.write("a.toml", "limits.rps = 11");
    running.holds(|config| config.limits.rps == 11).await;
    running.status(|status| status.health == Health::Fresh).await;
}

#[tokio::test]
async fn a_key_that_nobody_gives_any_more_stays() {
    let place = Place::new();
    let layers = Layers::new()
        .with(place.file("a.toml", "limits.rps = 10"))
        .with(place.file("b.toml", "name = 'b'\nlimits.burst = 20"));
    let mut running = Running::realtime(layers);
    running.holds(|config| config.limits.rps == 10).await;
    place.write("a.toml", "limits = {}");
    running.says("limits.rps: missing").await;
    place.write("b.toml", "name = 'c'\nlimits.burst = 20");
    running.holds(|config| config.name == "c" && config.limits.rps == 10).await;
    // Another layer gives it.
    place.write("b.toml", "name = 'd'\nlimits = { rps = 12, burst = 20 }");
    running.holds(|config| config.name == "d" && config.limits.rps == 12).await;
    running.status(|status| status.health == Health::Fresh).await;
}

#[tokio::test]
async fn every_bad_layer_is_named() {
    let place = Place::new();
    let layers = Layers::new()
        .with(defaults())
        .with(place.file("a.toml", "limits.rps = 10"))
        .with(place.file("b.toml", "limits.burst = 20"))
        .with(place.file("c.toml", "name = 'c'"));
    let mut running = Running::realtime(layers);
    running.holds(|config| config.limits.rps == 10).await;
    place.write("a.toml", "hunter2");
    place.write("b.toml", "limits.burst = 'hunter2'");
    let all = |words: &str| ["a.toml", "b.toml", "limits.burst"].iter().all(|w| words.contains(w));
    let status = running.status(|status| status.last_error.as_deref().is_some_and(all)).await;
    assert_eq!(status.generation, 1);
    place.write("c.toml", "name = 'd'");
    running.holds(|config| config.name == "d" && config.limits.rps == 10).await;
}

#[tokio::test]
async fn a_start_is_said_to_wait_for_what_is_bad() {
    let (place, variables) = (Place::new(), Variables::default());
    variables.set("APP_LIMITS__RPS", "many");
    let file = place.file("a.toml", "name = 1 2");
    let mut running =
        Running::realtime(Layers::new().with(defaults()).with(file).with(variables.env()));
    running.says("a.toml:1:").await;
    place.write("a.toml", "name = 'a'");
    let words = "environment variable APP_LIMITS__RPS: limits.rps: invalid type";
    assert_eq!(running.says(words).await.generation, 0);
    variables.set("APP_LIMITS__RPS", "5");
    running.holds(|config| config.limits.rps == 5).await;
}

#[tokio::test]
async fn an_optional_layer_that_is_bad_at_the_start_is_done_without_and_said() {
    let place = Place::new();
    let bad = place.file("local.toml", "limits.rps = ").optional();
    let mut running = Running::realtime(Layers::new().with(defaults()).with(bad));
    running.holds(|config| config.limits.rps == 1).await;
    let status = running.says("local.toml:1:").await;
    assert_eq!((status.generation, status.health), (1, Health::Retrying));
    place.write("local.toml", "limits.rps = 2");
    running.holds(|config| config.limits.rps == 2).await;
}

#[tokio::test]
async fn an_optional_layer_that_never_fitted_blocks_nobody() {
    let place = Place::new();
    let never = place.file("local.toml", "limits.rps = 'many'").optional();
    let layers =
        Layers::new().with(defaults()).with(place.file("a.toml", "name = 'a'")).with(never);
    let mut running = Running::realtime(layers);
    running.holds(|config| config.name == "a" && config.limits.rps == 1).await;
    running.says("local.toml: limits.rps: invalid type").await;
    place.write("local.toml", "limits.rps = ");
    running.says("local.toml:1:").await;
    place.write("local.toml", "limits = 'many'");
    running.says("local.toml: limits: invalid type").await;
    place.write("a.toml", "name = 'b'");
    running.holds(|config| config.name == "b" && config.limits.rps == 1).await;
    place.write("local.toml", "limits.rps = 7");
    running.holds(|config| config.limits.rps == 7).await;
    running.status(|status| status.health == Health::Fresh).await;
}

#[tokio::test]
async fn a_layer_that_stays_bad_makes_the_service_stale_though_others_move() {
    let place = Place::new();
    let layers = Layers::new()
        .with(defaults())
        .with(place.file("a.toml", "limits.rps = 10"))
        .with(place.file("b.toml", "limits.burst = 0"));
    let options = ReloaderOptions::realtime().max_staleness(Duration::from_millis(700));
    let mut running = Running::start(layers, options);
    running.holds(|config| config.limits.rps == 10).await;
    place.write("a.toml", "limits.rps = ");
    running.says("a.toml:1:").await;
    let mut n = 0;
    within(async {
        while running.status.get().health != Health::Stale {
            n += 1;
            place.write("b.toml", &format!("limits.burst = {n}"));
            running.holds(|config| config.limits.burst == n).await;
        }
    })
    .await;
    assert!(n > 1, "nothing moved meanwhile");
}

#[tokio::test]
async fn a_gate_refuses_the_whole_and_lets_it_pass_later() {
    let place = Place::new();
    let layers = Layers::<Config>::new()
        .with(defaults())
        .with(place.file("a.toml", "limits.rps = 10"))
        .with(place.file("b.toml", "limits.burst = 20"));
    let (service, mut receiver) =
        ReloaderService::from_reloader(layers, ReloaderOptions::realtime());
    let service = service.validate(|config: &Config, _| {
        if config.limits.rps > config.limits.burst { Err("more than the burst") } else { Ok(()) }
    });
    let task = tokio::spawn(async move { service.start_with_realtime().await });
    within(receiver.changed()).await.unwrap();
    place.write("a.toml", "limits.rps = 30");
    let mut status = receiver.watch_status();
    within(status.wait_for(|status| status.refused_by.is_some())).await.unwrap();
    place.write("b.toml", "limits.burst = 40");
    within(receiver.changed()).await.unwrap();
    let config = receiver.get().unwrap();
    assert_eq!((config.limits.rps, config.limits.burst), (30, 40));
    task.abort();
}

#[tokio::test]
async fn the_last_good_on_disk_serves_where_a_layer_is_missing_at_the_start() {
    #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
    struct Kept {
        name: String,
    }
    let place = Place::new();
    let layers = || {
        Layers::<Kept>::new()
            .with(place.file("a.toml", ""))
            .with(hot_reload_sources::layers::Layer::file(place.path("b.toml")))
    };
    place.write("b.toml", "name = 'b'");
    for _ in 0..2 {
        let layers = layers();
        place.write("a.toml", "other = 1");
        let (service, mut receiver) =
            ReloaderService::from_reloader(layers, ReloaderOptions::realtime());
        let service = service.last_good(place.path("kept"));
        let task = tokio::spawn(async move { service.start_with_realtime().await });
        within(receiver.changed()).await.unwrap();
        assert_eq!(receiver.get().unwrap().name, "b");
        drop(receiver);
        within(task).await.unwrap().unwrap();
        std::fs::remove_file(place.path("b.toml")).ok();
    }
}

/// Panics, where it is told to, when one is made.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Touchy(u16);

static PANICS: AtomicBool = AtomicBool::new(false);

impl<'de> Deserialize<'de> for Touchy {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let n = u16::deserialize(deserializer)?;
        assert!(!PANICS.load(SeqCst), "touched");
        Ok(Self(n))
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Holder {
    n: Touchy,
}

#[tokio::test]
async fn a_value_whose_type_panics_is_not_forgotten() {
    let place = Place::new();
    let layers = Layers::<Holder>::new().with(place.file("a.toml", "n = 1"));
    let (service, mut receiver) =
        ReloaderService::from_reloader(layers, ReloaderOptions::realtime());
    let task = tokio::spawn(async move { service.start_with_realtime().await });
    within(receiver.changed()).await.unwrap();
    PANICS.store(true, SeqCst);
    place.write("a.toml", "n = 2");
    let mut status = receiver.watch_status();
    // It stays said.
    let is_said = |status: &hot_reload::Status| {
        status.failures > 2 && status.last_error.as_ref().is_some_and(|why| why.contains("touched"))
    };
    within(status.wait_for(is_said)).await.unwrap();
    PANICS.store(false, SeqCst);
    within(receiver.changed()).await.unwrap();
    assert_eq!(receiver.get(), Some(Holder { n: Touchy(2) }));
    task.abort();
}

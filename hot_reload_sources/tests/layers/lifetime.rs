//! Nothing is left of a service that was stopped.

use std::{fs, time::Duration};

use hot_reload::{RealtimeWatch, ReloaderOptions, WatchEvent};
use hot_reload_sources::{
    Store,
    layers::{Layers, Tree},
};
use tokio::runtime::Handle;

use crate::{Config, Place, Running, common::within, defaults, fake::Fake};

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Waits until `is_so`, which nothing tells of.
async fn until(is_so: impl Fn() -> bool) {
    within(async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[test]
fn a_service_that_is_stopped_leaves_nothing() {
    // In a process of its own, as nextest has it; otherwise other tests open and close descriptors.
    let is_alone = std::env::var_os("NEXTEST").is_some();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (place, store) = (Place::new(), Fake::new("limits.rps = 5"));
        let layers = Layers::new()
            .with(defaults())
            .with(store.clone().toml::<Tree>())
            .with(place.file("a.toml", "name = 'a'"));
        let mut before = None;
        for round in 0..4 {
            let mut running = Running::realtime(layers.clone());
            running.holds(|config| config.limits.rps == 5).await;
            assert_eq!(store.connections(), 1);
            match round {
                // While a slow look is under way.
                1 => {
                    store.fall_silent();
                    running.says("no answer").await;
                }
                2 => running.handle.shutdown().await,
                _ => {}
            }
            running.task.abort();
            drop(running);
            until(|| store.connections() == 0).await;
            until(|| Handle::current().metrics().num_alive_tasks() == 0).await;
            store.put("limits.rps = 5");
            // The first round opens what the process keeps: the watcher of files.
            match before {
                None => before = Some(descriptors()),
                Some(before) if is_alone => until(|| descriptors() <= before).await,
                Some(_) => {}
            }
        }
    });
}

#[tokio::test]
async fn a_watch_without_a_service_pushes_what_is_merged_and_ends_with_its_handle() {
    let (place, store) = (Place::new(), Fake::new("limits.rps = 5"));
    let layers = Layers::<Config>::new()
        .with(defaults())
        .with(store.clone().toml::<Tree>())
        .with(place.file("a.toml", "name = 'a'"));
    let mut watch = layers.watch_realtime().await.unwrap();
    let Some(WatchEvent::Changed(config)) = within(watch.rx.recv()).await else {
        panic!("no value")
    };
    assert_eq!(config.limits.rps, 5);
    place.write("a.toml", "name = ");
    let Some(WatchEvent::Error(words)) = within(watch.rx.recv()).await else { panic!("no error") };
    assert!(words.contains("a.toml:1:"), "{words}");
    store.put("limits.rps = 6");
    let Some(WatchEvent::Changed(config)) = within(watch.rx.recv()).await else {
        panic!("no value")
    };
    assert_eq!((config.name.as_str(), config.limits.rps), ("a", 6));
    drop(watch);
    until(|| store.connections() == 0).await;
    until(|| Handle::current().metrics().num_alive_tasks() == 0).await;
}

#[tokio::test]
async fn polling_reads_all_and_watches_nothing() {
    let (place, store) = (Place::new(), Fake::new("limits.rps = 5"));
    let layers = Layers::new()
        .with(defaults())
        .with(store.clone().toml::<Tree>())
        .with(place.file("a.toml", "name = 'a'"));
    let options = ReloaderOptions::polling().poll_interval(Duration::from_millis(20));
    let mut running = Running::start(layers, options);
    running.holds(|config| config.limits.rps == 5).await;
    store.put("limits.rps = 6");
    running.holds(|config| config.limits.rps == 6).await;
    place.write("a.toml", "name = 'b'");
    running.holds(|config| config.name == "b").await;
    let status = running.status.get();
    assert_eq!(status.mechanism, Some(hot_reload::Mechanism::Polling));
}

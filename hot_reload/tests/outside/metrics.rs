//! Its metrics.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use hot_reload::{Health, ReloaderOptions, ReloaderService, WatchStrategy};
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use tokio::sync::Mutex;

use super::{
    Lab,
    common::{
        options,
        source::{Held, Store},
        within,
    },
    observe,
};

#[test]
fn metrics_have_names_and_labels() {
    let (_, measured) = observe(options(WatchStrategy::Realtime), Lab::lead_a_life);
    let mut counted: BTreeMap<String, f64> = BTreeMap::new();
    for (key, _, _, value) in measured.snapshot().into_vec() {
        let labels: Vec<_> = key
            .key()
            .labels()
            .filter(|label| label.key() != "source")
            .map(|label| format!("{}={}", label.key(), label.value()))
            .collect();
        let has_source = key
            .key()
            .labels()
            .any(|label| label.key() == "source" && label.value().ends_with("config.toml"));
        assert!(has_source, "{key:?}");
        #[allow(clippy::cast_precision_loss, reason = "a few")]
        let value = match value {
            DebugValue::Counter(count) => count as f64,
            DebugValue::Gauge(value) => value.into_inner(),
            DebugValue::Histogram(all) => {
                assert!(all.iter().all(|one| (0.0..20.0).contains(&one.into_inner())), "{all:?}");
                all.len() as f64
            }
        };
        counted.insert(
            [key.key().name().to_owned(), labels.concat()].join(" ").trim().to_owned(),
            value,
        );
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts")]
    let take =
        |name: &str| *counted.get(name).unwrap_or_else(|| panic!("{name}: {counted:#?}")) as u64;
    let published = take("hot_reload_loads_total outcome=published");
    assert_eq!((published, take("hot_reload_generation")), (5, 6));
    assert!(take("hot_reload_loads_total outcome=refused") >= 1);
    assert_eq!(take("hot_reload_publications_total reason=initial"), 1);
    assert_eq!(take("hot_reload_publications_total reason=rollback"), 1);
    assert_eq!(take("hot_reload_publications_total reason=event"), 4);
    assert_eq!(take("hot_reload_apply_seconds"), 6);
    assert!(take("hot_reload_load_duration_seconds") > published);
    assert!(take("hot_reload_last_change_timestamp_seconds") > 1_700_000_000);
    assert_eq!(take("hot_reload_failures"), 0);
    assert!(take("hot_reload_alive_generations") >= 1);
    // It was stopped.
    assert_eq!(take("hot_reload_ready"), 0);
    assert_eq!(take("hot_reload_mechanism mechanism=events"), 0);
    assert_eq!(take("hot_reload_mechanism mechanism=polling"), 0);
    // Of each edit, but not of what was there before, nor of what was rolled back to.
    assert_eq!(take("hot_reload_edit_to_visible_seconds"), 4);
}

/// It was told once the load, or the roll-back, was over.
#[tokio::test(start_paused = true)]
async fn a_value_that_gets_stale_while_something_waits_is_not_ready() {
    let second = Duration::from_secs(1);
    for is_load in [true, false] {
        let recorder = DebuggingRecorder::new();
        let measured = recorder.snapshotter();
        let _recording = ::metrics::set_default_local_recorder(&recorder);
        let (store, turn) = (Store::of(Held::Value(1)), Arc::new(Mutex::new(())));
        let options = ReloaderOptions::polling()
            .poll_interval(second)
            .max_staleness(10 * second)
            .load_timeout(1000 * second);
        let (service, mut rx) = ReloaderService::<_, u32>::from_reloader(store.clone(), options);
        let service = service.history(3).in_turn(Arc::clone(&turn));
        let handle = service.handle();
        let running = tokio::spawn(async move { service.start().await.unwrap() });
        within(rx.changed()).await.unwrap();
        let _held = turn.lock().await;
        store.holds(if is_load { Held::Hangs } else { Held::Nothing });
        let mut status = rx.watch_status();
        if !is_load {
            within(status.wait_for(|status| status.failures > 0)).await.unwrap();
            tokio::spawn(async move { handle.rollback(1).await });
        }
        within(status.wait_for(|status| status.health == Health::Stale)).await.unwrap();
        let all = measured.snapshot().into_vec();
        let mut ready = all.iter().filter(|(key, ..)| key.key().name() == "hot_reload_ready");
        assert_eq!(ready.next().map(|(.., value)| value), Some(&DebugValue::Gauge(0.0.into())));
        running.abort();
    }
}

/// It is counted after whoever waits for the value has it.
#[tokio::test]
async fn an_edit_is_counted_of_a_service_that_is_dropped_right_after() {
    let recorder = DebuggingRecorder::new();
    let measured = recorder.snapshotter();
    let _recording = ::metrics::set_default_local_recorder(&recorder);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    std::fs::write(&path, "1").unwrap();
    let file = hot_reload::JsonFile::<u32>::from_path(&path).unwrap();
    let (service, mut values) =
        ReloaderService::from_reloader(file, options(WatchStrategy::Realtime));
    tokio::select! {
        ended = service.start_with_realtime() => unreachable!("{ended:?}"),
        () = within(async {
            values.wait_for(|value| value == &1).await.unwrap();
            std::fs::write(&path, "2").unwrap();
            values.wait_for(|value| value == &2).await.unwrap();
        }) => {}
    }
    let all = measured.snapshot().into_vec();
    let number = |name, value: &DebugValue| match value {
        DebugValue::Counter(count) => *count,
        DebugValue::Histogram(all) => all.len() as u64,
        DebugValue::Gauge(_) => unreachable!("{name} is none"),
    };
    for (name, want) in [
        ("hot_reload_loads_total", 2),
        ("hot_reload_publications_total", 2),
        ("hot_reload_edit_to_visible_seconds", 1),
    ] {
        let counts = all.iter().filter(|(key, ..)| key.key().name() == name);
        let count: u64 = counts.map(|(.., value)| number(name, value)).sum();
        assert_eq!(count, want, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_whose_first_load_hangs_is_measured_as_not_ready() {
    let recorder = DebuggingRecorder::new();
    let measured = recorder.snapshotter();
    let _recording = ::metrics::set_default_local_recorder(&recorder);
    let store = Store::of(Held::<u32>::Hangs);
    let (service, _values) = ReloaderService::from_reloader(store, options(WatchStrategy::Polling));
    let service = tokio::spawn(async move { service.start().await });
    tokio::time::sleep(Duration::from_millis(1)).await;
    let all = measured.snapshot().into_vec();
    let mut ready = all.iter().filter(|(key, ..)| key.key().name() == "hot_reload_ready");
    assert_eq!(ready.next().map(|(.., value)| value), Some(&DebugValue::Gauge(0.0.into())));
    service.abort();
}

/// What two sources of one's own have measured was once taken for what one has.
#[tokio::test]
async fn sources_of_ones_own_are_told_apart_by_their_names() {
    let recorder = DebuggingRecorder::new();
    let measured = recorder.snapshotter();
    let _recording = ::metrics::set_default_local_recorder(&recorder);
    for name in ["one", "two"] {
        let store = Store::of(Held::Value(1));
        let (service, mut values) =
            ReloaderService::from_reloader(store, options(WatchStrategy::Polling));
        let service = service.named(name);
        tokio::select! {
            ended = service.start() => unreachable!("{ended:?}"),
            changed = within(values.changed()) => changed.unwrap(),
        }
        assert_eq!(values.status().source.as_deref(), Some(name));
    }
    let all = measured.snapshot().into_vec();
    let generations = all.iter().filter(|(key, ..)| key.key().name() == "hot_reload_generation");
    let mut sources: Vec<_> = generations
        .flat_map(|(key, ..)| key.key().labels())
        .filter(|label| label.key() == "source")
        .map(::metrics::Label::value)
        .collect();
    sources.sort_unstable();
    assert_eq!(sources, ["one", "two"]);
}

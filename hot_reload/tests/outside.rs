//! What is seen of a service from outside: its events in the log, and its metrics.
#![cfg(all(feature = "toml", feature = "metrics"))]

mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    sync::{Arc, Mutex, OnceLock},
    time::{Duration, Instant},
};

use common::{Config, PATIENCE, options, text};
use hot_reload::{Health, ReloaderOptions, ReloaderService, Status, TomlFile, WatchStrategy};
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use tokio::{runtime::Builder, time::timeout};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context, prelude::*};

/// What was logged: the name of each event, and what its fields are called.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<Line>>>);

#[derive(Debug, Clone)]
struct Line {
    name: &'static str,
    level: Level,
    fields: BTreeMap<&'static str, String>,
}

impl<S: Subscriber> Layer<S> for Log {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        struct Fields(BTreeMap<&'static str, String>);
        impl Visit for Fields {
            fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
                self.0.insert(field.name(), format!("{value:?}"));
            }
        }
        let (name, level) = (event.metadata().target(), *event.metadata().level());
        if name.starts_with("hot_reload::") {
            let mut fields = Fields(BTreeMap::new());
            event.record(&mut fields);
            self.0.lock().unwrap().push(Line { name, level, fields: fields.0 });
        }
    }
}

impl Log {
    fn names(&self) -> BTreeSet<&'static str> {
        self.0.lock().unwrap().iter().map(|line| line.name).collect()
    }

    fn first(&self, name: &str) -> Line {
        let lines = self.0.lock().unwrap();
        lines.iter().find(|line| line.name == name).unwrap_or_else(|| panic!("{name}")).clone()
    }
}

/// Runs `test` with a file that holds a secret; returns what was logged and measured.
fn observe<T: Future>(options: ReloaderOptions, test: impl FnOnce(Lab) -> T) -> (Log, Snapshotter) {
    let log = Log::default();
    let recorder = DebuggingRecorder::new();
    let measured = recorder.snapshotter();
    // Both are of this thread, and so is the runtime.
    let _logging = tracing_subscriber::registry().with(log.clone()).set_default();
    metrics::with_local_recorder(&recorder, || {
        Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("config.toml");
            fs::write(&path, text("one")).unwrap();
            let file = TomlFile::<Config>::from_path(&path).unwrap();
            let (service, rx) = ReloaderService::from_reloader(file, options);
            let service = service
                .validate(
                    |new, _| if new.name == SECRET { Err(format!("{new:?}")) } else { Ok(()) },
                )
                .probation(Duration::from_millis(50), |value| async move {
                    if value.name == "sick" { Err("it answers 503") } else { Ok(()) }
                });
            let task = tokio::spawn(async move { service.start_with_realtime().await.unwrap() });
            test(Lab { rx, path }).await;
            task.abort();
            let _stopped = task.await;
        });
    });
    (log, measured)
}

struct Lab {
    rx: hot_reload::ReloaderReceiver<Config, String>,
    path: std::path::PathBuf,
}

impl Lab {
    async fn write(&self, name: &str, is_it: impl FnMut(&Status) -> bool) {
        fs::write(&self.path, text(name)).unwrap();
        let status = timeout(PATIENCE, self.rx.watch_status().wait_for(is_it)).await;
        status.unwrap_or_else(|_| panic!("{name}: {:?}", self.rx.status()));
    }

    async fn lead_a_life(self) {
        self.write("one", |status| status.generation == 1).await;
        tokio::time::sleep(Duration::from_millis(70)).await;
        self.write("two", |status| status.generation == 2).await;
        self.write(SECRET, |status| status.health == Health::Retrying).await;
        self.write("six", |status| status.generation == 3).await;
        tokio::time::sleep(Duration::from_millis(70)).await;
        self.write("sick", |status| status.health == Health::RolledBack).await;
        self.write("ten", |status| status.generation == 6).await;
    }
}

const SECRET: &str = "a secret";

#[test]
fn events_have_names_and_fields_and_no_values() {
    let (log, _) = observe(options(WatchStrategy::Hybrid), Lab::lead_a_life);
    let names = [
        "hot_reload::failed",
        "hot_reload::published",
        "hot_reload::recovered",
        "hot_reload::rolled_back",
    ];
    assert_eq!(log.names(), names.into());
    for (name, level, fields) in [
        ("hot_reload::published", Level::INFO, ["reason", "generation", "source"].as_slice()),
        ("hot_reload::failed", Level::WARN, &["error", "source"]),
        ("hot_reload::recovered", Level::INFO, &["failures", "source"]),
        ("hot_reload::rolled_back", Level::WARN, &["generation", "probation", "source"]),
    ] {
        let line = log.first(name);
        assert_eq!(line.level, level, "{name}");
        for field in fields {
            assert!(line.fields.contains_key(field), "{line:?} has no {field}");
        }
    }
    let all = format!("{:?}", log.0.lock().unwrap());
    assert!(!all.contains(SECRET), "{all}");
}

#[test]
fn a_stale_value_is_told() {
    let options = options(WatchStrategy::Realtime).max_staleness(Duration::from_millis(100));
    let (log, _) = observe(options, |lab| async move {
        lab.write("one", |status| status.generation == 1).await;
        lab.write(SECRET, |status| status.health == Health::Stale).await;
    });
    assert_eq!(log.first("hot_reload::stale").level, Level::WARN);
}

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

/// A link that is turned to a file of long ago is an edit of now.
#[test]
#[cfg(target_os = "linux")]
fn an_edit_is_as_old_as_the_link_that_was_turned() {
    use std::os::unix::fs::symlink;

    let took = OnceLock::new();
    let told = &took;
    let (_, measured) = observe(options(WatchStrategy::Realtime), |lab| async move {
        let dir = lab.path.parent().unwrap();
        fs::create_dir(dir.join("old")).unwrap();
        fs::write(dir.join("old/config.toml"), text("old")).unwrap();
        lab.write("one", |status| status.generation == 1).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let begun = Instant::now();
        symlink("old/config.toml", dir.join(".next")).unwrap();
        fs::rename(dir.join(".next"), &lab.path).unwrap();
        let is_second = |status: &Status| status.generation == 2;
        timeout(PATIENCE, lab.rx.watch_status().wait_for(is_second)).await.unwrap();
        told.set(begun.elapsed()).unwrap();
    });
    let all = measured.snapshot().into_vec();
    let known = all.iter().find_map(|(key, _, _, value)| match value {
        DebugValue::Histogram(all) if key.key().name() == "hot_reload_edit_to_visible_seconds" => {
            Some(all.iter().map(|one| one.into_inner()).collect::<Vec<_>>())
        }
        _ => None,
    });
    let took = took.get().unwrap().as_secs_f64();
    // Some filesystems have it no finer than the timer's tick.
    assert!(matches!(known.as_deref(), Some([age]) if *age < took + 0.02), "{known:?} {took}");
}

//! What is seen of a service from outside: its events in the log, and its metrics.
#![cfg(all(feature = "toml", feature = "metrics"))]

mod ages;
#[path = "../common/mod.rs"]
mod common;
mod metrics;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use common::{Config, PATIENCE, options, text, within};
use hot_reload::{
    Health, Mechanism, ReloaderHandle, ReloaderOptions, ReloaderReceiver, ReloaderService, Status,
    TomlFile, Triggered, WatchStrategy,
};
use metrics_util::debugging::{DebuggingRecorder, Snapshotter};
#[cfg(target_os = "linux")]
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{runtime::Builder, time::timeout};
use tracing::{
    Dispatch, Event, Level, Subscriber,
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

    #[cfg(target_os = "linux")]
    async fn comes_to_tell(&self, name: &str) {
        within(async {
            while !self.names().contains(name) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }

    fn first(&self, name: &str) -> Line {
        let lines = self.0.lock().unwrap();
        lines.iter().find(|line| line.name == name).unwrap_or_else(|| panic!("{name}")).clone()
    }
}

type Service = ReloaderService<TomlFile<Config>, Config, String>;

/// Runs `test` with a file and a service of its own; returns what was logged and measured.
fn observe<T: Future>(options: ReloaderOptions, test: impl FnOnce(Lab) -> T) -> (Log, Snapshotter) {
    let with = |service: Service, _: &Path| {
        service
            .validate(|new, _| if new.name == SECRET { Err(format!("{new:?}")) } else { Ok(()) })
            .probation(Duration::from_millis(50), |value| async move {
                if value.name == "sick" { Err("it answers 503") } else { Ok(()) }
            })
    };
    observe_with(options, with, test)
}

/// The same with a service made by `with`, which has the directory of the file.
fn observe_with<T: Future>(
    options: ReloaderOptions,
    with: impl FnOnce(Service, &Path) -> Service,
    test: impl FnOnce(Lab) -> T,
) -> (Log, Snapshotter) {
    let log = Log::default();
    let recorder = DebuggingRecorder::new();
    let measured = recorder.snapshotter();
    // Of each thread of this runtime, those that may block included.
    let logging = Dispatch::new(tracing_subscriber::registry().with(log.clone()));
    let _logging = tracing::dispatcher::set_default(&logging);
    let runtime = Builder::new_current_thread()
        .enable_all()
        .on_thread_start(move || std::mem::forget(tracing::dispatcher::set_default(&logging)))
        .build()
        .unwrap();
    ::metrics::with_local_recorder(&recorder, || {
        runtime.block_on(async {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("config.toml");
            fs::write(&path, text("one")).unwrap();
            let file = TomlFile::<Config>::from_path(&path).unwrap();
            let (service, rx) = ReloaderService::from_reloader(file, options);
            let service = with(service, dir.path());
            let handle = service.handle();
            let task = tokio::spawn(async move { service.start_with_realtime().await.unwrap() });
            test(Lab { rx, handle, path }).await;
            task.abort();
            let _stopped = task.await;
        });
    });
    (log, measured)
}

struct Lab {
    rx: ReloaderReceiver<Config, String>,
    handle: ReloaderHandle,
    path: PathBuf,
}

impl Lab {
    async fn write(&self, name: &str, is_it: impl FnMut(&Status) -> bool) {
        fs::write(&self.path, text(name)).unwrap();
        self.until(is_it).await;
    }

    async fn until(&self, is_it: impl FnMut(&Status) -> bool) {
        let status = timeout(PATIENCE, self.rx.watch_status().wait_for(is_it)).await;
        status.unwrap_or_else(|_| panic!("{:?}", self.rx.status())).unwrap();
    }

    /// Ends the service once `is_it`, and waits until it has written what it has to.
    async fn lives_until(self, is_it: impl FnMut(&Status) -> bool) {
        self.until(is_it).await;
        within(self.handle.shutdown()).await;
    }

    async fn lead_a_life(self) {
        self.write("one", |status| status.generation == 1).await;
        self.until(|status| status.probation_until.is_none()).await;
        self.write("two", |status| status.generation == 2).await;
        self.write(SECRET, |status| status.health == Health::Retrying).await;
        self.write("six", |status| status.generation == 3).await;
        self.until(|status| status.probation_until.is_none()).await;
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
    log.tells("hot_reload::published", Level::INFO, &["reason", "generation", "source"]);
    log.tells("hot_reload::failed", Level::WARN, &["error", "source"]);
    log.tells("hot_reload::recovered", Level::INFO, &["failures", "source"]);
    log.tells("hot_reload::rolled_back", Level::WARN, &["generation", "to", "probation", "source"]);
    let all = format!("{:?}", log.0.lock().unwrap());
    assert!(!all.contains(SECRET), "{all}");
}

/// The names in the table of the documentation.
fn documented() -> BTreeSet<&'static str> {
    let rows = include_str!("../../src/lib.rs").lines();
    let names = rows.filter(|row| row.starts_with("//! | `hot_reload::"));
    names
        .flat_map(|row| row["//! | ".len()..].split(" | ").next().unwrap().split(", "))
        .map(|name| name.trim_matches('`'))
        .collect()
}

impl Log {
    /// Checks that there is such an event, that it is documented, and what it tells.
    fn tells(&self, name: &str, level: Level, fields: &[&str]) {
        assert!(documented().contains(name), "{name} is not in {:?}", documented());
        let line = self.first(name);
        assert_eq!(line.level, level, "{line:?}");
        for field in fields {
            let told = line.fields.get(field);
            assert!(told.is_some_and(|told| !told.is_empty()), "{line:?} has no {field}");
        }
    }
}

#[test]
fn no_event_is_undocumented() {
    let (log, _) = observe(options(WatchStrategy::Hybrid), Lab::lead_a_life);
    assert!(log.names().is_subset(&documented()), "{:?}", log.names());
    assert!(documented().len() > 14, "{:?}", documented());
}

#[test]
fn a_pause_is_told_once_whatever_is_asked_for_meanwhile() {
    let (log, _) = observe(options(WatchStrategy::Realtime), |lab| async move {
        lab.until(|status| status.generation == 1).await;
        for _ in 0..2 {
            lab.handle.pause();
            lab.until(|status| status.is_paused).await;
            within(lab.handle.trigger()).await;
        }
        lab.handle.resume();
        lab.until(|status| !status.is_paused).await;
    });
    let lines = log.0.lock().unwrap();
    let told = |name: &str| lines.iter().filter(|line| line.name == name).count();
    assert_eq!((told("hot_reload::paused"), told("hot_reload::resumed")), (1, 1));
}

#[test]
fn a_start_that_can_not_be_is_told() {
    let log = Log::default();
    let logging = tracing_subscriber::registry().with(log.clone());
    let runtime = Builder::new_current_thread().build().unwrap();
    let values = tracing::subscriber::with_default(logging, || {
        let file = TomlFile::<Config>::from_path("config.toml").unwrap();
        let (service, values) = ReloaderService::from_reloader(file, ReloaderOptions::hybrid());
        let service = service.named("limits");
        assert!(runtime.block_on(service.start()).is_err());
        values
    });
    log.tells("hot_reload::not_started", Level::ERROR, &["source", "error"]);
    assert_eq!(values.status().source.as_deref(), Some("limits"));
}

#[test]
fn a_stale_value_is_told() {
    let options = options(WatchStrategy::Realtime).max_staleness(Duration::from_millis(100));
    let (log, _) = observe(options, |lab| async move {
        lab.write("one", |status| status.generation == 1).await;
        lab.write(SECRET, |status| status.health == Health::Stale).await;
    });
    log.tells("hot_reload::stale", Level::WARN, &["source"]);
}

#[cfg(all(unix, feature = "signal"))]
#[test]
fn a_hangup_that_loads_nothing_is_told_without_what_the_file_holds() {
    use rustix::process::{Signal, getpid, kill_process};

    // Nothing but the signal has it tried again.
    let options = options(WatchStrategy::Realtime).backoff(2 * PATIENCE, 2 * PATIENCE);
    let (log, _) = observe(options, |lab| async move {
        lab.until(|status| status.generation == 1).await;
        lab.handle.trigger_on_sighup().unwrap();
        lab.write(SECRET, |status| status.failures == 1).await;
        // The first has been told when the second is heard.
        for failures in [2, 3] {
            kill_process(getpid(), Signal::HUP).unwrap();
            lab.until(|status| status.failures == failures).await;
        }
    });
    assert_eq!(log.first("hot_reload::hung_up").fields["outcome"], "failed");
    let all = format!("{:?}", log.0.lock().unwrap());
    assert!(!all.contains(SECRET), "{all}");
}

#[test]
fn a_roll_back_that_can_not_be_is_told_and_so_is_the_end() {
    let (log, _) = observe(options(WatchStrategy::Realtime), |lab| async move {
        lab.until(|status| status.generation == 1).await;
        let answer = within(lab.handle.rollback(7)).await;
        assert!(matches!(answer, Triggered::Failed(_)), "{answer:?}");
        within(lab.handle.shutdown()).await;
    });
    log.tells("hot_reload::not_rolled_back", Level::WARN, &["source", "error"]);
    log.tells("hot_reload::ended", Level::DEBUG, &["source"]);
}

/// Of a projection, and of a commit: neither can refuse a value any more.
#[test]
fn a_panic_is_told_without_what_it_quotes() {
    let with = |service: Service, _: &Path| {
        service.prepare("listener", |candidate| async move {
            Ok::<_, String>(move || assert_ne!(candidate.new.name, SECRET))
        })
    };
    let (log, _) = observe_with(options(WatchStrategy::Realtime), with, |lab| async move {
        lab.until(|status| status.generation == 1).await;
        lab.write(SECRET, |status| status.generation == 2).await;
    });
    log.tells("hot_reload::panicked", Level::ERROR, &["panic", "part"]);
    let (other, _) = observe_with(
        options(WatchStrategy::Realtime),
        |service, _| service,
        |lab| async move {
            lab.until(|status| status.generation == 1).await;
            let _name = lab.rx.project(|config| {
                assert_ne!(config.name, SECRET);
                &config.name
            });
            lab.write(SECRET, |status| status.generation == 2).await;
        },
    );
    other.tells("hot_reload::panicked", Level::ERROR, &["panic"]);
    for log in [log, other] {
        let all = format!("{:?}", log.0.lock().unwrap());
        assert!(!all.contains(SECRET), "{all}");
    }
}

#[cfg(feature = "last-good")]
#[test]
fn what_becomes_of_the_last_good_value_is_told() {
    let (log, _) = observe_with(
        options(WatchStrategy::Realtime),
        |service, dir| service.last_good(dir.join("kept")),
        |lab| lab.lives_until(|status| status.generation == 1),
    );
    log.tells("hot_reload::kept", Level::DEBUG, &["path", "generation"]);
    let (log, _) = observe_with(
        options(WatchStrategy::Realtime),
        |service, dir| {
            // A directory can't be replaced by a file.
            fs::create_dir(dir.join("kept")).unwrap();
            service.last_good(dir.join("kept"))
        },
        |lab| lab.lives_until(|status| status.generation == 1),
    );
    log.tells("hot_reload::not_kept", Level::WARN, &["path", "error"]);
}

/// Has `service` find `kept` as its last good value, and no source.
#[cfg(feature = "last-good")]
fn without_source(service: Service, dir: &Path, kept: &str) -> Service {
    fs::remove_file(dir.join("config.toml")).unwrap();
    fs::write(dir.join("kept"), kept).unwrap();
    service.last_good(dir.join("kept"))
}

#[cfg(feature = "last-good")]
#[test]
fn a_start_from_the_last_good_value_is_told_and_so_is_one_that_can_not_be() {
    let json = format!("{{\"name\":\"{SECRET}\"}}");
    let sum = crc32fast::hash(json.as_bytes());
    let kept = format!("hot_reload last good 1 {sum:08x} {}\n{json}", json.len());
    let (log, _) = observe_with(
        options(WatchStrategy::Realtime),
        |service, dir| without_source(service, dir, &kept),
        |lab| lab.lives_until(|status| status.is_restored),
    );
    log.tells("hot_reload::restored", Level::WARN, &["source"]);
    // By what it is.
    let (torn, _) = observe_with(
        options(WatchStrategy::Realtime),
        |service, dir| without_source(service, dir, &kept[..kept.len() - 1]),
        |lab| lab.lives_until(|status| status.failures > 1),
    );
    torn.tells("hot_reload::not_restored", Level::WARN, &["path", "error"]);
    // By what it holds.
    let (refused, _) = observe_with(
        options(WatchStrategy::Realtime),
        |service, dir| {
            without_source(service, dir, &kept).validate(|new, _| Err::<(), _>(format!("{new:?}")))
        },
        |lab| lab.lives_until(|status| status.failures > 1),
    );
    refused.tells("hot_reload::not_restored", Level::WARN, &["source", "error"]);
    for log in [log, torn, refused] {
        let all = format!("{:?}", log.0.lock().unwrap());
        assert!(!all.contains(SECRET), "{all}");
    }
}

/// A user namespace has limits of its own (`namespaces(7)`).
#[cfg(target_os = "linux")]
#[test]
fn events_that_can_not_be_had_are_told_and_so_are_those_that_can_again() {
    const LIMIT: &str = "/proc/sys/user/max_inotify_instances";
    let name = "events_that_can_not_be_had_are_told_and_so_are_those_that_can_again";
    if !common::alone_under(name, &["unshare", "--user", "--map-root-user"]) {
        return;
    }
    fs::write(LIMIT, "0").unwrap();
    let (log, _) = observe(options(WatchStrategy::Realtime), |lab| async move {
        lab.until(|status| status.health == Health::Degraded).await;
        fs::write(LIMIT, "1000").unwrap();
        lab.until(|status| status.mechanism == Some(Mechanism::Events)).await;
        within(lab.handle.shutdown()).await;
    });
    log.tells("hot_reload::degraded", Level::WARN, &["source", "error"]);
    log.tells("hot_reload::has_events", Level::INFO, &["source"]);
}

/// The limit on processes counts threads, and does not hold for root.
#[cfg(target_os = "linux")]
#[test]
fn a_thread_for_events_that_is_not_to_be_had_is_told() {
    let name = "a_thread_for_events_that_is_not_to_be_had_is_told";
    if !common::alone_under(name, common::NOBODY) {
        return;
    }
    let log = Log::default();
    let _logging = tracing_subscriber::registry().with(log.clone()).set_default();
    let without_io = Builder::new_current_thread().enable_time().build().unwrap();
    without_io.block_on(async {
        // One for files is there already.
        tokio::task::spawn_blocking(|| ()).await.unwrap();
        let limit = getrlimit(Resource::Nproc);
        setrlimit(Resource::Nproc, Rlimit { current: Some(1), ..limit }).unwrap();
        let lab = common::Lab::new(WatchStrategy::Realtime, |dir| {
            fs::write(dir.join("config.toml"), text("one")).unwrap();
        })
        .await;
        log.comes_to_tell("hot_reload::no_events").await;
        setrlimit(Resource::Nproc, limit).unwrap();
        within(lab.rx.clone().changed()).await.unwrap();
    });
    log.tells("hot_reload::no_events", Level::WARN, &["error"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_thread_for_looks_that_is_not_to_be_had_is_told() {
    let name = "a_thread_for_looks_that_is_not_to_be_had_is_told";
    if !common::alone_under(name, common::NOBODY) {
        return;
    }
    let log = Log::default();
    let _logging = tracing_subscriber::registry().with(log.clone()).set_default();
    let mut runtime = Builder::new_current_thread();
    let runtime =
        runtime.enable_time().thread_keep_alive(Duration::from_millis(5)).build().unwrap();
    runtime.block_on(async {
        let _lab = common::Lab::with_one(WatchStrategy::Polling).await;
        let limit = getrlimit(Resource::Nproc);
        setrlimit(Resource::Nproc, Rlimit { current: Some(1), ..limit }).unwrap();
        log.comes_to_tell("hot_reload::no_looks").await;
    });
    log.tells("hot_reload::no_looks", Level::WARN, &["error"]);
}

#[test]
fn whoever_waits_has_the_value_before_it_is_told_of() {
    let plain = |service: Service, _: &Path| service;
    let (log, _) = observe_with(options(WatchStrategy::Hybrid), plain, |mut lab| async move {
        lab.rx.changed().await.unwrap();
        let receiver = tokio::spawn({
            let mut rx = lab.rx.clone();
            async move {
                rx.changed().await.unwrap();
                tracing::info!(target: "hot_reload::received", generation = rx.status().generation);
            }
        });
        lab.write("two", |status| status.generation == 2).await;
        within(receiver).await.unwrap();
        lab.lives_until(|_| true).await;
    });
    let lines = log.0.lock().unwrap();
    let of_two =
        lines.iter().filter(|line| line.fields.get("generation").is_some_and(|n| n == "2"));
    let order: Vec<_> = of_two.map(|line| line.name).collect();
    assert_eq!(order, ["hot_reload::received", "hot_reload::published"]);
}

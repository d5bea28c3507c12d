//! From the writer's `close()` or `rename()` to the parsed value in the application.
//!
//! `cargo bench -p hot_reload --bench edit_to_visible`; `-- --short` for a run of
//! seconds. Beside ours, in turns within one run: a bare loop of inotify, read and parse, which is
//! the physical limit; and version 0.3.6, built apart because a workspace can't name two packages
//! alike.

#[path = "common/edits.rs"]
mod edits;

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use async_trait::async_trait;
use edits::{Bench, Config, Edit, LONG_PAUSE, SHORT_PAUSE, Seen, Subject, head, row};
use hot_reload::{
    AsyncFileLoad, FileReloader, RealtimeWatch, ReloaderConfig, ReloaderService, TomlFile,
};
use rustix::fs::inotify::{CreateFlags, Reader, WatchFlags, add_watch, init};
use tokio::runtime::Runtime;

/// A thread that waits for the event, reads and parses, and does nothing else.
struct Bare;

impl Subject for Bare {
    fn name(&self) -> &'static str {
        "bare inotify+read+parse"
    }

    fn follow(&self, path: &Path) -> Receiver<Seen> {
        let (tx, rx) = channel();
        let path = path.to_owned();
        thread::spawn(move || {
            let inotify = init(CreateFlags::CLOEXEC).expect("an inotify instance");
            let dir = path.parent().expect("a file in a directory");
            add_watch(&inotify, dir, WatchFlags::CLOSE_WRITE | WatchFlags::MOVED_TO)
                .expect("an inotify watch");
            let name = path.file_name().expect("a file name").as_encoded_bytes();
            let look = || {
                let text = std::fs::read_to_string(&path).ok()?;
                tx.send(Seen::now(&Config::parse(&text).ok()?)).err()
            };
            let mut buffer = [std::mem::MaybeUninit::uninit(); 4096];
            let mut events = Reader::new(inotify, &mut buffer);
            let mut gone = look();
            while gone.is_none() {
                let event = events.next().expect("events");
                if event.file_name().is_some_and(|file| file.to_bytes() == name) {
                    gone = look();
                }
            }
        });
        rx
    }
}

/// Ours, for any type with hand-written loaders, which read as `tokio::fs` does.
struct HandWritten(Runtime);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Loaded(Config);

impl TryFrom<&PathBuf> for Loaded {
    type Error = anyhow::Error;

    fn try_from(path: &PathBuf) -> Result<Self, Self::Error> {
        Ok(Self(Config::parse(&std::fs::read_to_string(path)?)?))
    }
}

#[async_trait]
impl AsyncFileLoad for Loaded {
    type Error = anyhow::Error;

    async fn async_load_from<T: AsRef<Path> + Send>(path: T) -> Result<Self, Self::Error> {
        let path = path.as_ref().to_path_buf();
        Ok(Self(Config::parse(&tokio::fs::read_to_string(path).await?)?))
    }
}

impl Subject for HandWritten {
    fn name(&self) -> &'static str {
        "ours, hand-written loader"
    }

    fn follow(&self, path: &Path) -> Receiver<Seen> {
        let source = path.display().to_string();
        follow::<FileReloader<Loaded>, Loaded>(&self.0, source, |Loaded(config)| config)
    }
}

/// Ours, for a TOML file.
struct Toml(Runtime);

impl Subject for Toml {
    fn name(&self) -> &'static str {
        "ours, TomlFile"
    }

    fn follow(&self, path: &Path) -> Receiver<Seen> {
        follow::<TomlFile<Config>, Config>(&self.0, path.to_owned(), |config| config)
    }
}

/// An application task that takes each value as it comes.
fn follow<T, V>(runtime: &Runtime, source: T::Source, config: fn(&V) -> &Config) -> Receiver<Seen>
where
    T: RealtimeWatch<V, String> + Clone + Send + Sync + 'static,
    T::Source: Send + Sync + 'static,
    V: Eq + Clone + Send + Sync + 'static,
{
    let (tx, rx) = channel();
    runtime.spawn(async move {
        let service = ReloaderService::<T, V, String>::new(&source, ReloaderConfig::hybrid(10));
        let (service, mut values) = service.await.expect("a service");
        tokio::spawn(async move { service.start_with_realtime().await });
        while values.changed().await.is_ok() {
            let seen = values.borrow().as_ref().map(config).map(Seen::now);
            if seen.is_some_and(|seen| tx.send(seen).is_err()) {
                return;
            }
        }
    });
    rx
}

fn main() {
    let short = std::env::args().any(|arg| arg == "--short");
    let part = if short { 10 } else { 1 };
    let runtime = || Runtime::new().expect("a runtime");
    let subjects: [&dyn Subject; 3] = [&Bare, &Toml(runtime()), &HandWritten(runtime())];
    let mut bench = Bench::new();

    head();
    let kinds = [("single", 40, 25, SHORT_PAUSE), ("rested", 16, 5, LONG_PAUSE)];
    for (name, turns, edits, pause) in kinds {
        for edit in Edit::ALL {
            in_turns(&format!("{name}/{}", edit.name()), subjects, turns / part, |subject| {
                let latencies = bench.single(subject, edit, edits, pause);
                latencies.unwrap_or_else(|lost| panic!("{} lost edit {lost}", subject.name()))
            });
        }
    }
    for edit in Edit::ALL {
        in_turns(&format!("steady/{}", edit.name()), subjects, 10 / part, |subject| {
            bench.steady(subject, edit, 21)
        });
    }
    drop(bench);

    let peer = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peer/Cargo.toml");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["run", "--quiet", "--release", "--manifest-path", peer]);
    cargo.args(["--", "edit_to_visible"]).args(short.then_some("--short"));
    let ran = cargo.status().expect("cargo runs");
    assert!(ran.success(), "the peer failed");
}

/// Measures the subjects in turns, so that what else the machine does hits each alike; prints a row for
/// each, and how it compares with the first, which is the limit.
///
/// Medians are compared within a turn, since the speed of a shared machine changes by a factor of two
/// between them; the median of these is printed.
fn in_turns(
    scenario: &str,
    subjects: [&dyn Subject; 3],
    turns: usize,
    mut measure: impl FnMut(&dyn Subject) -> Vec<Duration>,
) {
    let mut all = [const { Vec::new() }; 3];
    let mut ratios = [const { Vec::new() }; 3];
    for _ in 0..turns {
        let mut limit = None;
        for ((subject, all), ratios) in subjects.iter().zip(&mut all).zip(&mut ratios) {
            let latencies = measure(*subject);
            let median = median(latencies.iter().map(Duration::as_secs_f64));
            ratios.push(median / *limit.get_or_insert(median));
            all.extend(latencies);
        }
    }
    let mut limit = None;
    for ((subject, latencies), ratios) in subjects.into_iter().zip(all).zip(ratios) {
        let p99 = row(scenario, subject.name(), latencies);
        let p99 = p99 / *limit.get_or_insert(p99);
        println!("{:>53} {:>8.2}x {:>8.2}x", "of bare", median(ratios), p99);
    }
}

fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

//! From the writer's `close()` or `rename()` to the parsed value in the application.
//!
//! `cargo bench -p hot_reload --bench edit_to_visible`; `-- --short` for a run of
//! seconds. Beside ours, edit by edit in turns, each on a file of its own: a bare loop of inotify, read
//! and parse, which is the physical limit. Then version 0.3.6, built apart because a workspace can't name
//! two packages alike.
//!
//! The subjects are bound to one processor and the writer to another, all to the same, or nobody to any:
//! where a system runs them decides more than what they do.

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
use edits::{Config, Edit, LONG_PAUSE, SHORT_PAUSE, Seen, Subject, head, row, single, steady};
use hot_reload::{
    AsyncFileLoad, FileReloader, RealtimeWatch, ReloaderConfig, ReloaderService, TomlFile,
};
use rustix::{
    fs::inotify::{CreateFlags, Reader, WatchFlags, add_watch, init},
    thread::{CpuSet, sched_getaffinity, sched_setaffinity},
};
use tokio::runtime::Runtime;

/// A thread that waits for the event, reads and parses, and does nothing else; on these processors.
struct Bare(CpuSet);

impl Subject for Bare {
    fn name(&self) -> &'static str {
        "bare inotify+read+parse"
    }

    fn follow(&self, path: &Path) -> Receiver<Seen> {
        let (tx, rx) = channel();
        let (path, processors) = (path.to_owned(), self.0);
        thread::spawn(move || {
            run_on(&processors);
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

/// Where the subjects run, and who writes to their files.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// Each on a processor of its own, as where a system wakes whoever waits on one that is idle; a
    /// runtime has one worker then.
    Apart,
    /// On one processor, where nothing is done about an edit until its writer has left that.
    Together,
    /// Wherever the system has them.
    Anywhere,
}

/// Has this thread, and those that it makes from now on, run on these processors.
fn run_on(processors: &CpuSet) {
    sched_setaffinity(None, processors).expect("processors of this thread's own");
}

fn main() {
    let short = std::env::args().any(|arg| arg == "--short");
    let part = if short { 10 } else { 1 };
    let all = sched_getaffinity(None).expect("processors");
    let mut each = (0..CpuSet::MAX_CPU).filter(|n| all.is_set(*n)).map(|n| {
        let mut one = CpuSet::new();
        one.set(n);
        one
    });
    let first = each.next().expect("a processor");
    let second = each.next();

    head();
    for place in [Place::Apart, Place::Together, Place::Anywhere] {
        let (subjects, writer) = match (place, second) {
            (Place::Apart, Some(second)) => (first, second),
            (Place::Apart, None) => continue,
            (Place::Together, _) => (first, first),
            (Place::Anywhere, _) => (all, all),
        };
        run_on(&subjects);
        let runtime = || Runtime::new().expect("a runtime");
        let (bare, toml, hand_written) = (Bare(subjects), Toml(runtime()), HandWritten(runtime()));
        run_on(&writer);
        measure(&bare, &toml, place, part);
        if let Place::Anywhere = place {
            measure(&bare, &hand_written, place, part);
        }
    }

    let peer = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peer/Cargo.toml");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["run", "--quiet", "--release", "--manifest-path", peer]);
    cargo.args(["--", "edit_to_visible"]).args(short.then_some("--short"));
    let ran = cargo.status().expect("cargo runs");
    assert!(ran.success(), "the peer failed");
}

/// Measures ours beside the limit, in every scenario.
fn measure(bare: &dyn Subject, ours: &dyn Subject, place: Place, part: u64) {
    let both = [bare, ours];
    let named = |name: &str, edit: Edit| format!("{name}/{}/{place:?}", edit.name());
    for (name, edits, pause) in [("single", 500, SHORT_PAUSE), ("rested", 60, LONG_PAUSE)] {
        for edit in Edit::ALL {
            let latencies = single(&both, edit, edits / part, pause);
            let latencies = latencies.unwrap_or_else(|who| panic!("{who} lost an edit"));
            rows(&named(name, edit), both, latencies);
        }
    }
    for edit in Edit::ALL {
        let latencies = steady(&both, edit, 200 / part);
        rows(&named("steady", edit), both, latencies);
    }
}

/// Prints a row for the limit and one for ours, and how the one compares with the other.
fn rows(scenario: &str, both: [&dyn Subject; 2], latencies: Vec<Vec<Duration>>) {
    let mut limit = None;
    for (subject, latencies) in both.into_iter().zip(latencies) {
        let (median, p99) = row(scenario, subject.name(), latencies);
        match limit {
            None => limit = Some((median, p99)),
            Some((bare, its_p99)) => {
                println!("{:>53} {:>8.2}x {:>8.2}x", "of bare", median / bare, p99 / its_p99);
            }
        }
    }
}

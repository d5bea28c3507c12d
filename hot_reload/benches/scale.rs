//! What thousands of file services in one process cost.
//!
//! `cargo bench -p hot_reload --bench scale`; `-- --short` for a run of seconds.
//! Each row is a process of its own. Version 0.3.6 has none: at the 129th file its inotify instances
//! run out, and the service ends.

#[path = "common/usage.rs"]
mod usage;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use hot_reload::{ReloaderConfig, ReloaderReceiver, ReloaderService, TomlFile};
use serde::Deserialize;
use tokio::time::sleep;
use usage::Usage;

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Small {
    n: u64,
}

/// How long a process is waited for and watched.
#[derive(Clone, Copy)]
struct Pace {
    /// After that long, what starting needed for a moment is given back: threads of the pool, buffers.
    settled: Duration,
    /// How long it is watched while it is idle.
    idle: Duration,
}

const LONG: Pace = Pace { settled: Duration::from_secs(11), idle: Duration::from_secs(5) };
/// Enough to see that it runs.
const SHORT: Pace = Pace { settled: Duration::from_secs(1), idle: Duration::from_secs(1) };
const EDITS: u64 = 200;
/// Where nothing of ours runs.
const BARE: &str = "bare stat";

fn file(dir: &Path, layout: &str, n: usize) -> PathBuf {
    match layout {
        "one_folder" => dir.join(format!("{n}.toml")),
        _ => dir.join(n.to_string()).join("config.toml"),
    }
}

/// Makes that many files.
fn files(dir: &Path, layout: &str, number: usize) {
    for n in 0..number {
        let path = file(dir, layout, n);
        fs::create_dir_all(path.parent().expect("a directory")).expect("a writable directory");
        fs::write(path, "n = 0\n").expect("a writable directory");
    }
}

/// What it takes at the least to poll: a thread that asks for the status of each file every second.
fn measure_bare(number: usize, layout: &str, pace: Pace) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    files(dir.path(), layout, number);
    let paths: Vec<_> = (0..number).map(|n| file(dir.path(), layout, n)).collect();
    thread::spawn(move || {
        loop {
            for path in &paths {
                if fs::metadata(path).is_err() {
                    return;
                }
            }
            thread::sleep(Duration::from_secs(1));
        }
    });
    thread::sleep(pace.settled);
    let running = Usage::now();
    thread::sleep(pace.idle);
    let cpu = Usage::now().cpu.saturating_sub(running.cpu).as_secs_f64() / pace.idle.as_secs_f64();
    println!("{BARE:<9} {layout:<12} {number:>6} {:>42.2}", cpu * 100.0);
}

async fn measure(services: usize, layout: &str, strategy: &str, pace: Pace) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    files(dir.path(), layout, services);
    let config = match strategy {
        "polling" => ReloaderConfig::polling(1),
        _ => ReloaderConfig::realtime(),
    };
    let before = Usage::now();
    let from = Instant::now();
    let mut receivers: Vec<ReloaderReceiver<Small, String>> = Vec::with_capacity(services);
    for n in 0..services {
        let reloader = TomlFile::from_path(file(dir.path(), layout, n)).expect("a path");
        let (service, receiver) = ReloaderService::from_reloader(reloader, config.clone());
        tokio::spawn(async move { service.start_with_realtime().await });
        receivers.push(receiver);
    }
    for receiver in &mut receivers {
        receiver.changed().await.expect("a service");
    }
    let up = from.elapsed();
    sleep(pace.settled).await;
    let running = Usage::now();
    sleep(pace.idle).await;
    let idle = Usage::now();

    let edited = &mut receivers[services / 2];
    let path = file(dir.path(), layout, services / 2);
    let next = dir.path().join("next");
    // Polled edits are seen once a second, and cost what idling does.
    let edits = if strategy == "polling" { 1 } else { EDITS };
    for n in 1..=edits {
        fs::write(&next, format!("n = {n}\n")).expect("a writable directory");
        fs::rename(&next, &path).expect("a writable directory");
        edited.changed().await.expect("a service");
    }
    let done = Usage::now();

    #[allow(clippy::cast_precision_loss, reason = "figures of a few digits")]
    let per = |n: u64, of: f64| n as f64 / of;
    let cpu = |from: Usage, to: Usage| to.cpu.saturating_sub(from.cpu).as_secs_f64();
    let files = per(services as u64, 1.0);
    let kib = per(running.resident.saturating_sub(before.resident), files * 1024.0);
    println!(
        "{strategy:<9} {layout:<12} {services:>6} {:>8.2} {kib:>8.2} {:>7} {:>7} {:>8.2} {:>9.1} {:>9.1}",
        up.as_secs_f64(),
        running.descriptors,
        running.threads,
        cpu(running, idle) / pace.idle.as_secs_f64() * 100.0,
        per(idle.wakeups.saturating_sub(running.wakeups), pace.idle.as_secs_f64()),
        cpu(idle, done) * 1e6 / per(edits, 1.0),
    );
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let short = args.iter().any(|arg| arg == "--short");
    if let [_, services, layout, strategy, ..] = &args[..]
        && let Ok(services) = services.parse()
    {
        let pace = if short { SHORT } else { LONG };
        if strategy == BARE {
            return measure_bare(services, layout, pace);
        }
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        return runtime.block_on(measure(services, layout, strategy, pace));
    }
    let sizes: &[usize] = if short { &[1, 1_000] } else { &[1, 100, 1_000, 10_000] };
    println!(
        "{:<9} {:<12} {:>6} {:>8} {:>8} {:>7} {:>7} {:>8} {:>9} {:>9}",
        "strategy",
        "layout",
        "files",
        "up",
        "memory",
        "fds",
        "threads",
        "idle",
        "wakeups",
        "an edit"
    );
    println!(
        "{:<9} {:<12} {:>6} {:>8} {:>8} {:>7} {:>7} {:>8} {:>9} {:>9}",
        "", "", "", "s", "KiB each", "", "", "% CPU", "per s", "us CPU"
    );
    for strategy in ["realtime", "polling", BARE] {
        for layout in ["one_folder", "own_folders"] {
            for services in sizes {
                let this = std::env::current_exe().expect("this program");
                let ran = Command::new(this)
                    .args([&services.to_string(), layout, strategy])
                    .args(short.then_some("--short"))
                    .status()
                    .expect("this program runs");
                assert!(ran.success(), "{services} services failed");
            }
        }
    }
}

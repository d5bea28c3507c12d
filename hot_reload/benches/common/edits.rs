//! The scenarios of `edit_to_visible`: a writer edits a file, a subject has the value.

#![allow(unreachable_pub, reason = "shared by programs that each include it")]

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use serde::Deserialize;

/// A configuration of twenty fields, 1 kB as TOML.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Config {
    pub sequence: u64,
    name: String,
    description: String,
    listen: Vec<String>,
    workers: u32,
    timeout_ms: u64,
    keep_alive: bool,
    limits: Limits,
    log: Log,
    upstream: Upstream,
    /// Equal to `sequence` in a whole file, and written last.
    check: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Limits {
    body: u64,
    connections: u32,
    requests_per_second: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Log {
    level: String,
    format: String,
    path: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Upstream {
    url: String,
    weight: u32,
    tags: Vec<String>,
}

impl Config {
    pub fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }
}

/// The text of the `sequence`-th edit.
pub fn text(sequence: u64) -> String {
    let mut text = format!(
        r#"sequence = {sequence}
name = "edge-{sequence}"
description = "{}"
listen = ["127.0.0.1:8080", "[::1]:8080", "127.0.0.1:8443"]
workers = 8
timeout_ms = 30000
keep_alive = true
check = {sequence}

[limits]
body = 1048576
connections = 10000
requests_per_second = 5000

[log]
level = "info"
format = "json"
path = "/var/log/edge/access.log"

[upstream]
url = "https://backend.internal:9000/v1"
weight = 100
tags = ["blue", "eu-central", "canary"]
"#,
        "x".repeat(400)
    );
    text.push('#');
    while text.len() < 1023 {
        text.push(' ');
    }
    text.push('\n');
    text
}

/// What a subject saw: which edit, whether it was whole, and when.
pub struct Seen {
    pub sequence: u64,
    pub whole: bool,
    pub at: Instant,
}

impl Seen {
    pub fn now(config: &Config) -> Self {
        Self {
            sequence: config.sequence,
            whole: config.check == config.sequence,
            at: Instant::now(),
        }
    }
}

/// Something that follows a file and reports each value that it makes of it.
pub trait Subject {
    fn name(&self) -> &'static str;
    /// Follows `path` until the receiver is dropped.
    fn follow(&self, path: &Path) -> Receiver<Seen>;
}

/// How an edit is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edit {
    CloseWrite,
    Rename,
}

impl Edit {
    pub const ALL: [Self; 2] = [Self::CloseWrite, Self::Rename];

    pub fn name(self) -> &'static str {
        match self {
            Self::CloseWrite => "close_write",
            Self::Rename => "rename",
        }
    }

    /// Makes the edit; returns the moment right before the call that ends it.
    fn make(self, path: &Path, text: &str) -> Instant {
        match self {
            Self::CloseWrite => {
                let mut file = File::create(path).expect("a writable directory");
                file.write_all(text.as_bytes()).expect("room for a file");
                let at = Instant::now();
                drop(file);
                at
            }
            Self::Rename => {
                let next = path.with_extension("next");
                fs::write(&next, text).expect("a writable directory");
                let at = Instant::now();
                fs::rename(next, path).expect("a writable directory");
                at
            }
        }
    }
}

/// A pause between single edits.
pub const SHORT_PAUSE: Duration = Duration::from_millis(5);
/// A pause after which a service has come to rest.
pub const LONG_PAUSE: Duration = Duration::from_millis(300);

/// A file in a directory of its own that a subject follows, and what was made of it.
struct Followed {
    _dir: tempfile::TempDir,
    path: PathBuf,
    name: &'static str,
    seen: Receiver<Seen>,
    sequence: u64,
    made: Vec<Instant>,
    latencies: Vec<Duration>,
}

impl Followed {
    fn by(subject: &dyn Subject) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("config.toml");
        fs::write(&path, text(0)).expect("a writable directory");
        let seen = subject.follow(&path);
        let name = subject.name();
        let (made, latencies) = (Vec::new(), Vec::new());
        let followed = Self { _dir: dir, path, name, seen, sequence: 0, made, latencies };
        followed.await_last().expect("the subject starts");
        followed
    }

    /// Makes the next edit; returns the moment right before the call that ends it.
    fn edit(&mut self, edit: Edit) -> Instant {
        self.sequence += 1;
        edit.make(&self.path, &text(self.sequence))
    }

    /// Waits until the last edit is seen, which may not be torn; returns when it was.
    fn await_last(&self) -> Option<Instant> {
        let deadline = Instant::now() + Duration::from_secs(5);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let seen = self.seen.recv_timeout(left).ok()?;
            assert!(seen.whole, "{} saw a torn value", self.name);
            if seen.sequence == self.sequence {
                return Some(seen.at);
            }
        }
    }

    /// Lets the subject notice that nobody listens any more; returns the latencies.
    fn end(mut self) -> Vec<Duration> {
        let (_gone, nobody) = channel();
        drop(std::mem::replace(&mut self.seen, nobody));
        self.edit(Edit::CloseWrite);
        thread::sleep(Duration::from_millis(300));
        self.latencies
    }
}

/// Single edits with a pause before each, of the subjects in turns: how long each takes to be seen.
///
/// # Errors
///
/// Who lost an edit.
pub fn single(
    subjects: &[&dyn Subject],
    edit: Edit,
    edits: u64,
    pause: Duration,
) -> Result<Vec<Vec<Duration>>, &'static str> {
    let mut all: Vec<_> = subjects.iter().map(|subject| Followed::by(*subject)).collect();
    for n in 0..edits {
        for followed in &mut all {
            // Off the beat of any timer.
            thread::sleep(pause + Duration::from_micros(n * 617 % 7_000));
            let from = followed.edit(edit);
            let seen = followed.await_last().ok_or(followed.name)?;
            followed.latencies.push(seen.saturating_duration_since(from));
        }
    }
    Ok(all.into_iter().map(Followed::end).collect())
}

/// Edits every 25 to 75 ms without a pause, of the subjects in turns: how long until each, or a newer
/// one, is seen.
pub fn steady(subjects: &[&dyn Subject], edit: Edit, edits: u64) -> Vec<Vec<Duration>> {
    let mut all: Vec<_> = subjects.iter().map(|subject| Followed::by(*subject)).collect();
    let each = u32::try_from(all.len()).expect("a few subjects");
    for n in 0..edits {
        for followed in &mut all {
            let from = followed.edit(edit);
            followed.made.push(from);
            thread::sleep(Duration::from_millis(25 + n * 37 % 51) / each);
        }
    }
    let latencies = all.into_iter().map(|mut followed| {
        let mut arrived: Vec<Seen> = Vec::new();
        // What comes only after the edits have stopped counts as it comes.
        while arrived.last().is_none_or(|last| last.sequence < followed.sequence) {
            match followed.seen.recv_timeout(Duration::from_secs(5)) {
                Ok(seen) => arrived.push(seen),
                Err(error) => panic!("{} lost the last edit: {error}", followed.name),
            }
        }
        assert!(arrived.iter().all(|seen| seen.whole), "{} saw a torn value", followed.name);
        for (sequence, from) in (1..).zip(&followed.made) {
            let first = arrived.iter().find(|seen| seen.sequence >= sequence);
            followed.latencies.extend(first.map(|seen| seen.at.saturating_duration_since(*from)));
        }
        followed.end()
    });
    latencies.collect()
}

/// Prints the figures of one subject in one scenario, and returns the median and the 99th percentile, in
/// milliseconds.
pub fn row(scenario: &str, subject: &str, mut latencies: Vec<Duration>) -> (f64, f64) {
    latencies.sort_unstable();
    let at = |part: f64| {
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss
        )]
        let index = ((latencies.len() - 1) as f64 * part).round() as usize;
        latencies[index].as_secs_f64() * 1e3
    };
    let (median, p99) = (at(0.5), at(0.99));
    println!("{scenario:<28} {subject:<26} {median:>9.3} {p99:>9.3} {:>9.3}", at(1.0));
    (median, p99)
}

pub fn head() {
    println!("{:<28} {:<26} {:>9} {:>9} {:>9}", "scenario", "subject", "median", "p99", "max");
    println!("{:<28} {:<26} {:>9} {:>9} {:>9}", "", "", "ms", "ms", "ms");
}

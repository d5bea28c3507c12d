//! The scenarios of `edit_to_visible`: a writer edits a file, a subject has the value.

#![allow(unreachable_pub, reason = "shared by programs that each include it")]

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, RecvTimeoutError},
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

/// A file in a directory of its own, and the number of the last edit.
pub struct Bench {
    _dir: tempfile::TempDir,
    path: PathBuf,
    sequence: u64,
}

impl Bench {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("config.toml");
        fs::write(&path, text(0)).expect("a writable directory");
        Self { _dir: dir, path, sequence: 0 }
    }

    /// Single edits with a pause between: how long each takes to be seen. None may be torn.
    ///
    /// # Errors
    ///
    /// The number of an edit that was lost.
    pub fn single(
        &mut self,
        subject: &dyn Subject,
        edit: Edit,
        edits: u64,
        pause: Duration,
    ) -> Result<Vec<Duration>, u64> {
        let seen = subject.follow(&self.path);
        wait_for(&seen, self.sequence).expect("the subject starts");
        let mut latencies = Vec::new();
        for n in 0..edits {
            // Off the beat of any timer.
            thread::sleep(pause + Duration::from_micros(n * 617 % 7_000));
            self.sequence += 1;
            let text = text(self.sequence);
            let from = edit.make(&self.path, &text);
            match wait_for(&seen, self.sequence) {
                Some(seen) => latencies.push(seen.at.saturating_duration_since(from)),
                None => return Err(self.sequence),
            }
        }
        self.finish(seen);
        Ok(latencies)
    }

    /// Edits every 25 to 75 ms without a pause: how long until each, or a newer one, is seen.
    pub fn steady(&mut self, subject: &dyn Subject, edit: Edit, edits: u64) -> Vec<Duration> {
        let seen = subject.follow(&self.path);
        wait_for(&seen, self.sequence).expect("the subject starts");
        let mut made = Vec::new();
        for n in 0..edits {
            self.sequence += 1;
            let text = text(self.sequence);
            made.push((self.sequence, edit.make(&self.path, &text)));
            thread::sleep(Duration::from_millis(25 + n * 37 % 51));
        }
        // What comes only after the edits have stopped counts as it comes.
        let mut arrived: Vec<Seen> = Vec::new();
        while arrived.last().is_none_or(|last| last.sequence < self.sequence) {
            match seen.recv_timeout(Duration::from_secs(5)) {
                Ok(seen) => arrived.push(seen),
                Err(error) => panic!("{} lost the last edit: {error}", subject.name()),
            }
        }
        assert!(arrived.iter().all(|seen| seen.whole), "{} saw a torn value", subject.name());
        let latencies = made.iter().filter_map(|(sequence, from)| {
            let first = arrived.iter().find(|seen| seen.sequence >= *sequence)?;
            Some(first.at.saturating_duration_since(*from))
        });
        let latencies = latencies.collect();
        self.finish(seen);
        latencies
    }

    /// Lets the subject notice that nobody listens any more.
    fn finish(&mut self, seen: Receiver<Seen>) {
        drop(seen);
        self.sequence += 1;
        fs::write(&self.path, text(self.sequence)).expect("a writable directory");
        thread::sleep(Duration::from_millis(300));
    }
}

fn wait_for(seen: &Receiver<Seen>, sequence: u64) -> Option<Seen> {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        match seen.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(seen) => {
                assert!(seen.whole, "a torn value");
                if seen.sequence == sequence {
                    return Some(seen);
                }
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return None,
        }
    }
}

/// Prints the figures of one subject in one scenario, and returns the 99th percentile in milliseconds.
pub fn row(scenario: &str, subject: &str, mut latencies: Vec<Duration>) -> f64 {
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
    let p99 = at(0.99);
    println!("{scenario:<24} {subject:<28} {:>9.3} {p99:>9.3} {:>9.3}", at(0.5), at(1.0));
    p99
}

pub fn head() {
    println!("{:<24} {:<28} {:>9} {:>9} {:>9}", "scenario", "subject", "median", "p99", "max");
    println!("{:<24} {:<28} {:>9} {:>9} {:>9}", "", "", "ms", "ms", "ms");
}

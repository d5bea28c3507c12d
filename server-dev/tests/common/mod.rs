//! A `server-dev` of a test's own, in a folder of its own, of which the test reads the events.

#![allow(dead_code, unreachable_pub, reason = "shared by tests that each include it")]

pub mod http;
pub mod mark;
pub mod process;
pub mod tree;

use std::{
    ffi::OsStr,
    fmt::Display,
    fs,
    io::{BufRead, BufReader, Read},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::Value;

/// How long anything may take on a machine that does something else as well.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// The program that is tested.
pub const SERVER_DEV: &str = env!("CARGO_BIN_EXE_server-dev");

/// Waits until something is so, or fails and says what is so instead.
pub fn wait_until<S: Display>(mut is_so: impl FnMut() -> bool, what: impl Fn() -> S) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "{}", what());
        thread::sleep(Duration::from_millis(5));
    }
}

/// A folder of files for a service.
pub struct Folder(tempfile::TempDir);

impl Folder {
    /// Makes one that holds these files.
    pub fn with(files: &[(&str, &str)]) -> Self {
        let folder = Self(tempfile::tempdir().expect("a temporary directory"));
        for (name, text) in files {
            folder.write(name, text);
        }
        folder
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("room for a file");
    }

    /// Writes a file that may be run.
    pub fn program(&self, name: &str, text: &str) {
        self.write(name, text);
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(self.path().join(name), mode).expect("a file of its own");
    }

    /// The command of a `server-dev` in it.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(SERVER_DEV);
        command.args(arguments).current_dir(self.path());
        command
    }

    /// Starts `server-dev` in it, with the words of a command line.
    pub fn dev(&self, arguments: &[&str]) -> Dev {
        self.dev_with(arguments, &[])
    }

    pub fn dev_with(&self, arguments: &[&str], env: &[(&str, &str)]) -> Dev {
        let mut command = self.command(&["--json"]);
        Dev::spawn(command.args(arguments).envs(env.iter().copied()))
    }
}

/// A `server-dev` that runs; dropped, it is told to end, and waited for.
pub struct Dev {
    child: Child,
    events: Receiver<Value>,
    /// What it has told so far.
    pub told: Vec<Value>,
}

impl Dev {
    /// Starts a command that becomes `server-dev --json`.
    pub fn spawn(command: &mut Command) -> Self {
        let command = command.stdout(Stdio::piped()).stderr(Stdio::inherit());
        Self::of(command.spawn().expect("server-dev starts"))
    }

    /// Begins to read what one tells that runs already.
    pub fn of(mut child: Child) -> Self {
        let stdout = BufReader::new(child.stdout.take().expect("its output"));
        let (tx, events) = channel();
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let event = serde_json::from_str(&line).expect("a JSON object a line");
                if tx.send(event).is_err() {
                    return;
                }
            }
        });
        Self { child, events, told: Vec::new() }
    }

    /// Waits for an event of that name which comes after those that were waited for.
    pub fn wait(&mut self, name: &str) -> Value {
        self.wait_for(name, |_| true)
    }

    pub fn wait_for(&mut self, name: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        self.wait_until(name, |event| event["event"] == name && is_it(event))
    }

    /// Waits for the next event that has one of these names.
    pub fn wait_for_any(&mut self, names: &[&str]) -> Value {
        self.wait_until(&names.join(" or "), |event| {
            names.iter().any(|name| event["event"] == *name)
        })
    }

    fn wait_until(&mut self, name: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let Ok(event) = self.events.recv_timeout(left) else {
                panic!("no {name}, but {:#?}", self.told);
            };
            self.told.push(event.clone());
            if is_it(&event) {
                return event;
            }
        }
    }

    /// What it tells within so long.
    pub fn tells_within(&mut self, time: Duration) -> Vec<Value> {
        let until = Instant::now() + time;
        let next =
            || self.events.recv_timeout(until.saturating_duration_since(Instant::now())).ok();
        let told: Vec<_> = std::iter::from_fn(next).collect();
        self.told.extend(told.iter().cloned());
        told
    }

    /// The address of the first socket of a service that it holds.
    pub fn address(&mut self) -> String {
        let event = self.wait("listening");
        let address = event["address"].as_str().expect("an address");
        address.trim_start_matches("http://").to_owned()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        process::signal(self.pid(), signal);
    }

    /// Tells it to end, and waits until it has.
    pub fn end(mut self) -> ExitStatus {
        self.signal(Signal::INT);
        self.wait_for_end()
    }

    pub fn wait_for_end(&mut self) -> ExitStatus {
        let mut status = None;
        let has_ended = || {
            status = self.child.try_wait().expect("a child");
            status.is_some()
        };
        wait_until(has_ended, || format!("it doesn't end; it told {:#?}", self.told));
        status.expect("it has ended")
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // A test that fails may leave it at any point.
        if matches!(self.child.try_wait(), Ok(None)) {
            self.signal(Signal::TERM);
            self.child.wait().expect("a child");
        }
    }
}

/// The server of `examples/tiny.rs`.
pub fn tiny() -> String {
    example("tiny")
}

/// A server of `examples`, which cargo builds beside the tests, but not for one that is named by `--test`.
pub fn example(name: &str) -> String {
    let built = Path::new(SERVER_DEV).parent().expect("a folder of what is built");
    let server = built.join("examples").join(name);
    if !server.exists() {
        build_example(name, built);
    }
    server.display().to_string()
}

/// Has cargo build one where the tests were built; of several at once, cargo itself has the others wait.
fn build_example(name: &str, built: &Path) {
    // Without a target of its own, `<target directory>/<profile>`, where the one of `dev` is `debug`.
    let (target, profile) = (built.parent(), built.file_name().and_then(OsStr::to_str));
    let profile = profile.map(|it| if it == "debug" { "dev" } else { it });
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--package", "server-dev", "--example", name])
        .args(["--profile", profile.expect("a profile"), "--target-dir"])
        .arg(target.expect("a target directory"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status();
    let is_there =
        status.is_ok_and(|it| it.success()) && built.join("examples").join(name).exists();
    assert!(is_there, "build it: cargo build -p server-dev --example {name}");
}

/// What a server answers to `GET /`, over a connection of its own.
pub fn get(address: &str) -> std::io::Result<String> {
    let request = "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let mut answer = String::new();
    http::try_send(address, request)?.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(std::io::ErrorKind::UnexpectedEof)?;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    Ok(body.to_owned())
}

/// What a page is told of itself, by the events of its stream, until it is so.
pub fn page_is_told(address: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let request = "GET /__server-dev/events HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let until = Instant::now() + PATIENCE;
    let mut last = Value::Null;
    for line in http::send(address, request).lines().map_while(Result::ok) {
        // A beat has no JSON.
        let told = line.strip_prefix("data:").and_then(|data| serde_json::from_str(data).ok());
        if let Some(told) = told {
            last = told;
        }
        if last.is_object() && is_so(&last) {
            return last;
        }
        assert!(Instant::now() < until, "it is never so: {last}");
    }
    panic!("the stream ended: {last}");
}

/// The process that an event is of.
pub fn pid(event: &Value) -> u32 {
    event["pid"].as_u64().and_then(|pid| pid.try_into().ok()).expect("a pid")
}

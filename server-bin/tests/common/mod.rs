//! The real program, as a process of the test's own, and what it says.

#![allow(dead_code, unreachable_pub, unused_imports, reason = "each test crate uses its part")]

mod upgrade;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread::{sleep, spawn},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

pub use self::upgrade::{Installed, Successor};

/// Longer than anything here takes, also on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub fn program() -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_server-bin"));
    program.env_remove("RUST_LOG").stdin(Stdio::null());
    program
}

/// Runs the program to its end.
pub fn run(args: &[&str]) -> Output {
    program().args(args).output().unwrap()
}

pub fn text(name: &str) -> String {
    format!("name = {name:?}\nlisten_addresses = [\"127.0.0.1:0\"]\n")
}

/// A file in a fresh directory.
pub struct File {
    pub path: PathBuf,
    _dir: TempDir,
}

impl File {
    pub fn new(text: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        std::fs::write(&path, text).unwrap();
        Self { path, _dir: dir }
    }

    pub fn name(&self) -> &str {
        self.path.to_str().unwrap()
    }

    /// Writes over it, as an editor that saves in place does.
    pub fn write(&self, text: &str) {
        std::fs::write(&self.path, text).unwrap();
    }
}

/// The program while it runs; killed when the test is over.
pub struct Daemon {
    child: Child,
    lines: Receiver<String>,
    /// Everything that it has logged and the test has seen.
    pub log: String,
    pub address: SocketAddr,
}

impl Daemon {
    /// Starts it on `config` and waits until it listens.
    pub fn start(config: &Path, args: &[&str]) -> Self {
        let mut daemon = Self::spawn(program().arg("--config").arg(config).args(args));
        daemon.listens();
        daemon
    }

    /// Starts it by `command`, and waits for nothing.
    pub fn spawn(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        Self::reading(child, stderr)
    }

    /// Takes one that was started, and where to read its log.
    pub fn reading(child: Child, stderr: impl Read + Send + 'static) -> Self {
        let (tell, lines) = channel();
        spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                // The test may be over.
                let _ = tell.send(line);
            }
        });
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        Self { child, lines, log: String::new(), address: nowhere }
    }

    /// Waits until it listens, and returns the line that says so.
    pub fn listens(&mut self) -> String {
        let line = self.until("listening address=");
        self.address = address(&line);
        line
    }

    /// Waits until it logs a line that has `part` in it, and returns the line.
    pub fn until(&mut self, part: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    self.log.push_str(&line);
                    self.log.push('\n');
                    if line.contains(part) {
                        return line;
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("no {part:?} in:\n{}", self.log),
                Err(RecvTimeoutError::Disconnected) => panic!("ended:\n{}", self.log),
            }
        }
    }

    /// Asks for the name, on a connection of its own.
    pub fn name(&self) -> String {
        name_at(self.address)
    }

    /// Asks until it says `want`.
    pub fn expect(&self, want: &str) {
        expect_at(self.address, want);
    }

    /// Waits until it listens for who looks after it, and returns where.
    pub fn admin(&mut self) -> SocketAddr {
        address(&self.until("purpose=\"admin\""))
    }

    /// Sends it all but the end of a request, and waits until that is read.
    pub fn half_a_request(&self) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: test\r\n").unwrap();
        // It has been read once another, sent later, is answered.
        self.name();
        stream
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Sends it a signal and waits for its end.
    pub fn end_by(self, signal: Signal) -> ExitStatus {
        self.signal(signal);
        self.ends()
    }

    /// Waits for its end.
    pub fn ends(mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "it doesn't end");
            sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The address in a line of the log.
fn address(line: &str) -> SocketAddr {
    let address = line.split("address=").nth(1).unwrap();
    address.split(' ').next().unwrap().parse().unwrap()
}

/// Waits until something is so.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "not so: {what}");
        sleep(Duration::from_millis(5));
    }
}

/// Asks who answers at `address`, on a connection of its own.
pub fn name_at(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    let (_head, body) = response.split_once("\r\n\r\n").expect(&response);
    let said: serde_json::Value = serde_json::from_str(body).expect(&response);
    said["name"].as_str().unwrap().to_owned()
}

/// Asks until `want` answers at `address`.
pub fn expect_at(address: SocketAddr, want: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let name = name_at(address);
        if name == want {
            return;
        }
        assert!(Instant::now() < deadline, "{name} answers, not {want}");
        sleep(Duration::from_millis(5));
    }
}

//! The daemon under load: the real program, and its configuration.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::{Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

pub struct Daemon {
    pub address: SocketAddr,
    /// The process that serves by now.
    process: Pid,
    lines: Receiver<String>,
    path: PathBuf,
    edits: u64,
    dir: tempfile::TempDir,
}

impl Daemon {
    pub fn start() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("config.toml");
        let address = free();
        fs::write(&path, text(0, &[address])).expect("a writable directory");
        let mut command = Command::new(env!("CARGO_BIN_EXE_server-bin"));
        command.arg("--config").arg(&path).env("RUST_LOG", "warn,server_lib=info");
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the program runs");
        let process = Pid::from_child(&child);
        let (tell, lines) = channel();
        let stderr = child.stderr.take().expect("it is piped");
        // Those that take its place write there as well.
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if tell.send(line).is_err() {
                    return;
                }
            }
        });
        thread::spawn(move || child.wait());
        let daemon = Self { address, process, lines, path, edits: 0, dir };
        daemon.until("in use");
        daemon
    }

    /// Puts another configuration in place, which also listens on `more`.
    pub fn edit(&mut self, more: &[SocketAddr]) {
        self.edits += 1;
        let next = self.dir.path().join("next");
        fs::write(&next, text(self.edits, &[&[self.address], more].concat())).expect("room");
        fs::rename(&next, &self.path).expect("a writable directory");
    }

    /// Has a new process take the place of the one that serves.
    pub fn upgrade(&mut self) {
        while self.lines.try_recv().is_ok() {}
        kill_process(self.process, Signal::USR2).expect("it runs");
        let line = self.until("a new process has taken over");
        let id = line.split("process=").nth(1).and_then(|id| id.trim().parse().ok());
        self.process = id.and_then(Pid::from_raw).expect("the number of a process");
    }

    /// Waits until it logs a line with `part` in it.
    fn until(&self, part: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).expect("it says so");
            if line.contains(part) {
                return line;
            }
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = kill_process(self.process, Signal::KILL);
    }
}

/// An address that was free a moment ago.
pub fn free() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address")
}

fn text(edit: u64, addresses: &[SocketAddr]) -> String {
    let addresses: Vec<_> = addresses.iter().map(SocketAddr::to_string).collect();
    format!("greeting = 'edit {edit}'\nlisten_addresses = {addresses:?}\ndrain_timeout_ms = 5000\n")
}

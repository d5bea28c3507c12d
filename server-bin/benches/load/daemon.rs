//! The daemon under load: the real program, and its configuration.

use std::{
    io::{BufRead, BufReader},
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::{Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::certificates::{Certificates, replace};

/// Longer than anything here takes.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub struct Daemon {
    pub config: Config,
    /// The process that serves by now.
    process: Pid,
    lines: Receiver<String>,
}

pub struct Config {
    pub http: SocketAddr,
    pub https: SocketAddr,
    pub admin: SocketAddr,
    pub certificates: Certificates,
    path: PathBuf,
    edits: u64,
    _dir: tempfile::TempDir,
}

impl Daemon {
    pub fn start() -> Self {
        let mut config = Config::new();
        config.edit(&[]);
        let mut command = Command::new(env!("CARGO_BIN_EXE_server-bin"));
        command.arg("--config").arg(&config.path).env("RUST_LOG", "warn,server_lib=info");
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
        let daemon = Self { config, process, lines };
        daemon.until("in use");
        daemon
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

impl Config {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let [http, https, admin] = free();
        let certificates = Certificates::new(dir.path().join("tls"));
        let path = dir.path().join("config.toml");
        Self { http, https, admin, certificates, path, edits: 0, _dir: dir }
    }

    /// Puts another one in place, which also listens on `more`.
    pub fn edit(&mut self, more: &[SocketAddr]) {
        self.edits += 1;
        let addresses = [&[self.http], more].concat();
        let addresses: Vec<_> = addresses.iter().map(SocketAddr::to_string).collect();
        let Self { https, admin, edits, .. } = self;
        let certificates = self.certificates.listed();
        let text = format!(
            "greeting = 'edit {edits}'\nlisten_addresses = {addresses:?}\n\
             https_addresses = ['{https}']\nadmin_address = '{admin}'\ndrain_timeout_ms = 5000\n\
             {certificates}"
        );
        replace(&self.path, &text);
    }
}

/// Addresses that were free a moment ago.
pub fn free<const N: usize>() -> [SocketAddr; N] {
    // All at once, so that none comes twice.
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    listeners.map(|listener| listener.local_addr().expect("its address"))
}

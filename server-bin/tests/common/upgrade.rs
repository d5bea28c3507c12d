//! What takes the place of a daemon.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use super::{Daemon, until};

/// A process that another has started in its place; killed when the test is over.
pub struct Successor(Pid);

impl Successor {
    /// Has `daemon` start it, and waits until it has taken over.
    pub fn of(daemon: &mut Daemon) -> Self {
        daemon.signal(Signal::USR2);
        Self::told_by(daemon)
    }

    pub fn told_by(daemon: &mut Daemon) -> Self {
        let line = daemon.until("a new process has taken over");
        let id = line.split("process=").nth(1).and_then(|id| id.trim().parse().ok());
        Self(id.and_then(Pid::from_raw).expect(&line))
    }

    /// Waits until it writes its number to `file`.
    pub fn writes(file: &Path) -> Self {
        let mut id = None;
        until("it starts", || {
            let written = fs::read_to_string(file).unwrap_or_default();
            id = written.trim().parse().ok().and_then(Pid::from_raw);
            id.is_some()
        });
        Self(id.unwrap())
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.0, signal).unwrap();
    }

    pub fn ends(&self) {
        until("it ends", || test_kill_process(self.0).is_err() || is_zombie(self.0));
    }
}

impl Drop for Successor {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = kill_process(self.0, Signal::KILL);
    }
}

/// Where nobody reaps orphans, as in some containers, one stays for ever.
fn is_zombie(process: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.as_raw_pid()));
    stat.is_ok_and(|stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z')))
}

/// A copy of the program that the test may replace.
pub struct Installed {
    pub path: PathBuf,
    _dir: tempfile::TempDir,
}

impl Installed {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let installed = Self { path: dir.path().join("server-bin"), _dir: dir };
        installed.put(Path::new(env!("CARGO_BIN_EXE_server-bin")));
        installed
    }

    /// Replaces it as an installation does.
    pub fn put(&self, program: &Path) {
        let next = self.path.with_extension("next");
        fs::copy(program, &next).unwrap();
        fs::set_permissions(&next, fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(next, &self.path).unwrap();
    }

    pub fn put_script(&self, script: &str) {
        let next = self.path.with_extension("script");
        fs::write(&next, format!("#!/bin/sh\n{script}\n")).unwrap();
        self.put(&next);
    }

    pub fn start(&self, config: &Path) -> Daemon {
        let mut command = Command::new(&self.path);
        // What it waits for is told there.
        command.env("RUST_LOG", "info,hot_reload=debug,server_lib=debug").stdin(Stdio::null());
        let mut daemon = Daemon::spawn(command.arg("--config").arg(config));
        daemon.listens();
        daemon
    }
}
